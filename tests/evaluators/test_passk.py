"""pass@k against its definition."""

from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.passk import mean_pass_at_k, pass_at_k


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


def test_mean_takes_each_problem_s_own_number_of_samples() -> None:
    # By hand for k = 2: of (3, 2) it is 1 - C(1,2)/C(3,2) = 1, of (4, 2) 1 - C(2,2)/C(4,2) = 5/6, of (2, 0) 0.
    assert mean_pass_at_k([(3, 2), (4, 2), (2, 0)], k=2) == pytest.approx((1 + 5 / 6 + 0) / 3)
    # For k = 1 it is the mean of shares, not the share of all samples (4 of 9).
    assert mean_pass_at_k([(3, 2), (4, 2), (2, 0)], k=1) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_mean_is_refused_where_a_problem_has_too_few_samples_or_there_is_none() -> None:
    with pytest.raises(ValueError, match="2 problems have fewer than 3 judged samples, the fewest 1"):
        mean_pass_at_k([(3, 2), (2, 2), (1, 0)], k=3)
    with pytest.raises(ValueError, match="no problem has a judged sample"):
        mean_pass_at_k([], k=1)
