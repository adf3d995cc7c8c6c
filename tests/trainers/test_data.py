"""Encoding, packing and collating: what is masked, what is left out, and what packing may not change."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.loading import load_base
from models.spec import ModelSpec
from tasks.records import Example
from trainers.batches.packing import pack, rows_of
from trainers.batches.rows import WIDTH_STEP, Encoded, EncodedSet, collate, encode
from trainers.objective.token_losses import loss_sums
from trainers.spec import TrainingSettings

CPU = torch.device("cpu")

TRACKS = ("generation/python", "summarization/java", "translation/java-csharp")


def settings_of(**changes: Any) -> TrainingSettings:
    return TrainingSettings.model_validate({"max_steps": 1, "max_length": 256} | changes)


@pytest.fixture(scope="module")
def mixed(examples_of: Any) -> tuple[Example, ...]:
    """Four examples of each of three tracks."""
    return tuple(example for track in TRACKS for example in examples_of(track, count=4))


@pytest.fixture(scope="module")
def encoded(mixed: tuple[Example, ...], tokenizer: Any) -> EncodedSet:
    return encode(mixed, tokenizer, settings=settings_of())


def test_completion_loss_is_taken_from_exactly_the_answer(
    mixed: tuple[Example, ...], encoded: EncodedSet, tokenizer: Any
) -> None:
    assert len(encoded.examples) == len(mixed)
    for example, made in zip(mixed, encoded.examples, strict=True):
        assert tokenizer.decode(made.ids[made.loss_from :]) == example.output + tokenizer.eos_token
        assert tokenizer.decode(made.ids[: made.loss_from]).endswith("Return:\n")
        assert made.track == example.track


def test_sequence_loss_is_taken_from_every_token_that_has_one_before_it(
    mixed: tuple[Example, ...], tokenizer: Any
) -> None:
    whole = encode(mixed, tokenizer, settings=settings_of(loss="sequence")).examples
    assert {made.loss_from for made in whole} == {1}


def test_examples_that_are_too_long_are_counted_by_track_and_never_cut(
    mixed: tuple[Example, ...], encoded: EncodedSet, tokenizer: Any
) -> None:
    lengths = sorted(len(made.ids) for made in encoded.examples)
    limit = lengths[len(lengths) // 2]
    short = encode(mixed, tokenizer, settings=settings_of(max_length=limit))
    assert set(short.examples) == {made for made in encoded.examples if len(made.ids) <= limit}
    expected = {t: sum(m.track == t and len(m.ids) > limit for m in encoded.examples) for t in TRACKS}
    assert short.too_long == {track: count for track, count in expected.items() if count}
    assert sum(short.too_long.values()) > 0


sizes = st.integers(8, 64).flatmap(lambda capacity: st.tuples(st.just(capacity), st.lists(st.integers(1, capacity))))


@given(sizes)
def test_packing_puts_every_item_in_exactly_one_row_within_capacity(drawn: tuple[int, list[int]]) -> None:
    capacity, lengths = drawn
    rows = pack(lengths, capacity=capacity)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(row and sum(lengths[index] for index in row) <= capacity for row in rows)


@given(sizes)
def test_packing_leaves_at_most_one_row_half_empty_and_keeps_its_order(drawn: tuple[int, list[int]]) -> None:
    capacity, lengths = drawn
    rows = pack(lengths, capacity=capacity)
    assert sum(2 * sum(lengths[index] for index in row) <= capacity for row in rows) <= 1
    assert rows == pack(list(lengths), capacity=capacity)
    assert all(list(row) == sorted(row, key=lambda i: (-lengths[i], i)) for row in rows)


def test_packed_rows_lose_no_example(encoded: EncodedSet) -> None:
    rows = rows_of(encoded.examples, settings=settings_of(packing=True))
    assert len(rows) < len(encoded.examples)
    assert sorted(e.ids for row in rows for e in row) == sorted(e.ids for e in encoded.examples)
    assert rows_of(encoded.examples, settings=settings_of()) == tuple((e,) for e in encoded.examples)


def test_packing_changes_no_loss(encoded: EncodedSet, model_spec: ModelSpec, tokenizer: Any) -> None:
    model = load_base(model_spec, precision="fp32", device=CPU).eval()
    assert model.dtype == torch.float32

    def sums(packing: bool) -> tuple[torch.Tensor, torch.Tensor]:
        rows = rows_of(encoded.examples, settings=settings_of(packing=packing))
        batch = collate(rows, pad=tokenizer.pad_token_id, tracks=TRACKS)
        assert (batch.mask_B1TT is not None) is packing
        with torch.no_grad():
            return loss_sums(model, batch, num_tracks=len(TRACKS))

    packed, apart = sums(True), sums(False)
    torch.testing.assert_close(packed[0], apart[0], atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(packed[0] / packed[1], apart[0] / apart[1], atol=1e-4, rtol=0.0)
    assert packed[1].tolist() == apart[1].tolist()
    assert all(packed[1] > 0)


def test_positions_restart_and_attention_stays_within_each_packed_example() -> None:
    first = Encoded(track="a", ids=(5, 6, 7), loss_from=1)
    second = Encoded(track="b", ids=(8, 9), loss_from=1)
    batch = collate([(first, second), (second,)], pad=0, tracks=("a", "b"))
    assert batch.ids_BT[:, :5].tolist() == [[5, 6, 7, 8, 9], [8, 9, 0, 0, 0]]
    assert batch.positions_BT[:, :5].tolist() == [[0, 1, 2, 0, 1], [0, 1, 0, 0, 0]]
    assert batch.track_BT[:, :5].tolist() == [[-1, 0, 0, -1, 1], [-1, 1, -1, -1, -1]]
    # Beyond the longest row there is padding up to a common width, and no loss.
    assert batch.ids_BT.shape == (2, WIDTH_STEP)
    assert not batch.ids_BT[:, 5:].any()
    assert (batch.track_BT[:, 5:] == -1).all()
    assert batch.mask_B1TT is not None
    assert not batch.mask_B1TT[0, 0, :5, 5:].any()
    assert batch.mask_B1TT[0, 0, :5, :5].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 1, 1],
    ]
    assert batch.mask_B1TT.any(-1).all()  # a row that may look nowhere would turn into nan
