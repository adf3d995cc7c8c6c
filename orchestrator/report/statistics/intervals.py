"""Intervals of means and proportions.

One decision: what is not defined is None, never an invented number. Resampling takes its seed as an argument.
"""

from collections.abc import Sequence
from typing import NamedTuple

RESAMPLES = 2000
"""Bootstrap resamples: the ends of a 95 % percentile interval then rest on 50 resamples each."""
BATCH = 2_000_000
"""Numbers held at once while resampling: 16 MB of float64."""


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
    from scipy.stats import bootstrap

    result = bootstrap(
        (np.asarray(values, dtype=float),),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, BATCH // len(values)),
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Interval(float(result.confidence_interval.low), float(result.confidence_interval.high))


__all__ = ["BATCH", "RESAMPLES", "Interval", "bootstrap_interval", "wilson_interval"]
