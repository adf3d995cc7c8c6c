"""What a study may say of several tracks in one training, and what it may not."""

from pathlib import Path
from typing import Any

import pytest
from small_studies import CODE, PROSE, make_study

from orchestrator.study.conflicts import conflicts

WEIGHTS = {CODE: 1.0, PROSE: 2.0}


def found(tmp_path: Path, method: dict[str, Any], training: dict[str, Any]) -> list[str]:
    study = make_study(tmp_path, methods={"mixed": method | {"training": {"max_steps": 2, **training}}})
    return [f"{fault.where}: {fault.message}" for fault in conflicts(study)]


@pytest.mark.parametrize(
    "training",
    [
        {"mixture": {"strategy": "fixed", "weights": WEIGHTS, "by": "tokens"}},
        {"balance": {"loss": "fixed", "weights": WEIGHTS, "projection": True}},
        {"mixture": {"strategy": "temperature", "temperature": 2.0}, "balance": {"loss": "task_mean"}},
    ],
)
def test_mixtures_and_balances_of_the_studys_tracks_are_meant(tmp_path: Path, training: dict[str, Any]) -> None:
    assert found(tmp_path, {"kind": "lora"}, training) == []


def test_weights_of_other_tracks_are_named(tmp_path: Path) -> None:
    training = {"mixture": {"strategy": "fixed", "weights": {CODE: 1.0, "translation/java-csharp": 1.0}}}
    assert found(tmp_path, {"kind": "lora"}, training) == [
        "methods.mixed.training.mixture.weights: weights name each of the study's tracks and no other; look at "
        f"{PROSE}, translation/java-csharp"
    ]


def test_methods_of_one_task_each_have_nothing_to_weigh(tmp_path: Path) -> None:
    (text,) = found(tmp_path, {"kind": "lora", "grouping": "apart"}, {"balance": {"loss": "task_mean"}})
    assert text == (
        "methods.mixed.training.balance: it weighs several tasks in one training, and grouping apart trains each task "
        "by itself; leave balance out"
    )


def test_projection_is_for_adapters(tmp_path: Path) -> None:
    (text,) = found(tmp_path, {"kind": "full"}, {"balance": {"projection": True}})
    assert "kind full trains all" in text
