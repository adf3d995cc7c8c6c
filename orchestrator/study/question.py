"""What a study asks: the words, the pairs to compare, and how far apart two may be and still be equally good.

One decision: nothing of it is part of a stage's key. It says how finished results are read, so it may be changed and
the report made anew, and nothing runs again. Whoever does that after seeing the figures should say so.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from evaluators.similarity.table import METRICS
from tasks.records import Settings
from trainers.methods.table import traits_of

PASSED = "pass@1"
GROUPINGS = ("together", "apart")
# Evtikhiev et al. 2023: people agree with a similarity metric on which model is better from 2 points on (in classes of
# one structure) or from 5 (in one-liners); Roy et al. 2021 say 2 for summaries. A pass rate over a few hundred problems
# is known to about 5.
MARGINS: Mapping[str, float] = {PASSED: 5.0}
SIMILARITY_MARGIN = 2.0
Correction = Literal["holm", "bh", "none"]


class Way(NamedTuple):
    """What of a method a question can name."""

    method: str
    kind: str
    grouping: str

    @property
    def is_trained(self) -> bool:
        """Whether anything is trained; what is not has no grouping."""
        return traits_of(self.kind).is_trained


class Question(Settings):
    """What the study asks, and what would answer it. A text alone is `text`."""

    text: str = Field(default="", examples=["Is one adapter for all tasks as good as one for each?"])
    """The question in words; the report opens with it."""

    compare: tuple[tuple[str, str], ...] = Field(
        default=(), examples=[[["together", "apart"], ["qlora-together", "full-together"]]]
    )
    """The pairs to compare, first against second, one verdict each. A name is a method, a grouping, or
    `METHOD/GROUPING`; where a method is called like a grouping, the method is meant. Without pairs, what is alike but
    for one thing is compared: together with apart, adapters with full fine-tuning, the trained with the frozen."""

    metric: str | None = Field(default=None, examples=["pass@1"])
    """The metric that decides: `pass@1` or a similarity metric. Without it, or on a track that does not have it, the
    track's headline metric."""

    margin: float | None = Field(default=None, gt=0, lt=100, examples=[3])
    """The largest difference, in points of 0-100, with which two still count as equally good. Without it, 5 points of
    pass@1 and 2 of a similarity metric."""

    one_sided: bool = Field(default=False, examples=[True])
    """Whether it is enough that the first is not worse than the second by more than the margin."""

    over: Literal["all", "task", "track"] = Field(default="all", examples=["task"])
    """What a verdict speaks of: `all` tracks of one metric together, each `task`, or each `track`. Tracks that are
    taken together count alike, however many problems they have."""

    family: Literal["part", "question"] = Field(default="part", examples=["question"])
    """Which tests are corrected together: those of one pair (`part`), or all of the study (`question`)."""

    correction: Correction = Field(default="holm", examples=["bh"])
    """How p-values of a family are corrected: `holm` (Holm), `bh` (Benjamini-Hochberg), or `none`."""

    def margin_for(self, metric: str) -> float:
        """The margin that holds for a metric, in points."""
        return self.margin if self.margin is not None else MARGINS.get(metric, SIMILARITY_MARGIN)

    @field_validator("compare")
    @classmethod
    def _pairs_differ(cls, value: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        for pair in value:
            if pair[0] == pair[1]:
                raise ValueError(f"{list(pair)} compares a thing with itself; name two")
            if value.count(pair) > 1 or pair[::-1] in value:
                raise ValueError(f"{list(pair)} stands there twice; name each pair once")
        return value

    @field_validator("metric")
    @classmethod
    def _metric_is_known(cls, value: str | None) -> str | None:
        known = (PASSED, *(name for name, metric in METRICS.items() if metric.suits_studies))
        if value is not None and value not in known:
            raise ValueError(f"{value!r} is no metric of a study; {_hint(value, known)}")
        return value


def _hint(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"name one of {', '.join(known)}"


def names_of(ways: Sequence[Way]) -> tuple[str, ...]:
    """Every name that a pair may hold where these are compared."""
    trained = [way for way in ways if way.is_trained]
    groupings = [grouping for grouping in GROUPINGS if any(way.grouping == grouping for way in trained)]
    methods = [way.method for way in ways]
    return tuple(dict.fromkeys((*methods, *groupings, *(f"{way.method}/{way.grouping}" for way in trained))))


def faults_of_pair(pair: tuple[str, str], ways: Sequence[Way]) -> tuple[str, ...]:
    """What is wrong with a pair where these are compared, in words."""
    known = names_of(ways)
    odd = [name for name in pair if name not in known]
    if odd:
        return tuple(f"{name!r} is no method and no grouping of this study; {_hint(name, known)}" for name in odd)
    if pairs_named(pair, ways):
        return ()
    return (f"{list(pair)} compares nothing, for no two of these are of one kind; name two methods",)


def pairs_named(pair: tuple[str, str], ways: Sequence[Way]) -> tuple[tuple[Way, Way], ...]:
    """The pairs of ways that a pair of names means.

    Two groupings mean ways of one kind, since else two things would differ at once. A grouping against a method means
    every trained way of that grouping but the method itself.
    """
    one_kind = not any(_is_method(name, ways) for name in pair)
    return tuple(
        (first, second)
        for first in _named(pair[0], ways)
        for second in _named(pair[1], ways)
        if first != second and (first.kind == second.kind or not one_kind)
    )


def _is_method(name: str, ways: Sequence[Way]) -> bool:
    return any(name in (way.method, f"{way.method}/{way.grouping}") for way in ways)


def _named(name: str, ways: Sequence[Way]) -> list[Way]:
    if _is_method(name, ways):
        return [way for way in ways if name in (way.method, f"{way.method}/{way.grouping}")]
    return [way for way in ways if way.is_trained and way.grouping == name]


__all__ = [
    "GROUPINGS",
    "MARGINS",
    "PASSED",
    "SIMILARITY_MARGIN",
    "Correction",
    "Question",
    "Way",
    "faults_of_pair",
    "names_of",
    "pairs_named",
]
