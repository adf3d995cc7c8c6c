"""Orders and step counts: everything is seen, in an order that the seed alone decides."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.batches.mixture import shuffled_epochs
from trainers.loop.schedule import batches, steps_for

counts, seeds = st.integers(1, 200), st.integers(0, 2**32)


@given(counts, seeds, st.integers(1, 4))
def test_every_epoch_holds_every_index_once(count: int, seed: int, epochs: int) -> None:
    order = list(islice(shuffled_epochs(count, seed=seed), count * epochs))
    for epoch in range(epochs):
        assert sorted(order[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(counts, seeds)
def test_seed_alone_decides_the_order(count: int, seed: int) -> None:
    first, again = (list(islice(shuffled_epochs(count, seed=seed), 2 * count)) for _ in range(2))
    assert first == again


@given(st.integers(50, 200), seeds, seeds)
def test_other_seeds_and_later_epochs_give_other_orders(count: int, seed: int, other: int) -> None:
    order = list(islice(shuffled_epochs(count, seed=seed), 2 * count))
    assert order[:count] != order[count:]
    assert seed == other or order[:count] != list(islice(shuffled_epochs(count, seed=other), count))


@given(counts, seeds, st.integers(1, 16))
def test_batches_are_the_order_cut_into_equal_groups(count: int, seed: int, size: int) -> None:
    groups = list(islice(batches(shuffled_epochs(count, seed=seed), size=size), 5))
    assert [index for group in groups for index in group] == list(islice(shuffled_epochs(count, seed=seed), 5 * size))
    assert {len(group) for group in groups} == {size}


def test_nothing_to_draw_from_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one example, got none"):
        next(shuffled_epochs(0, seed=0))


@pytest.mark.parametrize(
    ("count", "batch_size", "epochs", "steps"),
    [(32, 8, 1.0, 4), (33, 8, 1.0, 5), (32, 8, 2.5, 10), (100, 16, 0.5, 4), (3, 16, 0.1, 1), (1, 1, 3.0, 3)],
)
def test_steps_see_all_rows_as_often_as_asked_rounded_up(
    count: int, batch_size: int, epochs: float, steps: int
) -> None:
    assert steps_for(count, batch_size=batch_size, epochs=epochs) == steps


@given(st.integers(1, 10_000), st.integers(1, 64), st.integers(1, 5))
def test_whole_epochs_are_seen_in_full_and_by_less_than_a_batch_more(count: int, size: int, epochs: int) -> None:
    seen = steps_for(count, batch_size=size, epochs=epochs) * size
    assert count * epochs <= seen < count * epochs + size
