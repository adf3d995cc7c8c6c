"""Encoding, batches and rows: what is masked, what is left out, and what lies where in a row."""

from itertools import cycle, islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.records import Example
from trainers.batches.mixture import Size, steps_of
from trainers.batches.rows import FILLER, WIDTH_STEP, Encoded, EncodedSet, cut, encode, lay_flat
from trainers.loop.schedule import batches, warmup_of
from trainers.spec import TrainingSettings

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


sizes = st.tuples(st.integers(8, 64), st.lists(st.integers(1, 80)))


@given(sizes)
def test_cut_puts_every_item_in_exactly_one_row_within_room_unless_it_is_alone(drawn: tuple[int, list[int]]) -> None:
    room, lengths = drawn
    rows = cut(lengths, micro_tokens=room)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(len(row) == 1 or sum(lengths[index] for index in row) <= room for row in rows)


@given(sizes)
def test_cut_leaves_at_most_one_row_half_empty_and_keeps_its_order(drawn: tuple[int, list[int]]) -> None:
    room, lengths = drawn
    rows = cut(lengths, micro_tokens=room)
    assert sum(2 * sum(lengths[index] for index in row) <= room for row in rows) <= 1
    assert rows == cut(list(lengths), micro_tokens=room)
    assert all(list(row) == sorted(row, key=lambda i: (-lengths[i], i)) for row in rows)


FIRST = Encoded(track="a", ids=(5, 6, 7), loss_from=1)
SECOND = Encoded(track="b", ids=(8, 9, 10), loss_from=2)


def test_row_holds_examples_one_after_another_with_positions_and_losses_of_their_own() -> None:
    row = lay_flat([FIRST, SECOND], keys=(4, 2), tracks=("a", "b"), pad=0)
    assert row.ids_1T[0, :6].tolist() == [5, 6, 7, 8, 9, 10]
    assert row.positions_1T[0, :8].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert row.keys_T[:7].tolist() == [4, 4, 4, 2, 2, 2, FILLER]
    assert (row.before_N.tolist(), row.targets_N.tolist(), row.track_N.tolist()) == ([0, 1, 4], [6, 7, 10], [0, 0, 1])
    # What fills a row up to a common width is an example of nothing.
    assert row.tokens == WIDTH_STEP
    assert row.segments.lengths == (3, 3, WIDTH_STEP - 6)
    assert not row.ids_1T[0, 6:].any()


def test_row_of_a_single_example_is_just_as_long_as_it() -> None:
    row = lay_flat([SECOND], keys=(0,), tracks=("a", "b"), pad=0, filled=False)
    assert (row.tokens, row.segments.lengths) == (3, (3,))


def test_batches_are_so_many_examples_or_as_many_as_have_so_many_tokens() -> None:
    lengths = [5, 1, 4, 9]

    def some(**settings: int) -> list[tuple[int, ...]]:
        return list(islice(batches(cycle(range(4)), lengths=lengths, settings=settings_of(**settings)), 4))

    assert some(batch_size=3) == [(0, 1, 2), (3, 0, 1), (2, 3, 0), (1, 2, 3)]
    assert some(batch_tokens=6) == [(0, 1), (2, 3), (0, 1), (2, 3)]
    assert some(batch_tokens=9) == [(0, 1, 2), (3,), (0, 1, 2), (3,)]


def test_epochs_are_counted_in_examples_however_a_batch_is_said() -> None:
    lengths = [5, 1, 4, 9]
    for settings, steps in (({"batch_size": 3}, 3), ({"batch_tokens": 6}, 4), ({"batch_tokens": 1000}, 1)):
        order = batches(cycle(range(4)), lengths=lengths, settings=settings_of(**settings))
        sizes = [Size(track="a", tokens=length, loss_tokens=1) for length in lengths]
        assert steps_of(order, sizes, by="examples", epochs=2.0) == steps


def test_batch_is_said_once_and_is_16_examples_unless_it_is() -> None:
    assert settings_of().batch_size == 16
    assert (settings_of(batch_tokens=99).batch_size, settings_of(batch_tokens=99).batch_tokens) == (None, 99)
    with pytest.raises(ValueError, match="batch_size 4 and batch_tokens 99 both say how large a batch is"):
        settings_of(batch_size=4, batch_tokens=99)


def test_warm_up_beyond_the_training_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"warmup_steps is 20, and the training has 10 steps.*set at most 10"):
        settings_of(max_steps=10, warmup_steps=20)
    by_epochs = TrainingSettings(epochs=1, warmup_steps=20)
    with pytest.raises(ValueError, match=r"warmup_steps is 20, and the training has 10 steps"):
        warmup_of(by_epochs, total_steps=10)
    assert warmup_of(TrainingSettings(epochs=1, warmup_ratio=0.25), total_steps=10) == 2
    with pytest.raises(ValueError, match="both say how long the rate rises"):
        settings_of(max_steps=10, warmup_steps=2, warmup_ratio=0.1)
