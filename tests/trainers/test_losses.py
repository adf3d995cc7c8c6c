"""Losses by track against the plain computation, and their independence of how a batch is cut."""

from typing import Any

import pytest
import torch

from models.loading import load_base
from models.spec import ModelSpec
from trainers.batches.rows import Batch, collate, encode
from trainers.objective.token_losses import loss_sums
from trainers.spec import TrainingSettings

CPU = torch.device("cpu")

TRACKS = ("generation/python", "summarization/java")


@pytest.fixture(scope="module")
def model(model_spec: ModelSpec) -> Any:
    return load_base(model_spec, precision="fp32", device=CPU).eval()


@pytest.fixture(scope="module")
def rows(examples_of: Any, tokenizer: Any) -> list[tuple[Any, ...]]:
    examples = [example for track in TRACKS for example in examples_of(track, count=3)]
    encoded = encode(examples, tokenizer, settings=TrainingSettings(max_steps=1)).examples
    return [(example,) for example in encoded]


def naive(model: Any, batch: Batch) -> tuple[list[float], list[int]]:
    """Every logit of every token, then token by token."""
    logits = model(input_ids=batch.ids_BT).logits.log_softmax(-1)
    sums, counts = [0.0] * len(TRACKS), [0] * len(TRACKS)
    for b, t in (batch.track_BT >= 0).nonzero().tolist():
        track = int(batch.track_BT[b, t])
        sums[track] -= float(logits[b, t - 1, batch.ids_BT[b, t]])
        counts[track] += 1
    return sums, counts


@torch.no_grad()
def test_sums_by_track_are_those_of_the_plain_computation(model: Any, rows: Any, tokenizer: Any) -> None:
    batch = collate(rows, pad=tokenizer.pad_token_id, tracks=TRACKS)
    sums, counts = loss_sums(model, batch, num_tracks=len(TRACKS))
    expected, tokens = naive(model, batch)
    assert sums.tolist() == pytest.approx(expected, rel=1e-4)
    assert counts.tolist() == tokens == [sum(len(e.ids) - e.loss_from for (e,) in rows if e.track == t) for t in TRACKS]


@torch.no_grad()
def test_sums_add_up_over_any_cut_of_the_batch(model: Any, rows: Any, tokenizer: Any) -> None:
    pad = tokenizer.pad_token_id
    whole, _ = loss_sums(model, collate(rows, pad=pad, tracks=TRACKS), num_tracks=2)
    parts = [loss_sums(model, collate(cut, pad=pad, tracks=TRACKS), num_tracks=2)[0] for cut in (rows[:1], rows[1:])]
    torch.testing.assert_close(parts[0] + parts[1], whole, rtol=1e-5, atol=1e-3)


@torch.no_grad()
def test_track_that_is_absent_from_a_batch_counts_nothing(model: Any, rows: Any, tokenizer: Any) -> None:
    batch = collate(rows[:1], pad=tokenizer.pad_token_id, tracks=TRACKS)
    sums, counts = loss_sums(model, batch, num_tracks=2)
    assert (float(sums[1]), int(counts[1])) == (0.0, 0)
