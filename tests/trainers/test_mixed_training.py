"""Trainings of several tracks for real: what they saw is on record, and a balance reaches the weights."""

from pathlib import Path
from typing import Any

import pytest

from trainers.loop.train import Hooks, TrainingData, TrainingSummary, train

pytestmark = pytest.mark.slow

TRACKS = ("generation/python", "summarization/java")


@pytest.fixture
def trained(examples_of: Any, spec_of: Any, runtime: Any, tmp_path: Path) -> Any:
    rows = (*examples_of(TRACKS[0], count=24), *examples_of(TRACKS[1], count=6))
    held = tuple(example for track in TRACKS for example in examples_of(track, start=24, count=4))

    def run(name: str, *, micro_tokens: int = 4096, **settings: Any) -> tuple[TrainingSummary, bytes]:
        out = tmp_path / name
        data = TrainingData(train=rows, validation=held)
        cut = runtime.model_copy(update={"micro_tokens": micro_tokens})
        summary = train(spec_of(max_steps=8, batch_size=6, **settings), data=data, out=out, runtime=cut, hooks=Hooks())
        return summary, (out / summary.weights / "adapter_model.safetensors").read_bytes()

    return run


def test_record_says_what_was_seen_of_each_track(trained: Any) -> None:
    summary, _ = trained("equal", mixture={"strategy": "equal"})
    assert {track: (seen.examples, seen.epochs) for track, seen in summary.seen.items()} == {
        TRACKS[0]: (24, 1.0),
        TRACKS[1]: (24, 4.0),
    }
    assert sum(seen.tokens for seen in summary.seen.values()) == summary.tokens
    plain, _ = trained("plain")
    assert sum(seen.examples for seen in plain.seen.values()) == 48


def test_each_balance_trains_other_weights_and_the_same_ones_again(trained: Any) -> None:
    last_losses, weights = {}, {}
    for loss in ("token_mean", "task_mean", "coba"):
        summary, weights[loss] = trained(loss, balance={"loss": loss}, validate_every=2)
        last_losses[loss] = summary.last_loss
    # What is kept is the best checkpoint, which may lie before CoBa's weights begin to differ.
    assert len(set(last_losses.values())) == 3
    assert weights["token_mean"] != weights["task_mean"]
    again, as_before = trained("again", balance={"loss": "coba"}, validate_every=2)
    assert (again.last_loss, as_before) == (last_losses["coba"], weights["coba"])


def test_projected_training_differs_and_is_the_same_under_any_cut(trained: Any) -> None:
    settings: dict[str, Any] = {"balance": {"loss": "task_mean", "projection": True}, "precision": "fp32"}
    summary, projected = trained("projected", **settings)
    _, plain = trained("unprojected", balance={"loss": "task_mean"}, precision="fp32")
    assert projected != plain
    single, _ = trained("single", micro_tokens=1, **settings)
    assert single.last_loss == pytest.approx(summary.last_loss, rel=1e-3)
    assert single.seen == summary.seen
