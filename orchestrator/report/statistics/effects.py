"""Sizes of effects, and the words for them.

One decision: Cliff's delta is computed over all pairs of values, as the literature does, and beside it over the pairs
that belong together; they answer different questions, and only the second knows of the pairing.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

from orchestrator.report.statistics.intervals import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Z = NormalDist().inv_cdf(0.975)
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


def delta_interval(left: Sequence[float], right: Sequence[float]) -> Interval | None:
    """The 95 % interval of Cliff's delta over problems that both columns have.

    A problem sways delta by where its two values stand in the other column; the spread of that gives the variance of
    delta, and Feng and Cliff's (2004) asymmetric form keeps the interval within -1 and 1.
    """
    if len(left) < 2:
        return None
    import numpy as np

    a, b = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    sway = _standing(a, b) - _standing(b, a)
    variance = float(sway.var(ddof=1)) / len(a)
    delta = cliffs_delta(left, right)
    reach = _Z * math.sqrt(variance * ((1 - delta**2) ** 2 + _Z**2 * variance))
    middle, whole = delta - delta**3, 1 - delta**2 + _Z**2 * variance
    if not whole:
        return Interval(delta, delta)
    return Interval((middle - reach) / whole, (middle + reach) / whole)


def _standing(values: "NDArray[np.float64]", among: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The share of a column that is below each value, less the share above."""
    import numpy as np

    ordered = np.sort(among)
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    standing: NDArray[np.float64] = (below + up_to - len(among)) / len(among)
    return standing


def paired_delta(a: Sequence[float], b: Sequence[float]) -> float:
    """The share of pairs in which a is higher less that in which b is (Cliff 1993, within pairs), -1 to 1.

    Raises:
        ValueError: if there is no pair, or a value has none.
    """
    if not len(a) or len(a) != len(b):
        raise ValueError(f"paired_delta needs pairs, got {len(a)} and {len(b)} values")
    return sum((x > y) - (x < y) for x, y in zip(a, b, strict=True)) / len(a)


__all__ = ["cliffs_delta", "delta_interval", "name_magnitude", "paired_delta"]
