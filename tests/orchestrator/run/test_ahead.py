"""Programs are judged while others are still being written, and no record tells other verdicts for it.

Chunks are left as writers leave them, and pieces run in this process, but for the last test.
"""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_studies import complete, make_study, problem, reference, write_data

from orchestrator.ledger.artifacts import verdicts_of
from orchestrator.ledger.completions import said_by, write_chunk
from orchestrator.ledger.ledger import Ledger
from orchestrator.run.ahead import Ahead, Room
from orchestrator.run.budget import Limits, Meter
from orchestrator.run.pipelines import PIPELINES, record_as_they_arrive
from orchestrator.run.state import Listener, StudyRun
from orchestrator.study.cells import expand
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.work.generation import GenerationJob
from orchestrator.work.pieces import JudgingJob, early_piece, run_execution
from orchestrator.work.sending import Pool, ignore, results
from orchestrator.work.session import local_ray
from tasks.records import Completion, Verdict

PROBLEMS = 40


@pytest.fixture
def run(tmp_path: Path) -> Iterator[StudyRun]:
    """A study of forty problems under way, whose one trial asks a frozen model."""
    data = write_data(tmp_path / "data")
    (data / "test.jsonl").write_text("".join(problem(n).model_dump_json() + "\n" for n in range(PROBLEMS)))
    files = {"reader": "jsonl", "path": "."}
    study = make_study(tmp_path, methods={"frozen": {"kind": "frozen"}}, tasks={"generation/python": {"test": files}})
    ledger = Ledger(study.storage)
    with ledger.lease(study.study) as lease:
        run = StudyRun(expand(study), ledger, lease=lease, listener=Listener(), meter=Meter(study, ledger, Limits()))
        run.done.look()
        yield run


def answer(number: int) -> Completion:
    """Each third answer is wrong."""
    return complete(problem(number), reference(number) if number % 3 else "def solve(x):\n    return None\n")


def begun(run: StudyRun) -> tuple[TrialSpec, GenerationJob]:
    """The trial's generation, begun as its pipeline begins it."""
    from orchestrator.run.pipelines import _generation_job

    (trial,) = run.done.trials
    return trial, _generation_job(run, trial)


def keep(run: StudyRun, job: GenerationJob, numbers: range) -> None:
    """A chunk as the process that writes leaves it."""
    said = said_by([answer(number) for number in numbers], job.wanted, job.settings)
    write_chunk(run.ledger.store, job.owner, "part", said)


def judge(ahead: Ahead, *, cores: int) -> int:
    """Judge what waits, here; returns in how many pieces."""
    pieces = ahead.pieces(Room(lambda: cores))
    for key, found in results(early_piece, pieces, of=Verdict, pool=Pool(in_process=True), on_piece_done=ignore):
        ahead.keep(key, found, cores=cores)
    return len(pieces)


def finish(run: StudyRun, trial: TrialSpec, job: GenerationJob) -> None:
    """The generation comes to its end with all answers."""
    record_as_they_arrive(
        run,
        StageName.GENERATE,
        [trial],
        job=lambda trial: job,
        stream=lambda jobs, told, more: [(job.key, [answer(number) for number in range(PROBLEMS)])],
    )


def test_what_is_there_is_judged_and_the_stage_judges_the_rest(run: StudyRun) -> None:
    trial, job = begun(run)
    keep(run, job, range(0, 20))
    assert judge(run.ahead, cores=2) == 1, "sixteen make a piece, and four wait for more"
    keep(run, job, range(20, 30))
    run.ahead._written[job.key].read_at = 0.0
    assert judge(run.ahead, cores=2) == 0, "fourteen are not enough, and have not waited long"
    run.ahead._written[job.key].waiting_since = 1.0
    assert judge(run.ahead, cores=2) == 1
    finish(run, trial, job)
    assert run.ahead.pieces(Room(lambda: 2)) == [], "what is left is the stage's"
    PIPELINES["execute"](run, run.done.due("execute"), in_process=True)
    record = run.done.record(trial, StageName.EXECUTE)
    assert record.facts["judged_ahead"] == 30
    verdicts = verdicts_of(run.ledger, record)
    assert len({verdict.task_id for verdict in verdicts}) == len(verdicts) == PROBLEMS
    passed = {verdict.task_id for verdict in verdicts if verdict.verdict == "passed"}
    assert passed == {problem(number).id for number in range(PROBLEMS) if number % 3}


def test_execution_waits_for_the_piece_that_is_being_judged(run: StudyRun) -> None:
    trial, job = begun(run)
    keep(run, job, range(20))
    (piece,) = run.ahead.pieces(Room(lambda: 1))
    finish(run, trial, job)
    assert run.done.due("execute") == [trial]
    assert (run.is_ready(trial, StageName.EXECUTE), run.is_ready(trial, StageName.SCORE)) == (False, True)
    pool = Pool(in_process=True)
    for key, found in results(early_piece, [piece], of=Verdict, pool=pool, on_piece_done=ignore):
        run.ahead.keep(key, found, cores=1)
    assert run.is_ready(trial, StageName.EXECUTE)


def test_nothing_is_judged_ahead_where_no_core_is_free(run: StudyRun) -> None:
    _, job = begun(run)
    keep(run, job, range(PROBLEMS))
    assert judge(run.ahead, cores=0) == 0
    room = Room(lambda: 2)
    assert len(run.ahead.pieces(room)) == 2
    assert room.cores() == 0, "cores that were just given away count as taken"


def test_verdict_on_another_completion_counts_for_nothing(run: StudyRun) -> None:
    trial, job = begun(run)
    keep(run, job, range(16))
    assert judge(run.ahead, cores=1) == 1
    other = complete(problem(1), "def solve(x):\n    return 0\n")
    verdicts, seconds = run.ahead.take(trial, [answer(0), other])
    assert [verdict.task_id for verdict in verdicts] == [problem(0).id] and seconds > 0
    assert run.ahead.take(trial, [answer(0)]) == ((), 0.0), "each is taken once"


@pytest.mark.ray
def test_free_cores_of_a_cluster_judge_ahead_and_a_trial_joins_an_execution_that_is_under_way(run: StudyRun) -> None:
    trial, job = begun(run)
    keep(run, job, range(16))
    writing = threading.Event()
    writing.set()
    answers = tuple(answer(number) for number in range(PROBLEMS))
    problems = tuple(problem(number) for number in range(PROBLEMS))
    with local_ray(run.study.resources, num_cpus=2):
        thread = threading.Thread(target=run.ahead.work, args=(writing.is_set,))
        thread.start()
        while not run.ahead._judged:
            assert thread.is_alive()
            time.sleep(0.1)
        writing.clear()
        thread.join()
        known, _ = run.ahead.take(trial, answers)
        assert len(known) == 16
        first = JudgingJob(key="first", trial=trial, problems=problems, completions=answers, known=known)
        second = JudgingJob(key="second", trial=trial, problems=problems, completions=answers)
        joining = [[second]]
        found = dict(run_execution([first], cores=2, joining=lambda: joining.pop() if joining else []))
    one, two = found["first"], found["second"]
    assert not isinstance(one, Exception) and not isinstance(two, Exception)
    assert [(v.task_id, v.verdict) for v in one] == [(v.task_id, v.verdict) for v in two]
    assert len(one) == PROBLEMS
