"""Plans: why each stage would run, what is estimated and what is not known, all without a network."""

import json
import re
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_studies import commit, finish_training, make_study, trial_of

from models.shapes import Estimate, Unknown
from orchestrator.commands.plan import plan_as_json, print_plan
from orchestrator.commands.watch import picture
from orchestrator.ledger.ledger import Failure, Ledger
from orchestrator.ledger.manifest import read_named, write_named
from orchestrator.ledger.progress import progress_of
from orchestrator.plan.plan import DoesNotFit, PlannedTrial, plan, refuse_what_does_not_fit, version_notes
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.resources import Resources
from orchestrator.study.stages import STAGES
from orchestrator.study.trial import TrialSpec
from trainers.memory import Passes

RESOURCES = Resources(micro_tokens=2048)
PAPER = Path(__file__).resolve().parents[3] / "studies" / "paper-2601-15094.yaml"


@pytest.fixture
def trial(tmp_path: Path) -> TrialSpec:
    return trial_of(make_study(tmp_path), "qlora")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "runs")


def planned(trial: TrialSpec, ledger: Ledger) -> PlannedTrial:
    (found,) = plan([trial], ledger, resources=RESOURCES)
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
    found = plan(expand(make_study(tmp_path, seeds=[0, 1])).trials, ledger, resources=RESOURCES)
    train = {p.trial.label: p.stages[0].reason for p in found if p.trial.kind != "frozen"}
    assert train == {"micro/qlora/seed0": "done", "micro/qlora/seed1": "new"}


def test_plan_writes_nothing(ledger: Ledger, trial: TrialSpec) -> None:
    planned(trial, ledger)
    assert not ledger.storage.exists()


def test_hours_of_a_finished_stage_are_those_of_its_record(ledger: Ledger, trial: TrialSpec) -> None:
    finish_training(ledger, trial)
    assert planned(trial, ledger).stages[0].hours == Estimate(value=2.0, basis="measured")


def test_hours_of_a_like_trial_come_from_earlier_records_and_the_amount_of_work(ledger: Ledger, tmp_path: Path) -> None:
    finish_training(ledger, trial_of(make_study(tmp_path), "qlora"))
    more = make_study(tmp_path, seeds=[1], training={"max_steps": 8, "learning_rate": 0.01})
    like = planned(trial_of(more, "qlora"), ledger).stages[0]
    assert (like.action, like.hours) == ("run", Estimate(value=4.0, basis="from 1 earlier record"))
    for changes in ({"training": {"max_steps": 8, "batch_size": 4}}, {"methods": {"qlora": {"kind": "lora"}}}):
        other = planned(trial_of(make_study(tmp_path, **changes), "qlora"), ledger).stages[0]
        assert other.hours == Unknown(reason="no train of this model, method and data is in the ledger yet")


def finish(ledger: Ledger, trial: TrialSpec) -> None:
    """Leave all stages of a trial: two hours of training, two seconds of each other stage."""
    finish_training(ledger, trial)
    for stage, file in (("generate", "completions.jsonl"), ("execute", "verdicts.jsonl"), ("score", "cells.json")):
        commit(ledger, trial, stage, files={file: "[]"})


def test_cost_is_what_is_held_times_hours_times_its_price(ledger: Ledger, tmp_path: Path) -> None:
    finish(ledger, trial_of(make_study(tmp_path), "qlora"))
    trial = trial_of(make_study(tmp_path, seeds=[1]), "qlora")
    unpriced = planned(trial, ledger)
    assert unpriced.cost == Unknown(reason="no price is known; set resources.price_per_hour")
    assert unpriced.hours == Estimate(value=pytest.approx(2 + 6 / 3600), basis="from 1 earlier record")
    for resources, expected in (
        # Three cores train for two hours, one core works for six seconds.
        (Resources(trial_cpus=3, price_per_hour=0.5), (3 * 2 + 6 / 3600) * 0.5),
        # Two GPUs train for two hours, half a GPU writes for two seconds; cores come with GPUs.
        (Resources(trial_gpus=2, generator_gpus=0.5, price_per_hour=4), (2 * 2 + 0.5 * 2 / 3600) * 4),
    ):
        (found,) = plan([trial], ledger, resources=resources)
        assert isinstance(found.cost, Estimate) and found.cost.value == pytest.approx(expected)


