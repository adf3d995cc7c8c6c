"""Clean-ups: what studies name stays with its evidence, all else is listed and goes only when asked."""

import json
from pathlib import Path

import pytest
from small_studies import commit, finish_training, make_study, trial_of
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.errors import LedgerError, StudyHeld
from orchestrator.ledger.garbage import Garbage, find_garbage, remove
from orchestrator.ledger.ledger import Failure, Ledger
from orchestrator.ledger.rejudging import JUDGED_AGAIN
from orchestrator.run.planning import store_study
from orchestrator.study.cells import expand
from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec

WEIGHTS = "checkpoint-4/adapter_model.safetensors"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path, methods={"qlora": {"kind": "qlora"}})


@pytest.fixture
def trial(study: Study, ledger: Ledger) -> TrialSpec:
    """The one trial of a study that was run."""
    store_study(expand(study), ledger)
    return trial_of(study, "qlora")


def finish(ledger: Ledger, trial: TrialSpec) -> None:
    finish_training(ledger, trial)
    for stage, file in (("generate", "completions.jsonl"), ("execute", "verdicts.jsonl"), ("score", "cells.json")):
        commit(ledger, trial, stage, files={file: "[]"})


def fail(ledger: Ledger, trial: TrialSpec, *, failed_at: float = 1.0) -> str:
    attempt = ledger.begin(trial.key("train"))
    failure = Failure(stage="train", cause="no", kind="code", traceback="...", failed_at=failed_at)
    ledger.fail(attempt, failure)
    return attempt.id


def whys(found: tuple[Garbage, ...]) -> dict[str, str]:
    return {item.attempt or item.key: item.why for item in found}


def test_finished_study_has_no_garbage(ledger: Ledger, trial: TrialSpec) -> None:
    finish(ledger, trial)
    before = ledger.store.entries("stages/")
    assert find_garbage(ledger) == remove(ledger) == ()
    assert ledger.store.entries("stages/") == before


def test_stage_that_no_study_names_goes_whole_and_the_others_stay(
    ledger: Ledger, trial: TrialSpec, study: Study, tmp_path: Path
) -> None:
    finish(ledger, trial)
    store_study(expand(make_study(tmp_path, seeds=[5], methods={"qlora": {"kind": "qlora"}})), ledger)
    keys = {trial.key(stage) for stage in trial.stages}
    assert whys(find_garbage(ledger)) == dict.fromkeys(keys, "no study names it")
    store_study(expand(study.model_copy(update={"study": "another"})), ledger)
    assert find_garbage(ledger) == (), "another study names the same stages"
    ledger.store.delete(["studies/another/study.json", "studies/another/stages.json"])
    if ledger.is_local:
        (ledger.storage / "studies" / "another").exists() and (ledger.storage / "studies" / "another").rmdir()
    assert {item.key for item in remove(ledger)} == keys
    assert ledger.store.entries("stages/") == []
    assert ledger.records_of(trial) == {}


def test_failed_damaged_and_superseded_attempts_go_once_the_stage_is_done(ledger: Ledger, trial: TrialSpec) -> None:
    failed = fail(ledger, trial)
    cut_off = ledger.begin(trial.key("train")).id
    first = finish_training(ledger, trial)
    ledger.store.write(f"stages/{first.key}/attempts/{first.attempt}/{WEIGHTS}", b"wei")
    ledger.find(trial, condemn=True)
    second = finish_training(ledger, trial)
    late = finish_training(ledger, trial, weights="came second")
    assert late == second
    found = whys(remove(ledger))
    assert len(found) == 4
    assert (found.pop(failed), found.pop(cut_off), found.pop(first.attempt)) == ("failed", "superseded", "damaged")
    assert list(found.values()) == ["superseded"]
    assert ledger.records_of(trial) == {"train": second}
    assert (ledger.folder(second) / WEIGHTS).read_text() == "weights"
    assert [folder.name for folder in ledger.attempts(trial.key("train"))] == [second.attempt]


