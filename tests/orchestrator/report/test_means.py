"""The mean difference over strata and seeds: against formulas of its own, and its laws."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import t as student

from orchestrator.report.statistics import MeanDifference, mean_difference
from orchestrator.report.statistics.proportions import Changes, changes_in, variance_if


def of_counts(gained: int, lost: int, problems: int) -> MeanDifference:
    """Right-or-wrong results of one stratum, in which the first has so many right that the second has not."""
    differences = [100.0] * gained + [-100.0] * lost + [0.0] * (problems - gained - lost)
    return mean_difference([np.array([differences])], coarse=True)


@pytest.mark.parametrize(("gained", "lost", "problems"), [(5, 3, 60), (20, 0, 100), (0, 4, 50), (7, 7, 30)])
@pytest.mark.parametrize("true", [-0.2, -0.05, 0.02, 0.1, 0.4])
def test_restricted_variance_is_that_of_the_likeliest_changes(
    gained: int, lost: int, problems: int, true: float
) -> None:
    def surprise(losing: float) -> float:
        shares = (losing + true, losing, 1 - 2 * losing - true)
        counts = (gained, lost, problems - gained - lost)
        return -sum(count * math.log(share) for count, share in zip(counts, shares, strict=True) if count)

    lowest, highest = max(0.0, -true) + 1e-12, (1 - true) / 2 - 1e-12
    losing = minimize_scalar(surprise, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-12}).x
    expected = (2 * losing + true - true**2) / problems
    differences = np.array([1.0] * gained + [-1.0] * lost + [0.0] * (problems - gained - lost))
    assert variance_if(true, [changes_in(differences)]) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_no_change_at_all_leaves_the_score_interval_of_tango() -> None:
    # Tango 1998: with no discordant pair the ends are z^2 / (n + z^2); here Student's t stands for z.
    found, t = of_counts(0, 0, 80), student.ppf(0.975, 79)
    assert found.interval().high == pytest.approx(100 * t**2 / (80 + t**2), abs=1e-6)
    assert found.interval().low == -found.interval().high
    assert found.p_difference() == 1.0


def test_few_changes_give_no_smaller_p_value_than_the_sign_test_can() -> None:
    assert of_counts(5, 0, 400).p_difference() == pytest.approx(2 / 2**5)
    assert of_counts(6, 0, 400).p_difference() == pytest.approx(2 / 2**6)
    # Six of six is what it takes to be rarer than 5 in 100.
    assert of_counts(5, 0, 400).p_difference() > 0.05 > of_counts(6, 0, 400).p_difference()


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_interval_and_tests_agree(gained: int, lost: int, agreed: int) -> None:
    found = of_counts(gained, lost, gained + lost + agreed + 6)
    low, high = found.interval(0.90)
    assert low <= found.mean <= high
    for margin in (1.0, 5.0, 12.0):
        if min(abs(high - margin), abs(low + margin)) > 1e-6:
            assert (found.p_equivalence(margin) < 0.05) == (-margin < low and high < margin)
            assert (found.p_not_worse(margin) < 0.05) == (low > -margin)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(6, 200))
@settings(max_examples=40, deadline=None)
def test_swapped_sides_say_the_same_with_the_other_sign(gained: int, lost: int, agreed: int) -> None:
    one, other = of_counts(gained, lost, gained + lost + agreed), of_counts(lost, gained, gained + lost + agreed)
    assert one.mean == -other.mean
    assert one.p_difference() == pytest.approx(other.p_difference())
    assert one.p_equivalence(5) == pytest.approx(other.p_equivalence(5))
    assert one.interval().low == pytest.approx(-other.interval().high, abs=1e-6)


@pytest.mark.parametrize("coarse", [True, False])
def test_equivalence_is_easier_with_a_wider_margin_and_with_more_problems(coarse: bool) -> None:
    def p_value(margin: float, times: int) -> float:
        differences = np.array([[100.0, -100.0, *[0.0] * 28] * times])
        return mean_difference([differences], coarse=coarse).p_equivalence(margin)

    assert p_value(10, 4) < p_value(5, 4) < p_value(2, 4)
    assert p_value(5, 16) < p_value(5, 4) < p_value(5, 1)


def test_seed_that_moves_all_problems_widens_the_interval_however_many_problems_there_are() -> None:
    rng = np.random.default_rng(0)
    moved = np.array([[-4.0], [0.0], [4.0]])
    widths = []
    for problems in (100, 10_000):
        found = mean_difference([moved + rng.normal(0, 2, (3, problems))], coarse=False)
        assert found.between_seeds == pytest.approx(16 / 3, rel=0.3)
        assert found.seed_share is not None and found.seed_share > 0.8
        widths.append(found.interval().high - found.interval().low)
    assert min(widths) > 2 * student.ppf(0.975, 2) * 2


def test_strata_count_alike_whatever_their_size() -> None:
    small, large = np.array([[10.0, 20.0, 30.0] * 4]), np.array([[0.0, 1.0] * 300])
    assert mean_difference([small, large], coarse=False).mean == pytest.approx((20 + 0.5) / 2)


def test_seed_share_of_one_seed_is_unknown() -> None:
    assert of_counts(4, 2, 50).seed_share is None


def test_so_many_problems_as_needed_would_decide() -> None:
    found = of_counts(12, 10, 150)
    needed = found.problems_needed(5.0)
    assert needed is not None
    times = math.ceil(needed / 150)
    larger = of_counts(12 * times, 10 * times, 150 * times)
    assert larger.p_equivalence(5.0) < 0.05
    assert found.p_equivalence(5.0) > 0.05


def test_detectable_difference_shrinks_with_problems_and_is_there_where_nothing_changed() -> None:
    sizes = [of_counts(0, 0, problems).detectable() for problems in (20, 200, 2000)]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] > 0
    assert of_counts(8, 8, 100).detectable() > of_counts(8, 8, 400).detectable()


def test_parts_of_problems_vary_less_than_whole_ones() -> None:
    whole = changes_in(np.array([1.0, -1.0, 0.0, 0.0] * 10))
    parts = changes_in(np.array([0.5, -0.5, 0.0, 0.0] * 10))
    assert (whole.grain, parts.grain) == (1.0, 0.5)
    assert isinstance(whole, Changes)
    for true in (0.0, 0.1):
        assert variance_if(true, [parts]) < variance_if(true, [whole])


def size_of(problems: int, margin: float, losing: float) -> float:
    """The exact probability of equality being claimed of methods that are the margin apart."""
    total = 0.0
    for gained, lost in product(range(problems + 1), repeat=2):
        rest = problems - gained - lost
        if rest < 0:
            continue
        log = math.lgamma(problems + 1) - sum(math.lgamma(count + 1) for count in (gained, lost, rest))
        log += gained * math.log(losing + margin) + lost * math.log(losing) + rest * math.log(1 - 2 * losing - margin)
        if log > math.log(1e-7) and of_counts(gained, lost, problems).p_equivalence(100 * margin) < 0.05:
            total += math.exp(log)
    return total


@pytest.mark.parametrize(("problems", "margin", "losing"), [(60, 0.05, 0.005), (100, 0.05, 0.01), (100, 0.1, 0.02)])
def test_equality_is_wrongly_claimed_in_at_most_five_of_a_hundred(problems: int, margin: float, losing: float) -> None:
    assert size_of(problems, margin, losing) <= 0.05