def test_disk_is_that_of_like_stages_or_of_the_weights_shape(ledger: Ledger, tmp_path: Path) -> None:
    trial = trial_of(make_study(tmp_path), "qlora")
    bare = planned(trial, ledger).disk_bytes
    assert isinstance(bare, Estimate) and bare.basis == "from the model's shape"
    finish(ledger, trial)
    known = planned(trial_of(make_study(tmp_path, seeds=[1]), "qlora"), ledger).disk_bytes
    written = sum(f.size_bytes for record in ledger.records_of(trial).values() for f in record.outputs.values())
    assert known == Estimate(value=written, basis="from 1 earlier record")


SEVEN = {
    "models": ["Qwen/Qwen2.5-Coder-7B-Instruct"],
    "methods": {"full": {"kind": "full"}, "qlora": {"kind": "qlora"}},
}


def test_stage_that_two_trials_share_would_run_once(ledger: Ledger, tmp_path: Path) -> None:
    trials = expand(make_study(tmp_path, seeds=[0, 1], methods={"frozen": {"kind": "frozen"}})).trials
    first, second = plan(trials, ledger, resources=Resources())
    assert first.due == ("generate", "execute", "score")
    assert second.due == ()
    assert {(s.action, s.reason) for s in second.stages} == {("skip", "made by micro/frozen/seed0")}


def test_training_that_fits_no_device_is_refused_with_the_numbers_and_what_would_fit(
    ledger: Ledger, tmp_path: Path
) -> None:
    study = make_study(tmp_path, **SEVEN)
    found = plan(
        expand(study).trials, ledger, resources=Resources(trial_gpus=1, device_memory_gib=24, micro_tokens=32_768)
    )
    assert [bool(p.refusal) for p in found] == [True, False], "a micro-batch is halved until it fits"
    with pytest.raises(DoesNotFit) as caught:
        refuse_what_does_not_fit(found)
    # 16 bytes for each of 7.6e9 weights are 113 GiB.
    said = (
        r"nothing was started, since not all of the study fits:\n  Qwen2.5-Coder-7B-Instruct/full/seed0 needs at least "
        r"11\d\.\d GiB on one device \(from the model's shape\), and the largest has 24\.0 GiB "
        r"\(resources\.device_memory_gib\); would fit: .*resources\.full_workers: 8 \(1\d\.\d GiB\), "
        r"or kind: lora \(\d+\.\d GiB\), or kind: qlora \(\d+\.\d GiB\)"
    )
    assert re.fullmatch(said, str(caught.value)), caught.value


def test_nothing_is_refused_where_the_device_or_the_model_is_unknown(ledger: Ledger, tmp_path: Path) -> None:
    trials = expand(make_study(tmp_path, **SEVEN)).trials
    refuse_what_does_not_fit(plan(trials, ledger, resources=Resources(address="auto", trial_gpus=1)))
    unknown = expand(make_study(tmp_path, models=["org/base"])).trials
    refuse_what_does_not_fit(plan(unknown, ledger, resources=Resources(device_memory_gib=0.001)))


def test_training_that_is_done_is_not_refused_for_its_size(ledger: Ledger, trial: TrialSpec) -> None:
    small = Resources(device_memory_gib=0.001)
    assert plan([trial], ledger, resources=small)[0].refusal
    finish_training(ledger, trial)
    assert not plan([trial], ledger, resources=small)[0].refusal


