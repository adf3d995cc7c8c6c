"""Sizes of effects, and the words for them.

One decision: Cliff's delta is computed over all pairs of values, as the literature does, and beside it over the pairs
that belong together; they answer different questions, and only the second knows of the pairing.
"""

from collections.abc import Sequence

from orchestrator.report.statistics.intervals import Interval
from orchestrator.report.statistics.resamples import resample_counts

_MAGNITUDES = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"))
"""Bounds of Cliff's delta after Romano et al. 2006, as the founding study uses them."""


def cliffs_delta(a: Sequence[float], b: Sequence[float]) -> float:
    """P(a > b) - P(a < b) over all pairs of a value of a with one of b (Cliff 1993), -1 to 1.

    Raises:
        ValueError: if a column is empty; the estimator is undefined there.
    """
    if not len(a) or not len(b):
        raise ValueError("cliffs_delta needs at least one value in each column, got an empty one")
    import numpy as np

    ordered = np.sort(np.asarray(b, dtype=float))
    below = np.searchsorted(ordered, a, side="left")
    above = len(b) - np.searchsorted(ordered, a, side="right")
    return float((below - above).sum() / (len(a) * len(b)))


def name_magnitude(delta: float) -> str:
    """The usual word for the size of a Cliff's delta."""
    return next((word for bound, word in _MAGNITUDES if abs(delta) < bound), "large")


def delta_interval(left: Sequence[float], right: Sequence[float], *, seed: int) -> Interval | None:
    """Percentile interval of Cliff's delta, resampling pairs.

    Sorting once and weighting by how often a pair was drawn is linear in the pairs; ranking each
    resample afresh is several times slower.
    """
    if len(left) < 2:
        return None
    import numpy as np

    a, b = np.asarray(left), np.asarray(right)
    order = np.argsort(b, kind="stable")
    below = np.searchsorted(b[order], a, side="left")
    up_to = np.searchsorted(b[order], a, side="right")
    deltas: list[float] = []
    for drawn in resample_counts(len(a), seed=seed):
        passed = np.concatenate([np.zeros((len(drawn), 1)), drawn[:, order].cumsum(axis=1)], axis=1)
        deltas.extend((drawn * (passed[:, below] + passed[:, up_to] - len(a))).sum(axis=1) / len(a) ** 2)
    low, high = np.quantile(deltas, (0.025, 0.975))
    return Interval(float(low), float(high))


def paired_delta(a: Sequence[float], b: Sequence[float]) -> float:
    """The share of pairs in which a is higher less that in which b is (Cliff 1993, within pairs), -1 to 1.

    Raises:
        ValueError: if there is no pair, or a value has none.
    """
    if not len(a) or len(a) != len(b):
        raise ValueError(f"paired_delta needs pairs, got {len(a)} and {len(b)} values")
    return sum((x > y) - (x < y) for x, y in zip(a, b, strict=True)) / len(a)


__all__ = ["cliffs_delta", "delta_interval", "name_magnitude", "paired_delta"]
