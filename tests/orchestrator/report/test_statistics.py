"""Intervals and paired tests against published values, other implementations and their own laws."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.report.statistics import (
    Comparison,
    NotComparable,
    bootstrap_interval,
    cliffs_delta,
    compare,
    holm,
    name_magnitude,
    wilson_interval,
)


def make_columns(
    *, both: int = 0, only_a: int = 0, only_b: int = 0, neither: int = 0
) -> tuple[dict[str, float], dict[str, float]]:
    pairs = [(1, 1)] * both + [(1, 0)] * only_a + [(0, 1)] * only_b + [(0, 0)] * neither
    return {str(i): a for i, (a, _) in enumerate(pairs)}, {str(i): b for i, (_, b) in enumerate(pairs)}


def test_wilson_interval_equals_its_formula() -> None:
    p, n, z = 0.3, 50, 1.959964
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    found = wilson_interval(15, total=50)
    assert found is not None
    assert found == pytest.approx((centre - half, centre + half), abs=1e-6)


def test_wilson_interval_of_no_success_has_a_width() -> None:
    found = wilson_interval(0, total=10)
    assert found is not None
    # Wilson at p = 0: z^2 / (n + z^2).
    assert found.low == pytest.approx(0, abs=1e-12)
    assert found.high == pytest.approx(3.841459 / 13.841459, abs=1e-5)


def test_wilson_interval_of_nothing_is_none() -> None:
    assert wilson_interval(0, total=0) is None


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="within 0 and total=3, got 4"):
        wilson_interval(4, total=3)


def test_bootstrap_interval_is_reproducible_and_holds_the_mean() -> None:
    values = [random.Random(i).gauss(10, 3) for i in range(80)]
    found = bootstrap_interval(values, seed=3)
    assert found is not None and found == bootstrap_interval(values, seed=3)
    assert found.low < sum(values) / 80 < found.high
    # Against the normal theory interval, whose half width here is about 0.66.
    assert found.high - found.low == pytest.approx(2 * 1.96 * 3 / math.sqrt(80), rel=0.25)


def test_values_that_do_not_vary_have_no_bootstrap_interval() -> None:
    assert bootstrap_interval([]) is None
    assert bootstrap_interval([4.0]) is None
    assert bootstrap_interval([4.0, 4.0, 4.0]) is None


def test_holm_multiplies_by_the_steps_left() -> None:
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, then 1 x 0.04 raised to the step before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()
    assert holm([0.6, 0.9]) == (1.0, 1.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    by_raw = [q for _, q in sorted(zip(p_values, adjusted, strict=True))]
    assert by_raw == sorted(by_raw)


def test_cliffs_delta_counts_pairs() -> None:
    assert cliffs_delta([1, 2, 3], [0, 2, 2]) == pytest.approx((5 - 2) / 9)
    assert cliffs_delta([1.0], [1.0]) == 0


def test_cliffs_delta_of_an_empty_column_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one value in each column"):
        cliffs_delta([], [1.0])


@given(*[st.lists(st.integers(-5, 5), min_size=1, max_size=30)] * 2)
def test_cliffs_delta_equals_counting_all_pairs(a: list[int], b: list[int]) -> None:
    counted = sum((x > y) - (x < y) for x in a for y in b) / (len(a) * len(b))
    assert cliffs_delta(a, b) == pytest.approx(counted)
    assert cliffs_delta(b, a) == pytest.approx(-counted)


@pytest.mark.parametrize(
    ("delta", "word"), [(0.0, "negligible"), (-0.147, "small"), (0.33, "medium"), (-0.474, "large"), (1.0, "large")]
)
def test_magnitudes_change_at_their_bounds(delta: float, word: str) -> None:
    assert name_magnitude(delta) == word


def test_zero_one_columns_get_the_exact_test_below_25_discordant_pairs() -> None:
    found = compare(*make_columns(both=10, only_a=8, only_b=2, neither=10))
    assert isinstance(found, Comparison)
    assert (found.test, found.n, found.dropped) == ("mcnemar-exact", 30, 0)
    assert found.p_value == pytest.approx(2 * (1 + 10 + 45) / 2**10)
    assert found.effect == "odds_ratio" and found.effect_size == pytest.approx(8.5 / 2.5)
    assert found.ci is not None and found.ci.low < 8.5 / 2.5 < found.ci.high
    assert found.difference == pytest.approx(0.2)


def test_many_discordant_pairs_get_the_corrected_chi_square() -> None:
    # Approval ratings of Agresti 1990, p. 350; by the formula (|b - c| - 1)^2 / (b + c) and chi-square's tail.
    found = compare(*make_columns(both=794, only_a=150, only_b=86, neither=570))
    assert isinstance(found, Comparison)
    assert found.test == "mcnemar-chi2"
    assert found.statistic == pytest.approx(63**2 / 236)
    assert found.p_value == pytest.approx(math.erfc(math.sqrt(63**2 / 236 / 2)))


def test_the_correction_makes_no_difference_out_of_none() -> None:
    found = compare(*make_columns(only_a=20, only_b=20))
    assert isinstance(found, Comparison)
    assert (found.test, found.statistic, found.p_value, found.effect_size) == ("mcnemar-chi2", 0.0, 1.0, 1.0)


def test_other_columns_get_wilcoxon_and_cliffs_delta() -> None:
    # Depression scores of Hollander & Wolfe 1973, p. 29: the rank sums are 40 and 5; exactly 20 of the 512
    # sign patterns are as extreme on either side.
    x = (1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30)
    y = (0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29)
    found = compare({str(i): v for i, v in enumerate(x)}, {str(i): v for i, v in enumerate(y)})
    assert isinstance(found, Comparison)
    assert (found.test, found.statistic) == ("wilcoxon", 5.0)
    assert found.p_value == pytest.approx(20 / 512)
    assert found.effect == "cliffs_delta" and found.effect_size == pytest.approx(cliffs_delta(x, y))
    assert found.magnitude == "medium"
    assert found.ci is not None and found.ci.low < found.effect_size < found.ci.high


def test_interval_of_cliffs_delta_equals_ranking_every_resample() -> None:
    import numpy as np
    from scipy.stats import bootstrap

    rng = random.Random(5)
    a = [round(rng.gauss(50, 10)) for _ in range(60)]
    b = [round(value - rng.gauss(4, 6)) for value in a]
    found = compare({str(i): v for i, v in enumerate(a)}, {str(i): v for i, v in enumerate(b)})
    other = bootstrap(
        (np.array(a), np.array(b)), cliffs_delta, paired=True, vectorized=False, method="percentile", n_resamples=2000
    ).confidence_interval
    assert isinstance(found, Comparison) and found.ci is not None
    assert found.ci == pytest.approx((other.low, other.high), abs=0.03)


def test_equal_columns_have_p_one_and_say_so() -> None:
    columns = {"a": 0.5, "b": 0.25, "c": 0.1}
    found = compare(columns, columns)
    assert isinstance(found, Comparison)
    assert (found.p_value, found.effect_size, found.difference) == (1.0, 0.0, 0.0)
    assert found.note == "all 3 differences are zero"
    assert found.ci is None and found.difference_ci is None


def test_zero_one_columns_that_agree_have_p_one_and_say_so() -> None:
    found = compare(*make_columns(both=3, neither=2))
    assert isinstance(found, Comparison)
    assert (found.p_value, found.effect_size, found.note) == (1.0, 1.0, "all 5 pairs agree")


def test_ids_of_one_side_and_values_that_are_no_number_are_dropped_and_counted() -> None:
    found = compare({"a": 0.1, "b": 0.2, "c": math.nan, "d": 0.4}, {"a": 0.2, "b": 0.5, "c": 0.1, "e": 0.9})
    assert isinstance(found, Comparison)
    assert (found.n, found.dropped) == (2, 3)


def test_columns_without_a_common_id_are_not_comparable() -> None:
    assert compare({"a": 1.0}, {"b": 1.0}) == NotComparable(reason="no problem has a value on both sides", dropped=2)
    assert isinstance(compare({}, {}), NotComparable)


def test_one_pair_gives_a_test_without_intervals() -> None:
    found = compare({"a": 0.7}, {"a": 0.2})
    assert isinstance(found, Comparison)
    assert (found.p_value, found.ci, found.difference_ci) == (1.0, None, None)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=25))
def test_swapping_the_columns_turns_the_effect_around(pairs: list[tuple[int, int]]) -> None:
    a, b = ({str(i): pair[side] / 4 for i, pair in enumerate(pairs)} for side in (0, 1))
    one, other = compare(a, b), compare(b, a)
    assert isinstance(one, Comparison) and isinstance(other, Comparison)
    assert one.p_value == pytest.approx(other.p_value)
    assert one.difference == pytest.approx(-other.difference)
    mirrored = 1 / other.effect_size if other.effect == "odds_ratio" else -other.effect_size
    assert one.effect_size == pytest.approx(mirrored)