def first_reasons(tmp_path: Path, ledger: Ledger, **changes: Any) -> list[str]:
    """Why each stage of the adapted trial would run, after the study as it was is finished."""
    before = make_study(tmp_path)
    for trial in expand(before).trials:
        if trial.kind != "frozen":
            finish(ledger, trial)
    write_named(ledger, before.study, expand(before).trials)
    study = make_study(tmp_path, **changes)
    (found,) = plan([trial_of(study, "qlora")], ledger, resources=RESOURCES, before=read_named(ledger, before.study))
    return [stage.reason for stage in found.stages]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["done"] * 4),
        ({"question": "Another wording?"}, ["done"] * 4),
        ({"resources": {"micro_tokens": 512}}, ["done"] * 4),
        (
            {"training": {"max_steps": 4, "learning_rate": 0.002}},
            ["settings changed: training.settings.learning_rate 0.001 -> 0.002", "after train", "after generate",
             "after generate"],
        ),
        (
            {"evaluation": {"quality": True}},
            ["done", "done", "done", "settings changed: quality False -> True"],
        ),
        (
            {"evaluation": {"quality": False, "generation": {"max_new_tokens": 7}}},
            ["done", "settings changed: generation.max_new_tokens 512 -> 7", "after generate", "after generate"],
        ),
    ],
)  # fmt: skip
def test_plan_says_which_setting_changed(
    ledger: Ledger, tmp_path: Path, changes: dict[str, Any], expected: list[str]
) -> None:
    assert first_reasons(tmp_path, ledger, **changes) == expected


def test_plan_says_which_data_changed(ledger: Ledger, tmp_path: Path) -> None:
    first_reasons(tmp_path, ledger)
    data = tmp_path / "data" / "test.jsonl"
    data.write_text(data.read_text().replace("Add 1 to x", "Add 1 to y"))
    study = make_study(tmp_path)
    found = plan([trial_of(study, "qlora")], ledger, resources=RESOURCES, before=read_named(ledger, study.study))
    assert [s.reason for s in found[0].stages][:2] == [
        "done",
        "data changed: generation/python, summarization/python",
    ], "one file serves both tracks"


