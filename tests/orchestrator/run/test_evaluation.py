"""Pipelines after training: what fails in one trial is recorded as that one's, and the others go on.

Pieces run in this process, so no Ray is started; the faults lie in files, where they lie in real life.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from small_studies import (
    CODE,
    PROSE,
    commit,
    complete,
    finish_training,
    lines,
    make_study,
    problem,
    prose_problem,
    write_data,
)

from evaluators.sandbox.toolchains import toolchain_version
from orchestrator.ledger.artifacts import verdicts_of
from orchestrator.ledger.ledger import Ledger
from orchestrator.run.budget import Limits, Meter
from orchestrator.run.pipelines import PIPELINES, record_as_they_arrive
from orchestrator.run.state import Listener, StudyRun
from orchestrator.study.cells import expand
from orchestrator.study.resources import Resources
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.work.training import Place, TrainingOrder, train_trial
from tasks.records import Language, UnjudgedReason

COMPLETIONS = lines([complete(make(n), "def solve(x): ...") for make in (problem, prose_problem) for n in (1, 2, 3)])


@pytest.fixture
def begin() -> Iterator[Callable[[Study], StudyRun]]:
    """Opens a run of a study, under its lease until the test ends."""
    leases = []

    def make(study: Study) -> StudyRun:
        ledger = Ledger(study.storage)
        leases.append(ledger.lease(study.study))
        lease = leases[-1].__enter__()
        run = StudyRun(expand(study), ledger, lease=lease, listener=Listener(), meter=Meter(study, ledger, Limits()))
        run.done.look()
        return run

    yield make
    for lease in leases:
        lease.__exit__(None, None, None)


def seeds(folder: Path) -> tuple[Study, tuple[TrialSpec, ...]]:
    """A study of three seeds whose completions are there."""
    study = make_study(folder, seeds=[0, 1, 2], methods={"qlora": {"kind": "qlora"}})
    ledger = Ledger(study.storage)
    for trial in expand(study).trials:
        finish_training(ledger, trial)
        commit(ledger, trial, "generate", files={"completions.jsonl": COMPLETIONS})
    return study, expand(study).trials


def causes(run: StudyRun, stage: StageName) -> dict[str, str]:
    """What failed of a stage, by trial; each must have left word with its attempt."""
    for trial in run.done.trials:
        if (trial.label, stage) in run.outcome.failed:
            failure = run.ledger.last_failure(trial.key(stage))
            assert failure is not None and failure[0].cause == run.outcome.failed[trial.label, stage].cause
    return {label: failed.cause for (label, name), failed in run.outcome.failed.items() if name == stage}


def test_test_data_that_cannot_be_read_fail_generation_of_their_trial_alone(
    tmp_path: Path, begin: Callable[[Study], StudyRun]
) -> None:
    write_data(write_data(tmp_path / "data") / "unplugged")
    good, bad = ({"reader": "jsonl", "path": path} for path in (".", "unplugged"))
    study = make_study(
        tmp_path,
        tasks={CODE: {"train": good, "test": good}, PROSE: {"train": good, "test": bad}},
        training={"max_steps": 1, "learning_rate": 0.001},
        methods={"lora": {"kind": "lora", "grouping": "apart"}},
        evaluation={"quality": False, "generation": {"max_new_tokens": 2}},
    )
    (prose,) = (trial for trial in expand(study).trials if trial.tracks == (PROSE,))
    (code,) = (trial for trial in expand(study).trials if trial.tracks == (CODE,))
    finish_training(Ledger(study.storage), prose)
    order = TrainingOrder(trial=code, resources=Resources(micro_tokens=1024))
    assert train_trial(order, Place(storage=study.storage, root=study.data.root)) is None
    run = begin(study)
    (tmp_path / "data" / "unplugged" / "test.jsonl").unlink()
    PIPELINES["generate"](run, run.done.due("generate"), in_process=True)
    assert run.outcome.ran == {"generate": 1}
    assert "generate" in run.ledger.records_of(code)
    assert list(causes(run, "generate")) == [prose.label]
    assert causes(run, "generate")[prose.label].startswith("DataError: ")
    assert run.done.due("generate") == [], "it is not tried again in this run"


def test_flipped_byte_in_one_trial_s_completions_fails_that_trial_alone(
    tmp_path: Path, begin: Callable[[Study], StudyRun]
) -> None:
    study, trials = seeds(tmp_path)
    run = begin(study)
    path = run.ledger.folder(run.done.record(trials[1], "generate")) / "completions.jsonl"
    path.write_bytes(path.read_bytes().replace(b"solve", b"salve", 1))
    PIPELINES["score"](run, run.done.due("score"), in_process=True)
    assert run.outcome.ran == {"score": 2}
    assert list(causes(run, "score")) == [trials[1].label]
    assert "completions.jsonl was changed" in causes(run, "score")[trials[1].label]
    assert ["score" in run.ledger.records_of(trial) for trial in trials] == [True, False, True]


def test_record_that_somebody_edits_meanwhile_fails_its_trial_alone(
    tmp_path: Path, begin: Callable[[Study], StudyRun]
) -> None:
    study, trials = seeds(tmp_path)
    run = begin(study)

    def stream(jobs: Sequence[TrialSpec], told: object, more: object) -> Iterator[tuple[str, list[Any]]]:
        (record,) = (run.ledger.storage / "stages" / jobs[0].key("generate")).glob("record-*.json")
        record.write_text(json.dumps({**json.loads(record.read_text()), "seconds": "a while"}))
        yield from ((trial.key("score"), []) for trial in jobs)

    record_as_they_arrive(run, "score", run.done.due("score"), job=lambda trial: trial, stream=stream)
    assert run.outcome.ran == {"score": 2}
    ((where, failed),) = run.outcome.failed.items()
    assert where == (trials[0].label, "score")
    assert "is not a record that this version can read" in failed.cause
    assert run.done.due("score") == []


@pytest.mark.slow
def test_compiler_that_was_too_old_for_a_program_is_kept_with_its_version(
    tmp_path: Path, begin: Callable[[Study], StudyRun]
) -> None:
    track = "translation/java-csharp"
    code = problem(1).model_copy(update={"track": track})
    newer = "public class S { public static int solve(int x) => x switch { 1 => 4, _ => 6 }; }"
    data = write_data(tmp_path / "data")
    (data / "test.jsonl").write_text(lines([code]), encoding="utf-8")
    tasks = {track: {"train": "micro", "test": {"reader": "jsonl", "path": "."}}}
    study = make_study(tmp_path, tasks=tasks, methods={"frozen": {"kind": "frozen"}})
    (trial,) = expand(study).trials
    commit(Ledger(study.storage), trial, "generate", files={"completions.jsonl": lines([complete(code, newer)])})
    run = begin(study)
    PIPELINES["execute"](run, [trial], in_process=True)
    (verdict,) = verdicts_of(run.ledger, run.ledger.records_of(trial)["execute"])
    if verdict.verdict == "passed" or verdict.reason == UnjudgedReason.TOOLCHAIN_MISSING:
        pytest.skip("no C# compiler here is too old for C# 8")
    assert verdict.reason == UnjudgedReason.TOOLCHAIN_TOO_OLD
    facts = run.ledger.records_of(trial)["execute"].facts
    assert facts["outdated_toolchains"] == {"csharp": toolchain_version(Language.CSHARP)}
    assert run.done.due("execute") == []
