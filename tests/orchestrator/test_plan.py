"""Plans: why each stage would run, what is estimated and what is not known, all without a network."""

import json
import socket
import time
from pathlib import Path

import pytest
from rich.console import Console
from small_studies import commit, finish_training, make_study, trial_of

from orchestrator.ledger import Failure, Ledger
from orchestrator.plan import PlannedTrial, plan
from orchestrator.planview import plan_as_json, print_plan
from orchestrator.progress import progress_of
from orchestrator.studyfile import load_study
from orchestrator.trial import TrialSpec, trials_of
from orchestrator.watch import picture
from trainers.memory import Estimate, Unknown

PAPER = Path(__file__).resolve().parents[2] / "studies" / "paper-2601-15094.yaml"


@pytest.fixture
def trial(tmp_path: Path) -> TrialSpec:
    return trial_of(make_study(tmp_path), "qlora")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "runs")


def planned(trial: TrialSpec, ledger: Ledger) -> PlannedTrial:
    (found,) = plan([trial], ledger, micro_batch=4)
    return found


def reasons(trial: TrialSpec, ledger: Ledger) -> list[str]:
    return [stage.reason for stage in planned(trial, ledger).stages]


def fail(ledger: Ledger, trial: TrialSpec, cause: str) -> None:
    failure = Failure(stage="train", cause=cause, kind="code", traceback="Traceback ...", failed_at=1.0)
    ledger.fail(ledger.begin(trial.key("train")), failure)


def test_first_stage_is_new_and_the_others_wait_for_their_inputs(ledger: Ledger, trial: TrialSpec) -> None:
    found = planned(trial, ledger)
    assert [stage.reason for stage in found.stages] == ["new", "after train", "after generate", "after generate"]
    assert found.due == trial.stages
    assert {stage.trial for stage in found.stages} == {trial.label}
    assert [stage.key for stage in found.stages] == [trial.key(stage) for stage in trial.stages]


def test_finished_stages_are_skipped(ledger: Ledger, trial: TrialSpec) -> None:
    finish_training(ledger, trial)
    commit(ledger, trial, "generate", files={"completions.jsonl": ""})
    assert reasons(trial, ledger) == ["done", "done", "new", "new"]
    assert planned(trial, ledger).due == ("execute", "score")
    commit(ledger, trial, "execute", files={"verdicts.jsonl": ""})
    commit(ledger, trial, "score", files={"cells.json": "[]"})
    assert planned(trial, ledger).due == ()


def test_failed_stage_would_run_again_and_says_its_cause(ledger: Ledger, trial: TrialSpec) -> None:
    fail(ledger, trial, "out of memory")
    assert reasons(trial, ledger)[:2] == ["failed before: out of memory", "after train"]
    assert planned(trial, ledger).due == trial.stages


def test_stage_that_was_begun_and_cut_off_would_run_again(ledger: Ledger, trial: TrialSpec) -> None:
    ledger.begin(trial.key("train"))
    assert reasons(trial, ledger)[0] == "begun and not finished"


def test_success_after_a_failure_is_done(ledger: Ledger, trial: TrialSpec) -> None:
    fail(ledger, trial, "out of memory")
    finish_training(ledger, trial)
    assert reasons(trial, ledger)[:2] == ["done", "new"]


def test_added_seed_runs_only_its_own_cells(ledger: Ledger, tmp_path: Path) -> None:
    finish_training(ledger, trial_of(make_study(tmp_path), "qlora"))
    found = plan(trials_of(make_study(tmp_path, seeds=[0, 1])), ledger, micro_batch=4)
    train = {p.trial.label: p.stages[0].reason for p in found if p.trial.kind != "frozen"}
    assert train == {"micro/qlora/seed0": "done", "micro/qlora/seed1": "new"}


def test_plan_writes_nothing(ledger: Ledger, trial: TrialSpec) -> None:
    planned(trial, ledger)
    assert not ledger.storage.exists()


def test_hours_are_those_of_the_record(ledger: Ledger, trial: TrialSpec) -> None:
    finish_training(ledger, trial)
    assert planned(trial, ledger).hours == Estimate(value=2.0, basis="measured")


