"""Intervals of means and proportions.

One decision: what is not defined is None, never an invented number. Resampling takes its seed as an argument.
"""

from collections.abc import Sequence
from typing import NamedTuple

from orchestrator.report.statistics.resamples import RESAMPLES, resample_means


class Interval(NamedTuple):
    """A confidence interval; a pair, so that JSON writes it as a list."""

    low: float
    high: float


def wilson_interval(successes: int, *, total: int, level: float = 0.95) -> Interval | None:
    """Wilson's score interval for a proportion, 0-1; None where nothing was tried.

    Raises:
        ValueError: if `successes` is not within 0 and `total`.
    """
    if not 0 <= successes <= total:
        raise ValueError(f"successes must be within 0 and total={total}, got {successes}")
    if not total:
        return None
    from scipy.stats import binomtest

    bounds = binomtest(successes, total).proportion_ci(confidence_level=level, method="wilson")
    return Interval(float(bounds.low), float(bounds.high))


def bootstrap_interval(values: Sequence[float], *, seed: int = 0, level: float = 0.95) -> Interval | None:
    """Percentile bootstrap interval for the mean.

    None where the values do not vary: resampling would give an interval of no width, which claims a
    certainty that a few equal values do not have.
    """
    if len(set(values)) < 2:
        return None
    import numpy as np

    data = np.asarray(values, dtype=float)
    means = resample_means(data, seed=seed)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(means, (tail, 100 - tail))
    return Interval(float(low), float(high))


__all__ = ["RESAMPLES", "Interval", "bootstrap_interval", "wilson_interval"]
