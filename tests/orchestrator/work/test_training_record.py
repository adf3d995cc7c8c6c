"""What a training leaves: who computed what and how it was cut in its record, and no checkpoint behind it."""

from pathlib import Path
from typing import Any

from small_studies import make_study, trial_of

from orchestrator.ledger.studies import ledger_of
from orchestrator.study.passes import saying
from orchestrator.study.resources import Resources
from orchestrator.work.training import Place, TrainingOrder, train_trial
from trainers.memory import Passes

TRAINING = {"max_steps": 3, "learning_rate": 0.001, "batch_size": 8, "max_length": 256}


def facts_after(tmp_path: Path, resources: Resources, method: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    """The facts of a training, and how many checkpoints lay there at each row that it logged."""
    study = make_study(tmp_path, methods={"one": method}, training=TRAINING)
    trial, ledger = trial_of(study, "one"), ledger_of(study)
    kept = f"stages/{trial.key('train')}/checkpoints/"
    seen: list[int] = []
    order = TrainingOrder(trial=trial, resources=resources)
    failed = train_trial(
        order,
        Place(storage=study.storage, root=study.data.root),
        listen=lambda row: seen.append(len(ledger.store.children(kept))),
    )
    assert failed is None
    assert list(ledger.store.entries(kept)) == []
    facts: dict[str, Any] = dict(ledger.records_of(trial)["train"].facts)
    return facts, seen


def test_checkpoints_of_a_training_are_gone_once_it_is_recorded(tmp_path: Path) -> None:
    _, seen = facts_after(tmp_path, Resources(checkpoint_minutes=0), {"kind": "lora"})
    assert seen[-1] == 2, "one after each step but the last, and none of them is too old to be kept"


def test_record_says_how_a_training_was_cut_and_who_computed_its_projections(tmp_path: Path) -> None:
    chosen = Passes(micro_tokens=300, gradient_checkpointing=True)
    facts, _ = facts_after(tmp_path, saying(Resources(), chosen), {"kind": "lora"})
    assert (facts["runtime"]["micro_tokens"], facts["runtime"]["gradient_checkpointing"]) == (300, True)
    footing = facts["footing"]
    assert 0 < footing["longest_row"] <= 320, "rows are filled up to whole widths"
    assert footing["ours"] == dict.fromkeys(
        ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"), 4
    )
    assert footing["by_peft"] == {}
    assert (footing["kernels"], footing["no_kernels"]) == ([], "the model is not on a GPU")
    assert footing["dropout"] == "several operators"


def test_record_names_projections_that_peft_computes(tmp_path: Path) -> None:
    facts, _ = facts_after(tmp_path, Resources(), {"kind": "lora", "lora": {"use_dora": True, "targets": ["q_proj"]}})
    assert (facts["footing"]["ours"], facts["footing"]["by_peft"]) == ({}, {"q_proj": 4})
