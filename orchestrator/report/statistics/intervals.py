"""Intervals of means and proportions.

One decision: what is not defined is None, never an invented number. Resampling takes its seed as an argument.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2000
"""Bootstrap resamples: the ends of a 95 % percentile interval then rest on 50 resamples each."""
_BATCH = 2_000_000
"""Numbers drawn at once while resampling: 16 MB."""
_KEPT = 20_000_000
"""Numbers of resamples kept for further columns of one size: 80 MB."""


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

    column = np.asarray(values, dtype=float)
    # Around the first value, so that 32 bits hold what differs.
    centred = (column - column[0]).astype(np.float32)
    size = len(column)
    means = (
        _resamples(size, seed) @ centred
        if size * RESAMPLES <= _KEPT
        else np.concatenate([one @ centred for one in _draw(size, seed)])
    )
    low, high = np.quantile(means.astype(float) / size + column[0], ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(low), float(high))


@lru_cache(maxsize=2)
def _resamples(size: int, seed: int) -> "NDArray[np.float32]":
    """How often each of so many values is drawn, a row a resample; kept, since many columns of a report are so long."""
    import numpy as np

    return np.concatenate(list(_draw(size, seed)))


def _draw(size: int, seed: int) -> "Iterator[NDArray[np.float32]]":
    import numpy as np

    rng = np.random.default_rng(seed)
    step = max(1, _BATCH // size)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        drawn = rng.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float32)


__all__ = ["RESAMPLES", "Interval", "bootstrap_interval", "wilson_interval"]
