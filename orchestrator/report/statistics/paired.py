"""Paired tests: whether two columns of results differ.

One decision: what is not defined is a value of its own (`NotComparable`), never an invented number.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

from orchestrator.report.statistics.effects import cliffs_delta, delta_interval, name_magnitude, paired_delta
from orchestrator.report.statistics.intervals import Interval, bootstrap_interval
from orchestrator.report.statistics.means import FEWEST, RANGE, Equivalence, mean_difference

_EXACT_BELOW = 25
"""Discordant pairs below which McNemar's chi-square approximation is replaced by the binomial."""

_Z = NormalDist().inv_cdf(0.975)

Test = Literal["mcnemar", "wilcoxon", "wilcoxon-normal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotComparable:
    """No test could be made, and why. `dropped` counts the ids that only one side has."""

    reason: str
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a paired test of columns a and b showed.

    `effect` names the measure of which `effect_size` is the value and `ci` the 95 % interval:
    `odds_ratio` (above 1: a is higher) or `cliffs_delta` (above 0: a is higher). `magnitude` is the
    usual word for the size of Cliff's delta, empty for odds ratios. `form` says where the p-value comes from: the
    exact distribution, the normal approximation (corrected for ties, not for continuity) or chi-square.
    `paired_effect` is Cliff's delta within the pairs: the share of pairs in which a is higher less that in which b is.
    `difference` is mean(a) - mean(b) in the columns' own unit. `n` counts pairs, `zeros` those with equal values, which
    the signed-rank test leaves out (as Wilcoxon did; Pratt's way ranks them); `dropped` counts ids without a finite
    value in both. `untested` says why the p-value means nothing, and is empty where it means something.
    `equivalence` is there where a margin was asked for.
    """

    n: int
    dropped: int
    test: Literal["mcnemar-exact", "mcnemar-chi2", "wilcoxon", "wilcoxon-normal"]
    statistic: float
    p_value: float
    form: Literal["exact", "normal", "chi2"]
    effect: Literal["odds_ratio", "cliffs_delta"]
    effect_size: float
    ci: Interval | None
    magnitude: str
    difference: float
    difference_ci: Interval | None
    paired_effect: float
    zeros: int
    note: str = ""
    untested: str = ""
    equivalence: Equivalence | None = None


def compare(
    a: Mapping[str, float],
    b: Mapping[str, float],
    *,
    test: Test | None = None,
    margin: float | None = None,
    seed: int = 0,
) -> Comparison | NotComparable:
    """Test whether two columns of results differ, paired by id.

    `mcnemar` (exact below 25 discordant pairs, else with continuity correction) is for columns of 0 and 1 and comes
    with the odds ratio (b + .5) / (c + .5), where b counts ids with only a right and c those with only b right.
    `wilcoxon` is the signed-rank test, exact where that can be computed, and `wilcoxon-normal` its normal
    approximation always; both come with Cliff's delta. Without a `test` columns of only 0 and 1 get the first and
    all others the second. Ids without a finite value on both sides are dropped and counted. A `margin` asks besides
    whether the means are equal within it: in points of 100 for McNemar's test, else in the columns' unit.
    """
    shared = sorted(key for key in a.keys() & b.keys() if math.isfinite(a[key]) and math.isfinite(b[key]))
    dropped = len(a.keys() | b.keys()) - len(shared)
    if not shared:
        return NotComparable(reason="no problem has a value on both sides", dropped=dropped)
    left, right = [float(a[key]) for key in shared], [float(b[key]) for key in shared]
    binary = set(left) | set(right) <= {0.0, 1.0}
    test = test or ("mcnemar" if binary else "wilcoxon")
    if test == "mcnemar" and not binary:
        return NotComparable(reason="McNemar's test is for columns of 0 and 1 alone", dropped=dropped)
    normal = test == "wilcoxon-normal"
    parts = _mcnemar(left, right) if test == "mcnemar" else _wilcoxon(left, right, normal=normal)
    # The mean of the differences, not the difference of the means: exactly 0 for equal columns.
    differences = [x - y for x, y in zip(left, right, strict=True)]
    return Comparison(
        n=len(shared),
        dropped=dropped,
        difference=math.fsum(differences) / len(shared),
        difference_ci=bootstrap_interval(differences, seed=seed),
        paired_effect=paired_delta(left, right),
        zeros=sum(not round(value, 9) for value in differences),
        untested=_why_untested(left, right),
        equivalence=None if margin is None else _equivalence(differences, margin, coarse=test == "mcnemar"),
        **parts,
    )


def _why_untested(left: Sequence[float], right: Sequence[float]) -> str:
    if len(left) < FEWEST:
        return (
            f"{len(left)} {'pair' if len(left) == 1 else 'pairs'}, and with fewer than {FEWEST} no test shows anything"
        )
    if len({*left, *right}) == 1:
        return f"constant: every value is {left[0]:g}"
    return ""


def _equivalence(differences: Sequence[float], margin: float, *, coarse: bool) -> Equivalence | None:
    if len(differences) < FEWEST:
        return None
    import numpy as np

    points = np.asarray([differences], dtype=float) * (RANGE if coarse else 1.0)
    return mean_difference([points.round(9)], coarse=coarse).against(margin)


def _mcnemar(left: Sequence[float], right: Sequence[float]) -> dict[str, Any]:
    only_a = sum(x > y for x, y in zip(left, right, strict=True))
    only_b = sum(x < y for x, y in zip(left, right, strict=True))
    ratio = (only_a + 0.5) / (only_b + 0.5)
    # Wald's interval on the log scale, with the same halves as the ratio itself.
    spread = math.exp(_Z * math.sqrt(1 / (only_a + 0.5) + 1 / (only_b + 0.5)))
    exact = only_a + only_b < _EXACT_BELOW
    statistic, p_value = (_binomial if exact else _chi_square)(only_a, only_b)
    return {
        "test": "mcnemar-exact" if exact else "mcnemar-chi2",
        "form": "exact" if exact else "chi2",
        "statistic": statistic,
        "p_value": p_value,
        "effect": "odds_ratio",
        "effect_size": ratio,
        "ci": Interval(ratio / spread, ratio * spread),
        "magnitude": "",
        "note": "" if only_a + only_b else f"all {len(left)} pairs agree",
    }


def _binomial(only_a: int, only_b: int) -> tuple[float, float]:
    if not only_a + only_b:
        return 0.0, 1.0
    from scipy.stats import binomtest

    fewer = min(only_a, only_b)
    return float(fewer), float(binomtest(fewer, only_a + only_b, 0.5).pvalue)


def _chi_square(only_a: int, only_b: int) -> tuple[float, float]:
    from scipy.stats import chi2

    # As R does, the correction never turns a difference of 0 into one of 1.
    statistic = max(0, abs(only_a - only_b) - 1) ** 2 / (only_a + only_b)
    return float(statistic), float(chi2.sf(statistic, 1))


def _wilcoxon(left: Sequence[float], right: Sequence[float], *, normal: bool) -> dict[str, Any]:
    # Nine decimals: differences that are equal on paper must tie, whatever float subtraction left.
    differences = [round(x - y, 9) for x, y in zip(left, right, strict=True)]
    unchanged = not any(differences)
    changed = [value for value in differences if value]
    exact = not normal and _is_exact(changed)
    statistic, p_value = (0.0, 1.0) if unchanged else _signed_rank(changed, exact=exact)
    delta = cliffs_delta(left, right)
    return {
        "test": "wilcoxon-normal" if normal else "wilcoxon",
        "form": "exact" if exact else "normal",
        "statistic": statistic,
        "p_value": p_value,
        "effect": "cliffs_delta",
        "effect_size": delta,
        "ci": None if unchanged else delta_interval(left, right),
        "magnitude": name_magnitude(delta),
        "note": f"all {len(left)} differences are zero" if unchanged else "",
    }


def _is_exact(changed: Sequence[float]) -> bool:
    """Whether the exact distribution is computed: of up to 50 differences, with ties (all signs tried) of up to 13."""
    ties = len({abs(value) for value in changed}) < len(changed)
    return len(changed) <= (13 if ties else 50)


def _signed_rank(changed: Sequence[float], *, exact: bool) -> tuple[float, float]:
    from scipy.stats import wilcoxon

    # scipy's own choice is exact under the same conditions; it then also knows what to do with ties.
    result = wilcoxon(changed, method="auto" if exact else "asymptotic")
    return float(result.statistic), float(result.pvalue)


__all__ = ["Comparison", "NotComparable", "Test", "compare"]
