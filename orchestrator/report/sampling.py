"""The values that a verdict is computed from, complete over seeds and places, and what was left out for that.

One decision: a problem counts where every seed of both sides has a value for it, so that no seed and no side speaks of
other problems than the rest. What is left out is named.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.report.evidence import Place
from orchestrator.report.layout import count_nouns
from orchestrator.report.pairing import Paired
from orchestrator.report.statistics import FEWEST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The values at one place: a row a seed, a column a problem, in points of 0-100."""

    place: Place
    first: "NDArray[np.float64]"
    second: "NDArray[np.float64]"
    dropped: tuple[str, ...]

    @property
    def differences(self) -> "NDArray[np.float64]":
        """First minus second. Nine decimals: what is equal on paper is equal here."""
        difference: NDArray[np.float64] = (self.first - self.second).round(9)
        return difference

    @property
    def problems(self) -> int:
        """How many problems both have."""
        return int(self.first.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Complete values; `reason` says why no test is made of them, `cautions` what was left out."""

    seeds: tuple[int, ...] = ()
    parts: tuple[Part, ...] = ()
    dropped: tuple[str, ...] = ()
    reason: str = ""
    cautions: tuple[str, ...] = ()

    @property
    def problems(self) -> int:
        """Problems of all places together."""
        return sum(part.problems for part in self.parts)

    @property
    def scores(self) -> tuple[float, float]:
        """The mean over places of the first's and the second's mean."""
        count = len(self.parts)
        first, second = (
            math.fsum(float(getattr(part, side).mean()) for part in self.parts) / count for side in ("first", "second")
        )
        return first, second

    @property
    def points(self) -> float:
        """The mean over places of the mean differences; exactly 0 for equal values."""
        return math.fsum(float(part.differences.mean()) for part in self.parts) / len(self.parts)

    @property
    def is_binary(self) -> bool:
        """Whether every value is right or wrong."""
        return self._values() <= {0.0, 100.0}

    @property
    def is_constant(self) -> bool:
        """Whether every value is the same one."""
        return len(self._values()) == 1

    def _values(self) -> set[float]:
        return {
            float(value) for part in self.parts for side in (part.first, part.second) for value in side.ravel().tolist()
        }


def choose_sample(places: Sequence[Paired]) -> Sample:
    """The complete values of places that are compared by one metric."""
    scored = [paired for paired in places if paired.by_seed]
    if not scored:
        return Sample(reason="; ".join(dict.fromkeys(why for paired in places for why in paired.lacking.values())))
    seeds = _choose_seeds(scored)
    complete = [paired for paired in scored if paired.by_seed.keys() >= set(seeds)]
    parts = [_align(paired, seeds) for paired in complete]
    kept = tuple(part for part in parts if part.problems > 1)
    sample = Sample(
        seeds=seeds,
        parts=kept,
        dropped=tuple(f"{part.place.title}: {key}" for part in parts for key in part.dropped),
        cautions=tuple(_say_left_out(places, seeds, kept)),
    )
    reason = _why_untested(sample)
    return Sample(
        seeds=sample.seeds, parts=sample.parts, dropped=sample.dropped, reason=reason, cautions=sample.cautions
    )


def _choose_seeds(scored: Sequence[Paired]) -> tuple[int, ...]:
    """The seeds that most places have."""
    counts = Counter(seed for paired in scored for seed in paired.by_seed)
    return tuple(sorted(seed for seed, count in counts.items() if count == max(counts.values())))


def _align(paired: Paired, seeds: Sequence[int]) -> Part:
    import numpy as np

    sides = [side for seed in seeds for side in paired.by_seed[seed]]
    every = set().union(*sides)
    shared = sorted(key for key in every if all(math.isfinite(side.get(key, math.nan)) for side in sides))
    table = np.array([[side[key] for key in shared] for side in sides], dtype=float)
    return Part(
        place=paired.place, first=table[0::2], second=table[1::2], dropped=tuple(sorted(every.difference(shared)))
    )


def _why_untested(sample: Sample) -> str:
    if not sample.parts:
        return "no problem has a value on both sides"
    if sample.problems < FEWEST:
        have = "problem has" if sample.problems == 1 else "problems have"
        return f"{sample.problems} {have} a value on both sides, and with fewer than {FEWEST} no test can show anything"
    if sample.is_constant:
        value = sample.scores[0]
        return f"every value of both is {value:g}, so these problems cannot tell them apart"
    return ""


def _say_left_out(places: Sequence[Paired], seeds: Sequence[int], kept: Sequence[Part]) -> Iterator[str]:
    titles = {part.place.title for part in kept}
    for paired in places:
        if paired.place.title not in titles:
            whys = [why for seed, why in paired.lacking.items() if seed in seeds or not paired.by_seed]
            why = "; ".join(dict.fromkeys(whys)) or "fewer than two problems have a value on both sides"
            yield f"{paired.place.title} is left out: {why}."
    for seed in sorted({seed for paired in places for seed in (*paired.by_seed, *paired.lacking)} - set(seeds)):
        why = next((paired.lacking[seed] for paired in places if seed in paired.lacking), "incomplete")
        yield f"Seed {seed} is left out: {why}."
    dropped = sum(len(part.dropped) for part in kept)
    if dropped:
        yield f"{count_nouns(dropped, 'problem')} left out for want of a value on both sides."


__all__ = ["Part", "Sample", "choose_sample"]