def test_memory_grows_with_the_micro_batch(ledger: Ledger, trial: TrialSpec) -> None:
    small, large = (plan([trial], ledger, micro_batch=n)[0].memory_bytes for n in (1, 8))
    assert isinstance(small, Estimate) and isinstance(large, Estimate)
    assert 0 < small.value < large.value
    assert small.basis == "from the model's shape"


def test_what_is_not_known_has_a_reason_and_refuses_nothing(ledger: Ledger, tmp_path: Path) -> None:
    study = make_study(tmp_path, models=["org/base"])
    found = planned(trial_of(study, "qlora"), ledger)
    assert found.memory_bytes == Unknown(reason="no shape of org/base ships with polytune")
    assert found.hours == Unknown(reason="no training of this model on this hardware is in the ledger yet")
    assert found.due == ("train", "generate", "execute", "score")


def test_frozen_model_needs_nothing_for_training(ledger: Ledger, tmp_path: Path) -> None:
    found = planned(trial_of(make_study(tmp_path), "frozen"), ledger)
    assert found.memory_bytes == found.hours == Unknown(reason="nothing is trained")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("planning opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)


@pytest.mark.usefixtures("no_network")
def test_founding_study_plans_without_a_network_and_names_what_nothing_pins(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.process_time()
    found = plan(trials_of(load_study(PAPER)), ledger, micro_batch=2)
    # Of this process's own time, since the machine may be busy.
    assert time.process_time() - started < 5
    # Three sizes x (together + one for each of three tasks + full).
    assert len(found) == 15
    assert all(isinstance(p.memory_bytes, Estimate) for p in found)
    print_plan(found)
    shown = capsys.readouterr().out.replace("\n", " ")
    for size in ("0.5B", "1.5B", "3B"):
        assert f"unresolved: model Qwen/Qwen2.5-Coder-{size}-Instruct is not pinned to a revision" in shown
    for name in ("google/code_x_glue_ct_code_to_text", "google/code_x_glue_cc_code_to_code_trans"):
        assert shown.count(f"unresolved: hub source {name} is not pinned") == 1


def test_full_fine_tuning_is_estimated_above_an_adapter_of_the_same_model(ledger: Ledger) -> None:
    found = {p.trial.label: p.memory_bytes for p in plan(trials_of(load_study(PAPER)), ledger, micro_batch=2)}
    for size in ("0.5B", "1.5B", "3B"):
        full, adapter = (
            found[f"Qwen2.5-Coder-{size}-Instruct/{method}/seed42"] for method in ("full-together", "qlora-together")
        )
        assert isinstance(full, Estimate) and isinstance(adapter, Estimate)
        assert full.value > adapter.value


def test_plan_as_json_says_all_that_a_program_needs(ledger: Ledger, tmp_path: Path) -> None:
    trials = trials_of(make_study(tmp_path, models=["org/base"]))
    found = plan_as_json(plan(trials, ledger, micro_batch=4))
    assert json.loads(json.dumps(found)) == found
    frozen, trained = found["trials"]
    assert set(trained) == {"trial", "tracks", "unresolved", "memory_bytes", "hours", "stages"}
    assert (trained["trial"], trained["unresolved"]) == ("base/qlora/seed0", ["model org/base"])
    assert trained["tracks"] == ["generation/python", "summarization/python"]
    assert trained["memory_bytes"] == {"unknown": "no shape of org/base ships with polytune"}
    assert trained["stages"][0] == {
        "stage": "train",
        "action": "run",
        "reason": "new",
        "key": trials[1].key("train"),
    }
    assert [stage["stage"] for stage in frozen["stages"]] == ["generate", "execute", "score"]


def test_known_estimate_says_its_basis_as_json(ledger: Ledger, trial: TrialSpec) -> None:
    finish_training(ledger, trial)
    (found,) = plan_as_json([planned(trial, ledger)])["trials"]
    assert found["hours"] == {"value": 2.0, "basis": "measured"}
    assert found["memory_bytes"]["value"] > 0


def test_brackets_of_a_cause_are_shown_as_they_are(
    ledger: Ledger, trial: TrialSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(ledger, trial, "no [/INST] in list[int]")
    Console().print(picture(progress_of([trial], ledger, live_since=None)))
    print_plan([planned(trial, ledger)])
    shown = "".join(part for part in capsys.readouterr().out.replace("│", " ").split())
    assert shown.count("[/INST]") == 2
    assert shown.count("list[int]") == 2