def test_plan_says_which_code_changed(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = trial_of(make_study(tmp_path), "qlora")
    finish(ledger, trial)
    write_named(ledger, "small", [trial])
    monkeypatch.setitem(STAGES, "generate", replace(STAGES["generate"], version=STAGES["generate"].version + 1))
    (found,) = plan([trial], ledger, resources=RESOURCES, before=read_named(ledger, "small"))
    number = STAGES["generate"].version
    assert [s.reason for s in found.stages][:3] == [
        "done", f"code changed (generate {number - 1} -> {number})", "after generate"
    ]  # fmt: skip


def test_damaged_artifact_is_named_with_its_fault(ledger: Ledger, trial: TrialSpec) -> None:
    record = finish_training(ledger, trial)
    name = f"stages/{record.key}/attempts/{record.attempt}/checkpoint-4/adapter_model.safetensors"
    ledger.store.write(name, b"wei")
    assert reasons(trial, ledger)[:2] == [
        "artifact damaged: checkpoint-4/adapter_model.safetensors is cut short (3 of 7 bytes)", "after train"
    ]  # fmt: skip
    assert "artifact damaged" in progress_of([trial], ledger, live_since=None)[0].now.cause


def test_flipped_byte_of_a_small_file_is_in_the_plan(trial: TrialSpec, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "runs")
    path = ledger.folder(finish_training(ledger, trial)) / "checkpoint-4" / "adapter_model.safetensors"
    path.write_text("weighty")
    assert re.match("artifact damaged: checkpoint-4/adapter_model.safetensors was changed", reasons(trial, ledger)[0])


def test_other_versions_are_said_and_recompute_nothing(ledger: Ledger, trial: TrialSpec) -> None:
    made_by = {"torch": "2.12.0", "python": "3.11.7", "host": "one"}
    commit(ledger, trial, "train", files={"summary.json": "{}"}, provenance=made_by)
    commit(ledger, trial, "generate", files={"completions.jsonl": ""}, provenance=made_by | {"torch": "2.13.0"})
    found = [planned(trial, ledger)]
    now = {"torch": "2.13.0", "python": "3.11.7", "host": "another"}
    (note,) = version_notes(found, ledger, now)
    assert note == "torch 2.12.0 made finished train stages, and this is torch 2.13.0; they are kept as they are"
    assert [stage.reason for stage in found[0].stages][:2] == ["done", "done"]
    assert version_notes(found, ledger, now | {"torch": "3.0"}) == (
        "torch 2.12.0 made finished train stages, and this is torch 3.0; they are kept as they are",
        "torch 2.13.0 made finished generate stages, and this is torch 3.0; they are kept as they are",
    )


def test_memory_grows_with_the_tokens_of_a_pass(ledger: Ledger, trial: TrialSpec) -> None:
    small, large = (plan([trial], ledger, resources=Resources(micro_tokens=n))[0].memory_bytes for n in (512, 4096))
    assert isinstance(small, Estimate) and isinstance(large, Estimate)
    assert 0 < small.value < large.value
    assert small.basis == "from the model's shape"


def test_what_is_not_known_has_a_reason_and_refuses_nothing(ledger: Ledger, tmp_path: Path) -> None:
    study = make_study(tmp_path, models=["org/base"])
    found = planned(trial_of(study, "qlora"), ledger)
    assert found.memory_bytes == Unknown(reason="no shape of org/base ships with polytune")
    assert found.hours == Unknown(reason="no train of this model, method and data is in the ledger yet")
    assert found.due == ("train", "generate", "execute", "score")


def test_frozen_model_needs_nothing_for_training(ledger: Ledger, tmp_path: Path) -> None:
    found = planned(trial_of(make_study(tmp_path), "frozen"), ledger)
    assert found.memory_bytes == Unknown(reason="nothing is trained")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("planning opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)


@pytest.mark.usefixtures("no_network")
def test_founding_study_plans_without_a_network_and_names_what_nothing_pins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(tmp_path / "runs")
    started = time.process_time()
    found = plan(expand(load_study(PAPER)).trials, ledger, resources=load_study(PAPER).resources)
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
    found = {
        p.trial.label: p.memory_bytes
        for p in plan(expand(load_study(PAPER)).trials, ledger, resources=load_study(PAPER).resources)
    }
    for size in ("0.5B", "1.5B", "3B"):
        full, adapter = (
            found[f"Qwen2.5-Coder-{size}-Instruct/{method}/seed42"] for method in ("full-together", "qlora-together")
        )
        assert isinstance(full, Estimate) and isinstance(adapter, Estimate)
        assert full.value > adapter.value


def test_plan_as_json_says_all_that_a_program_needs(ledger: Ledger, tmp_path: Path) -> None:
    trials = expand(make_study(tmp_path, models=["org/base"])).trials
    found = plan_as_json(plan(trials, ledger, resources=RESOURCES))
    assert json.loads(json.dumps(found)) == found
    frozen, trained = found["trials"]
    assert set(trained) == {
        "trial", "tracks", "unresolved", "memory_bytes", "micro_tokens", "gradient_checkpointing", "checkpoint_bytes",
        "disk_bytes", "hours", "cost_usd", "refusal", "refused_here", "stages",
    }  # fmt: skip
    assert (trained["trial"], trained["unresolved"]) == ("base/qlora/seed0", ["model org/base"])
    assert trained["tracks"] == ["generation/python", "summarization/python"]
    assert trained["memory_bytes"] == {"unknown": "no shape of org/base ships with polytune"}
    assert trained["checkpoint_bytes"] == trained["memory_bytes"]
    assert (trained["micro_tokens"], trained["gradient_checkpointing"]) == (2048, False)
    assert (frozen["micro_tokens"], frozen["gradient_checkpointing"]) == (None, None)
    assert trained["stages"][0] == {
        "stage": "train",
        "action": "run",
        "reason": "new",
        "key": trials[1].key("train"),
        "hours": {"unknown": "no train of this model, method and data is in the ledger yet"},
    }
    assert [stage["stage"] for stage in frozen["stages"]] == ["generate", "execute", "score"]


def test_known_estimate_says_its_basis_as_json(ledger: Ledger, trial: TrialSpec) -> None:
    finish_training(ledger, trial)
    (found,) = plan_as_json([planned(trial, ledger)])["trials"]
    assert found["stages"][0]["hours"] == {"value": 2.0, "basis": "measured", "guess": False}
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


def test_memory_is_corrected_by_what_like_trainings_took(ledger: Ledger, tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=[0, 1])
    before = trial_of(study, "qlora")
    (alone,) = plan([before], ledger, resources=RESOURCES)
    assert isinstance(alone.memory_bytes, Estimate)
    took = alone.memory_bytes.value * 1.5
    runtime = {"micro_batch": 4, "gradient_checkpointing": False, "zero_stage": 2, "processes": 1}
    facts = {"weights": "checkpoint-4", "peak_memory_bytes": int(took), "runtime": runtime}
    commit(ledger, before, "train", files={"checkpoint-4/adapter_model.safetensors": "weights"}, facts=facts)
    other = next(t for t in expand(study).trials if t.method_name == "qlora" and t.seed == 1)
    (found,) = plan([other], ledger, resources=RESOURCES)
    assert isinstance(found.memory_bytes, Estimate)
    assert found.memory_bytes.value == pytest.approx(took)
    assert found.memory_bytes.basis == "from the model's shape, corrected by 1 training"


def test_passes_are_as_long_as_the_device_holds_and_recomputed_where_they_would_be_short(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path, **SEVEN, training={"max_steps": 4, "batch_tokens": 200_000})
    _, trial = expand(study).trials
    chosen = {}
    for gib in (24, 80):
        (found,) = plan([trial], ledger, resources=Resources(trial_gpus=1, device_memory_gib=gib))
        assert found.passes is not None and isinstance(found.memory_bytes, Estimate)
        assert found.memory_bytes.value <= gib * 2**30
        chosen[gib] = found.passes
        print_plan([found])
    assert chosen[24].gradient_checkpointing and not chosen[80].gradient_checkpointing
    assert f"({chosen[24].micro_tokens} tokens a pass, recomputing)" in " ".join(capsys.readouterr().out.split())
    (half,) = plan([trial], ledger, resources=Resources(trial_gpus=0.5, device_memory_gib=48))
    assert half.passes == chosen[24], "two trainings that share a GPU have half of it each"


def test_what_the_study_says_of_passes_stands(ledger: Ledger, tmp_path: Path) -> None:
    _, trial = expand(make_study(tmp_path, **SEVEN, training={"max_steps": 4, "batch_tokens": 200_000})).trials
    said = {"micro_tokens": 32_768, "gradient_checkpointing": False}
    (found,) = plan([trial], ledger, resources=Resources(trial_gpus=1, device_memory_gib=24, **said))
    assert found.passes == Passes(**said)
    (open_,) = plan([trial], ledger, resources=Resources(trial_gpus=1, device_memory_gib=24, micro_tokens=32_768))
    assert open_.passes == Passes(micro_tokens=32_768, gradient_checkpointing=True)


def test_longest_row_that_there_was_is_what_a_peak_is_compared_with(ledger: Ledger, tmp_path: Path) -> None:
    """A training of short examples takes less than its passes might, which is no word on those to come."""
    study = make_study(tmp_path, seeds=[0, 1])
    before, other = (t for t in expand(study).trials if t.method_name == "qlora")
    needs = [plan([before], ledger, resources=Resources(micro_tokens=n))[0].memory_bytes for n in (512, 2048)]
    short, long = (need.value for need in needs if isinstance(need, Estimate))
    runtime = {"micro_tokens": 2048, "gradient_checkpointing": False, "zero_stage": 2, "processes": 1}
    facts = {"weights": "checkpoint-4", "peak_memory_bytes": int(short), "runtime": runtime}
    facts |= {"footing": {"kernels": [], "longest_row": 512}}
    commit(ledger, before, "train", files={"checkpoint-4/adapter_model.safetensors": "weights"}, facts=facts)
    (found,) = plan([other], ledger, resources=RESOURCES)
    assert isinstance(found.memory_bytes, Estimate)
    assert found.memory_bytes.value == pytest.approx(long)


def test_checkpoints_of_a_training_are_in_the_plan(ledger: Ledger, tmp_path: Path) -> None:
    """Three of 12 bytes a weight of rank 8: two that are kept and one that is being written."""
    full, qlora = plan(
        expand(make_study(tmp_path, **SEVEN)).trials, ledger, resources=Resources(trial_gpus=1, device_memory_gib=200)
    )
    assert isinstance(full.checkpoint_bytes, Estimate) and isinstance(qlora.checkpoint_bytes, Estimate)
    assert qlora.checkpoint_bytes.value == pytest.approx(3 * 12 * 20.2e6, rel=0.01)
    # bf16 weights, 32-bit masters and two moments.
    assert full.checkpoint_bytes.value == pytest.approx(3 * 14 * 7.6e9, rel=0.01)
