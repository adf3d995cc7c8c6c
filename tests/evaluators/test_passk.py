"""pass@k against its definition."""

from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.passk import pass_at_k


def test_one_draw_passes_as_often_as_samples_do() -> None:
    assert pass_at_k(10, 3, k=1) == pytest.approx(0.3)


def test_estimate_is_the_share_of_draws_that_hold_a_correct_sample() -> None:
    samples = [True, True, False, False, False]
    draws = list(combinations(samples, 3))
    assert pass_at_k(5, 2, k=3) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_no_correct_sample_gives_zero_and_too_few_wrong_ones_give_one() -> None:
    assert pass_at_k(5, 0, k=5) == 0.0
    assert pass_at_k(5, 3, k=3) == 1.0


@given(st.integers(1, 60), st.data())
def test_estimate_agrees_with_the_binomial_formula(num_samples: int, data: st.DataObject) -> None:
    num_correct = data.draw(st.integers(0, num_samples))
    k = data.draw(st.integers(1, num_samples))
    expected = 1 - comb(num_samples - num_correct, k) / comb(num_samples, k)
    assert pass_at_k(num_samples, num_correct, k=k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("num_samples", "num_correct", "k"), [(3, 1, 4), (3, 1, 0), (3, 4, 1), (3, -1, 1), (0, 0, 1)])
def test_undefined_estimates_are_refused(num_samples: int, num_correct: int, k: int) -> None:
    with pytest.raises(ValueError, match="must be from"):
        pass_at_k(num_samples, num_correct, k=k)