def test_newest_failure_of_a_stage_that_is_not_done_stays_as_its_reason(ledger: Ledger, trial: TrialSpec) -> None:
    attempts = [fail(ledger, trial, failed_at=n) for n in (2.0, 1.0)]
    cut_off = ledger.begin(trial.key("train")).id
    assert whys(remove(ledger)) == {attempts[1]: "failed", cut_off: "superseded"}
    told = ledger.last_failure(trial.key("train"))
    assert told and told[0].failed_at == 2.0


def test_what_was_made_from_other_weights_goes(ledger: Ledger, trial: TrialSpec) -> None:
    first = finish_training(ledger, trial, weights="first")
    stale = commit(ledger, trial, "generate", files={"completions.jsonl": "old"})
    ledger.condemn(first, "damaged by hand")
    assert stale.attempt not in whys(find_garbage(ledger)), "the same weights may be made again"
    finish_training(ledger, trial, weights="second")
    fresh = commit(ledger, trial, "generate", files={"completions.jsonl": "new"})
    assert whys(remove(ledger))[stale.attempt] == "made from what has been made anew since"
    assert ledger.records_of(trial)["generate"] == fresh


def test_judgement_that_was_made_again_replaces_the_first(ledger: Ledger, trial: TrialSpec) -> None:
    finish(ledger, trial)
    first = ledger.records_of(trial)["execute"]
    again = commit(ledger, trial, "execute", files={"verdicts.jsonl": "[1]"}, inputs=dict(first.inputs) | JUDGED_AGAIN)
    assert whys(remove(ledger)) == {first.attempt: "judged again since"}
    assert ledger.records_of(trial)["execute"] == again


def test_judgement_that_was_made_a_third_time_replaces_both(ledger: Ledger, trial: TrialSpec) -> None:
    finish(ledger, trial)
    first = ledger.records_of(trial)["execute"]
    inputs = dict(first.inputs) | JUDGED_AGAIN
    second = commit(ledger, trial, "execute", files={"verdicts.jsonl": "[1]"}, inputs=inputs)
    attempt = ledger.begin(second.key)
    third = ledger.commit(attempt, second.model_copy(update={"attempt": attempt.id, "outputs": {}}), instead_of=second)
    assert whys(remove(ledger)) == dict.fromkeys([first.attempt, second.attempt], "judged again since")
    assert ledger.records_of(trial)["execute"] == third
    assert find_garbage(ledger) == ()


def test_running_study_loses_nothing(ledger: Ledger, trial: TrialSpec) -> None:
    with ledger.lease("small"):
        ledger.begin(trial.key("train"))
        ledger.begin("a key that a study names in a moment")
        assert find_garbage(ledger) == ()
        with pytest.raises(StudyHeld, match="small is being run by process"):
            remove(ledger)


def test_study_without_a_list_of_its_stages_stops_the_clean_up(ledger: Ledger) -> None:
    ledger.write_study_file("old", "study.json", "{}")
    with pytest.raises(LedgerError, match=r"study old .* has left no list of its stages"):
        find_garbage(ledger)


def test_command_lists_and_removes_only_when_asked(ledger: Ledger, trial: TrialSpec) -> None:
    finish_training(ledger, trial)
    fail(ledger, trial)
    listed = CliRunner().invoke(app, ["gc", ledger.address])
    assert "failed, 0.0 MiB\n1 item, 0.0 MiB: nothing was removed; --delete removes them\n" in listed.output
    told = json.loads(CliRunner().invoke(app, ["gc", ledger.address, "--delete", "--json"]).output)
    assert (told["deleted"], [item["why"] for item in told["items"]]) == (True, ["failed"])
    assert CliRunner().invoke(app, ["gc", ledger.address]).output == "0 items, 0.0 MiB: nothing to remove\n"
