"""The mean difference of two methods over problems, strata and seeds: its interval; tests that it is there, or small.

One decision: the interval, the test for a difference and the tests for equivalence come from one estimate, so that they
cannot contradict each other. Its variance has two parts. Problems are drawn within strata (tracks); seeds are drawn
anew with each training, and a seed moves all problems at once. So many problems cannot make up for few seeds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.report.statistics.intervals import Interval
from orchestrator.report.statistics.proportions import Changes, changes_in, variance_if

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST = 6
"""Pairs below which no test is made: with five, not even five wins of five are rarer by chance than 5 in 100."""
RANGE = 100.0
"""Scores run from 0 to 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """How a mean difference stands to a margin, both in the same unit.

    `p_equivalence` is that of a difference of the margin or more, `p_not_worse` that of the first being lower by so
    much. `needed` are pairs with which a study would decide, `detectable` is the smallest difference that this one
    shows in four of five cases.
    """

    margin: float
    p_equivalence: float
    p_not_worse: float
    needed: int | None
    detectable: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanDifference:
    """The mean over strata of their mean differences, first minus second, in points of 0-100.

    `between_problems` and `between_seeds` are the parts of the variance of `mean`; the second is 0 for one seed, where
    it cannot be known. `freedom` are the degrees of freedom of the first. `problems` and `changed` count all problems,
    and those on which the two differ. `changes` are there of right-or-wrong values, a stratum each.
    """

    mean: float
    between_problems: float
    between_seeds: float
    freedom: float
    problems: int
    changed: int
    seeds: int
    changes: tuple[Changes, ...] = ()

    @property
    def seed_share(self) -> float | None:
        """The part of the variance that is between seeds, 0-1; None for one seed."""
        total = self.between_problems + self.between_seeds
        return self.between_seeds / total if self.seeds > 1 and total else None

    def p_difference(self) -> float:
        """The two-sided p-value of no difference.

        It is never below that of the sign test if all changes were on one side, which is the smallest that so few
        changes can honestly give.
        """
        if not self.mean:
            return 1.0
        least = 2.0 ** (1 - self.changed)
        return min(1.0, max(least, 2 * self._tail(abs(self.mean), self._between_problems_at(0.0))))

    def p_not_worse(self, margin: float) -> float:
        """The p-value of the first being worse than the second by `margin` points or more (non-inferiority)."""
        return self._tail(self.mean + margin, self._between_problems_at(-margin))

    def p_equivalence(self, margin: float) -> float:
        """The p-value of a difference of `margin` points or more, either way: two one-sided tests (Schuirmann 1987)."""
        return max(self.p_not_worse(margin), self._tail(margin - self.mean, self._between_problems_at(margin)))

    def against(self, margin: float) -> Equivalence:
        """All there is to say of a margin."""
        return Equivalence(
            margin=margin,
            p_equivalence=self.p_equivalence(margin),
            p_not_worse=self.p_not_worse(margin),
            needed=self.problems_needed(margin),
            detectable=self.detectable(),
        )

    def interval(self, level: float = 0.95) -> Interval:
        """The differences that a two-sided test at 1 - `level` would not refuse."""
        tail = (1 - level) / 2
        return Interval(self._reach(tail, side=-1), self._reach(tail, side=1))

    def detectable(self, *, alpha: float = 0.05, power: float = 0.8) -> float:
        """The smallest true difference that a study like this one shows with this power, in points."""
        steps = self._quantile(alpha / 2, self.freedom) + self._quantile(1 - power, self.freedom)
        of_seeds = self._seed_reach(alpha / 2, power)

        def is_shown(true: float) -> bool:
            return math.hypot(steps * math.sqrt(self._between_problems_at(true)), of_seeds) <= true

        if not self.changes:
            return math.hypot(steps * math.sqrt(self.between_problems), of_seeds)
        return _first(is_shown, 0.0, RANGE)

    def problems_needed(self, margin: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
        """Problems with which a study would decide with this power, were the difference as it seems.

        Deciding is to show a difference, or equivalence within `margin`. None where no number of problems would do,
        because what seeds differ by is too much.
        """
        size, left = abs(self.mean), margin - abs(self.mean)
        z = self._quantile(1 - power, math.inf)
        differ = self._quantile(alpha / 2, math.inf) + z
        # Both sides must hold; where the difference is small next to the margin, either may fail.
        both = self._quantile(alpha, math.inf) + (z if size > margin / 4 else self._quantile((1 - power) / 2, math.inf))
        found = (
            self._problems_for(size, differ, self.between_problems, seeds=self._seed_reach(alpha / 2, power)),
            self._problems_for(left, both, self._at_margin(margin), seeds=self._seed_reach(alpha, power)),
        )
        return min((max(self.problems + 1, count) for count in found if count is not None), default=None)

    def _problems_for(self, distance: float, steps: float, variance: float, *, seeds: float) -> int | None:
        room = distance**2 - seeds**2
        return math.ceil(self.problems * steps**2 * variance / room) if distance > 0 and room > 0 else None

    def _seed_reach(self, tail: float, power: float) -> float:
        """How far seeds alone may take the mean, at a level and with a power; 0 for one seed."""
        if not self.between_seeds:
            return 0.0
        steps = self._quantile(tail, self.seeds - 1) + self._quantile(1 - power, self.seeds - 1)
        return steps * math.sqrt(self.between_seeds)

    def _at_margin(self, margin: float) -> float:
        return max(self._between_problems_at(margin), self._between_problems_at(-margin))

    def _between_problems_at(self, true: float) -> float:
        """The variance between problems if the true difference is `true` points."""
        if not self.changes:
            return self.between_problems
        return max(self.between_problems, RANGE**2 * variance_if(true / RANGE, self.changes))

    def _tail(self, distance: float, variance: float) -> float:
        """The probability of a mean this far from the truth or further, on one side.

        Each part of the variance has its own degrees of freedom, so each is given its own quantile (as in Graybill and
        Wang 1980); the probability is the one whose quantiles reach as far. Of few seeds this asks for more than one
        common number of degrees (Satterthwaite) would, which covers too little there.
        """
        if distance < 0:
            return 1 - self._tail(-distance, variance)
        if not variance + self.between_seeds:
            return 0.0 if distance else 0.5
        if not self.between_seeds:
            return self._below(-distance / math.sqrt(variance), self.freedom)
        low, high = math.log(1e-15), math.log(0.5)
        for _ in range(50):
            middle = (low + high) / 2
            reached = math.hypot(*self._reaches(math.exp(middle), variance))
            low, high = (middle, high) if reached > distance else (low, middle)
        return math.exp(low)

    def _reaches(self, tail: float, variance: float) -> tuple[float, float]:
        of_seeds = self._quantile(tail, self.seeds - 1) if self.between_seeds else 0.0
        return self._quantile(tail, self.freedom) * math.sqrt(variance), of_seeds * math.sqrt(self.between_seeds)

    @staticmethod
    def _below(value: float, freedom: float) -> float:
        from scipy.special import stdtr

        return float(stdtr(freedom, value))

    @staticmethod
    def _quantile(tail: float, freedom: float) -> float:
        """What Student's t exceeds with this probability."""
        from scipy.special import ndtri, stdtrit

        return -float(ndtri(tail) if math.isinf(freedom) else stdtrit(freedom, tail))

    def _reach(self, tail: float, *, side: Literal[-1, 1]) -> float:
        """The end of the interval on a side: the first difference that a test at this level refuses."""
        if not self.changes:
            return self.mean + side * math.hypot(*self._reaches(tail, self.between_problems))

        def is_refused(distance: float) -> bool:
            variance = self._between_problems_at(self.mean + side * distance)
            return math.hypot(*self._reaches(tail, variance)) <= distance

        return self.mean + side * _first(is_refused, 0.0, RANGE - side * self.mean)


def _first(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where something begins to hold between two values, or the upper one."""
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def mean_difference(strata: Sequence["NDArray[np.float64]"], *, coarse: bool) -> MeanDifference:
    """The mean difference over strata, each an array of a row a seed and a column a problem, in points of 0-100.

    Each stratum counts alike. Every stratum has the same seeds, in the same order, and at least two problems. `coarse`
    says that the values behind the differences are right or wrong, or shares of such.
    """
    import numpy as np

    assert strata and len({len(one) for one in strata}) == 1 and all(one.shape[1] > 1 for one in strata)
    sizes = np.array([one.shape[1] for one in strata], dtype=float)
    # Samples and seeds of one problem share its difficulty: their mean is one value.
    means = [one.mean(axis=0) for one in strata]
    parts = np.array([one.var(ddof=1) for one in means]) / sizes / len(strata) ** 2
    between = float(parts.sum())
    return MeanDifference(
        mean=float(np.mean([one.mean() for one in means])),
        between_problems=between,
        between_seeds=_between_seeds(strata) if len(strata[0]) > 1 else 0.0,
        # Welch 1947, over strata.
        freedom=between**2 / float((parts**2 / (sizes - 1)).sum()) if between else float((sizes - 1).sum()),
        problems=int(sizes.sum()),
        changed=sum(int(np.count_nonzero(np.abs(one) > 1e-9)) for one in means),
        seeds=len(strata[0]),
        # Values that never differ say as little of others as right or wrong ones do.
        changes=tuple(changes_in(one / RANGE) for one in means) if coarse or not between else (),
    )


def _between_seeds(strata: Sequence["NDArray[np.float64]"]) -> float:
    """What seeds add to the variance of the mean.

    Seeds and problems are crossed. The means of seeds vary by the seeds and by what a seed does to single problems;
    the second is in the variance between problems already, so it is taken off. Not all of it: few seeds often vary less
    by chance than they do, and intervals that believe them hold the truth too rarely. How much is left was chosen by
    simulation (`benchmarks/verdicts.py`).
    """
    import numpy as np

    seeds = len(strata[0])
    by_seed = np.mean([one.mean(axis=1) for one in strata], axis=0)
    single = 0.0
    for one in strata:
        rest = one - one.mean(axis=0) - one.mean(axis=1, keepdims=True) + one.mean()
        single += float((rest**2).sum()) / ((seeds - 1) * (one.shape[1] - 1)) / one.shape[1]
    taken = max(0.5, 1 - 1.5 / seeds) * single / len(strata) ** 2
    return max(0.0, float(np.var(by_seed, ddof=1)) - taken) / seeds


__all__ = ["FEWEST", "RANGE", "Equivalence", "MeanDifference", "mean_difference"]
