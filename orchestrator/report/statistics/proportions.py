"""The variance of a difference between pass rates, were the true difference another one.

One decision: of right-or-wrong values the variance is the one that a supposed difference allows (Nam 1997, Tango 1998),
not the one observed. The observed one is smallest just where methods happen to agree, and would then call methods equal
that are not: 7 times in 100 and not 5, at a margin of 2 points and 400 problems.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Changes(NamedTuple):
    """What differs between two methods in a stratum: shares of its problems, 0-1.

    `gained` are those that the first alone has right, `lost` those that the second alone has; a problem that is right
    in some samples or seeds counts in part. `grain` is the mean square of a change by its mean size: 1 for whole
    problems, less for parts.
    """

    gained: float
    lost: float
    grain: float
    problems: float


def changes_in(differences: "NDArray[np.float64]") -> Changes:
    """The changes behind differences of single problems, -1 to 1."""
    import numpy as np

    sizes = np.abs(differences)
    total = float(sizes.sum())
    return Changes(
        gained=float(differences[differences > 0].sum()) / len(differences),
        lost=float(sizes[differences < 0].sum()) / len(differences),
        grain=float((sizes**2).sum()) / total if total else 1.0,
        problems=float(len(differences)),
    )


def variance_if(true: float, strata: Sequence[Changes]) -> float:
    """The variance of the mean over strata of their differences, 0-1, were it `true`.

    Each stratum is supposed to be off by as much as the mean is.
    """
    off = true - sum(one.gained - one.lost for one in strata) / len(strata)
    each = (_restricted(one, _within(one.gained - one.lost + off)) / one.problems for one in strata)
    return sum(each) / len(strata) ** 2


def _within(value: float) -> float:
    return min(1.0, max(-1.0, value))


def _restricted(one: Changes, true: float) -> float:
    """The variance of one problem's difference, from the likeliest changes that give a difference of `true`."""
    gained, lost = (one.gained, one.lost) if true >= 0 else (one.lost, one.gained)
    size = abs(true)
    # The likeliest share of losses solves 2 x^2 + b x - c = 0 (Tango 1998, equation 8, by the number of problems).
    b = -gained - lost + (2 - gained + lost) * size
    least = (math.sqrt(b * b + 8 * lost * size * (1 - size)) - b) / 4
    return max(0.0, one.grain * (2 * least + size) - size**2)


__all__ = ["Changes", "changes_in", "variance_if"]
