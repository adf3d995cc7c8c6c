"""An execution that lacked a compiler is made again once the compiler is there, and once only."""

from pathlib import Path

import pytest

from evaluators.sandbox.toolchains import toolchain_version
from orchestrator.ledger.ledger import Ledger, StageRecord, digests_of
from orchestrator.ledger.progress import progress_of
from orchestrator.ledger.rejudging import JUDGED_AGAIN, present_tools
from orchestrator.plan.machine import this_machine
from orchestrator.plan.plan import plan
from orchestrator.run.budget import Limits, Meter
from orchestrator.run.pipelines import record_as_they_arrive
from orchestrator.run.state import Listener, StudyRun
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.resources import Resources
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from tasks.records import Language

STUDY = """
study: java
models: [builtin:micro]
tasks: {generation/python: {test: micro}}
methods: {frozen: {kind: frozen}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    path = tmp_path / "java.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return load_study(path)


@pytest.fixture
def trial(study: Study) -> TrialSpec:
    return expand(study).trials[0]


def commit(ledger: Ledger, trial: TrialSpec, stage: StageName, inputs: dict[str, str], **facts: object) -> StageRecord:
    attempt = ledger.begin(trial.key(stage))
    (attempt.folder / "out.jsonl").write_text(f"{stage} {facts}\n", encoding="utf-8")
    record = StageRecord(
        key=attempt.key,
        stage=stage,
        attempt=attempt.id,
        inputs=inputs,
        outputs=digests_of(attempt.folder),
        seconds=1.0,
        finished_at=1.0,
        facts=facts,  # type: ignore[arg-type]
    )
    return ledger.commit(attempt, record)


def test_execution_is_due_again_when_its_toolchain_has_come_and_done_after_that(
    tmp_path: Path, trial: TrialSpec
) -> None:
    ledger = Ledger(tmp_path / "runs")
    generated = commit(ledger, trial, "generate", {})
    inputs = {generated.key: generated.output_digest}
    # Python is always there, so a record that lacked it stands for one whose compiler was installed since.
    commit(ledger, trial, "execute", inputs, absent_toolchains=["python"])
    (before,) = plan([trial], ledger, resources=Resources(), machine=this_machine(Resources()))
    assert {s.stage: s.reason for s in before.stages}["execute"] == "lacked Python before, and has it now"
    again = commit(ledger, trial, "execute", inputs | JUDGED_AGAIN)
    assert ledger.records_of(trial)["execute"] == again
    (after,) = plan([trial], ledger, resources=Resources(), machine=this_machine(Resources()))
    assert {s.stage: s.action for s in after.stages}["execute"] == "skip"


def test_score_is_due_again_when_its_analyzer_has_come(tmp_path: Path, trial: TrialSpec) -> None:
    ledger = Ledger(tmp_path / "runs")
    generated = commit(ledger, trial, "generate", {})
    inputs = {generated.key: generated.output_digest}
    commit(ledger, trial, "execute", inputs)
    # lizard is a dependency, so a record that lacked it stands for one whose tool was installed since.
    commit(ledger, trial, "score", inputs, absent_tools=["lizard"])
    (before,) = plan([trial], ledger, resources=Resources(), machine=this_machine(Resources()))
    assert {s.stage: s.reason for s in before.stages}["score"] == "lacked lizard before, and has it now"
    commit(ledger, trial, "score", inputs | JUDGED_AGAIN)
    (after,) = plan([trial], ledger, resources=Resources(), machine=this_machine(Resources()))
    assert {s.stage: s.action for s in after.stages}["score"] == "skip"


def test_one_tool_of_several_that_were_missing_is_reason_enough(tmp_path: Path, trial: TrialSpec) -> None:
    ledger = Ledger(tmp_path / "runs")
    generated = commit(ledger, trial, "generate", {})
    inputs = {generated.key: generated.output_digest}
    commit(ledger, trial, "execute", inputs)
    # A tool of no such name never comes; lizard is here.
    commit(ledger, trial, "score", inputs, absent_tools=["a tool of tomorrow", "lizard"])
    (planned,) = plan([trial], ledger, resources=Resources(), machine=this_machine(Resources()))
    assert {s.stage: s.reason for s in planned.stages}["score"] == "lacked lizard before, and has it now"


def test_compiler_that_was_too_old_is_tried_again_when_its_version_is_another(tmp_path: Path, trial: TrialSpec) -> None:
    ledger = Ledger(tmp_path / "runs")
    generated = commit(ledger, trial, "generate", {})
    inputs = {generated.key: generated.output_digest}
    here = toolchain_version(Language.PYTHON)
    commit(ledger, trial, "execute", inputs, outdated_toolchains={"python": "2.7.18"})
    (before,) = plan([trial], ledger, resources=Resources(), machine=this_machine(Resources()))
    said = {s.stage: s.reason for s in before.stages}["execute"]
    assert said == f"Python was too old for some programs (2.7.18), and is {here} now"
    (shown,) = progress_of([trial], ledger, live_since=None, tools=present_tools())
    assert shown.stages[1].cause == said
    # Where the new one is too old as well, it is not asked a third time.
    commit(ledger, trial, "execute", inputs | JUDGED_AGAIN, outdated_toolchains={"python": here})
    (after,) = plan([trial], ledger, resources=Resources(), machine=this_machine(Resources()))
    assert {s.stage: s.action for s in after.stages}["execute"] == "skip"


def test_toolchain_of_a_language_that_the_trial_does_not_write_is_no_reason(tmp_path: Path, trial: TrialSpec) -> None:
    ledger = Ledger(tmp_path / "runs")
    generated = commit(ledger, trial, "generate", {})
    commit(ledger, trial, "execute", {generated.key: generated.output_digest}, absent_toolchains=["java"])
    (planned,) = plan([trial], ledger, resources=Resources(), machine=this_machine(Resources()))
    assert {s.stage: s.action for s in planned.stages}["execute"] == "skip"


def test_second_judgement_that_lacked_a_toolchain_itself_is_followed_by_one_that_counts(
    tmp_path: Path, study: Study, trial: TrialSpec
) -> None:
    ledger = Ledger(tmp_path / "runs")
    generated = commit(ledger, trial, "generate", {})
    inputs = {generated.key: generated.output_digest}
    # One image lacked one compiler, the next another; Python stands for both, since it is here now.
    commit(ledger, trial, "execute", inputs, absent_toolchains=["python"])
    second = commit(ledger, trial, "execute", inputs | JUDGED_AGAIN, absent_toolchains=["python"])
    with ledger.lease("java") as lease:
        run = StudyRun(expand(study), ledger, lease=lease, listener=Listener(), meter=Meter(study, ledger, Limits()))
        run.done.look()
        assert run.done.due("execute") == [trial]
        record_as_they_arrive(
            run,
            "execute",
            [trial],
            job=lambda trial: trial.key("execute"),
            stream=lambda jobs, told, more: ((key, []) for key in jobs),
        )
        assert run.done.due("execute") == []
    third = Ledger(tmp_path / "runs").records_of(trial)["execute"]
    assert (third.inputs, third.facts) == (second.inputs, {})
    assert third.attempt != second.attempt
    (after,) = plan([trial], ledger, resources=Resources(), machine=this_machine(Resources()))
    assert {s.stage: s.action for s in after.stages}["execute"] == "skip"


def test_judgement_that_another_run_made_meanwhile_is_kept(tmp_path: Path, trial: TrialSpec) -> None:
    ledger = Ledger(tmp_path / "runs")
    generated = commit(ledger, trial, "generate", {})
    inputs = {generated.key: generated.output_digest}
    seen = commit(ledger, trial, "execute", inputs, absent_toolchains=["python"])
    theirs = commit(ledger, trial, "execute", inputs | JUDGED_AGAIN)
    attempt = ledger.begin(trial.key("execute"))
    ours = theirs.model_copy(update={"attempt": attempt.id})
    assert ledger.commit(attempt, ours, instead_of=seen) == theirs
    assert ledger.records_of(trial)["execute"] == theirs
