"""The pairs of arms that answer a study's questions, each tested problem by problem.

One decision: only pairs that the question asks for are tested, within one model and one seed, and each part of the
question is one family for correction unless it says otherwise. Testing all against all would cost every answer its
power.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from orchestrator.report.evidence import Arm
from orchestrator.report.scores import PASS, Measure, Score, Unscored
from orchestrator.report.statistics import CORRECTIONS, Comparison, Interval, NotComparable, compare
from orchestrator.study.question import Correction, Question, Way, pairs_named
from trainers.methods.table import traits_of

ALPHA = 0.05
Scores = Mapping[tuple[str, Measure], Score | Unscored]
"""Scores by an arm's title and a measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One arm against another by one measure. `p_adjusted` is corrected within the family."""

    family: str
    first: Arm
    second: Arm
    measure: Measure
    outcome: Comparison | NotComparable
    p_adjusted: float | None = None

    @property
    def points(self) -> float | None:
        """Mean difference, first minus second, on the 0-100 scale."""
        return self._scale * self.outcome.difference if isinstance(self.outcome, Comparison) else None

    @property
    def points_interval(self) -> Interval | None:
        """The 95 % interval of `points`, not corrected for the family."""
        if not isinstance(self.outcome, Comparison) or self.outcome.difference_ci is None:
            return None
        low, high = self.outcome.difference_ci
        return Interval(self._scale * low, self._scale * high)

    @property
    def is_shown(self) -> bool:
        """Whether the difference holds after correction."""
        return self.p_adjusted is not None and self.p_adjusted < ALPHA

    @property
    def wording(self) -> str:
        """What the test says of the first, in plain words."""
        if isinstance(self.outcome, NotComparable):
            return "not comparable"
        if self.outcome.untested:
            return "not tested"
        if not self.is_shown:
            return "no difference shown"
        if self.outcome.difference:
            return "better" if self.outcome.difference > 0 else "worse"
        return "differs, with equal means"

    @property
    def _scale(self) -> int:
        return 100 if self.measure.metric == PASS else 1


def _asks_grouping(first: Arm, second: Arm) -> bool:
    return first.kind == second.kind and (first.grouping, second.grouping) == ("together", "apart")


def _asks_method(first: Arm, second: Arm) -> bool:
    adapter, whole = traits_of(first.kind).has_adapter, traits_of(second.kind).has_own_weights
    return adapter and whole and first.grouping == second.grouping == "together"


def _asks_training(first: Arm, second: Arm) -> bool:
    return second.is_frozen and not first.is_frozen


FAMILIES: Mapping[str, Callable[[Arm, Arm], bool]] = {
    "together against apart": _asks_grouping,
    "adapter against full": _asks_method,
    "trained against frozen": _asks_training,
}


def pair_arms(arms: Sequence[Arm], question: Question) -> Mapping[str, tuple[tuple[Arm, Arm], ...]]:
    """The pairs of arms to compare, of one model and one seed each, by the part of the question that asks for them."""
    parts = {" against ".join(pair): _names(pair, arms) for pair in question.compare} or FAMILIES
    return {
        part: tuple(
            (first, second)
            for first in arms
            for second in arms
            if first.model == second.model and asks(first, second) and _share_seed(first, second, arms)
        )
        for part, asks in parts.items()
    }


def _names(pair: tuple[str, str], arms: Sequence[Arm]) -> Callable[[Arm, Arm], bool]:
    named = set(pairs_named(pair, list(dict.fromkeys(map(_way, arms)))))
    return lambda first, second: (_way(first), _way(second)) in named


def _way(arm: Arm) -> Way:
    return Way(method=arm.method, kind=arm.kind, grouping=arm.grouping)


def draw_contrasts(
    arms: Sequence[Arm], measures: Sequence[Measure], *, scores: Scores, question: Question
) -> tuple[Contrast, ...]:
    """Test every pair that the question asks for, by every measure that both were asked for."""
    parts = [
        [
            Contrast(
                family=part,
                first=first,
                second=second,
                measure=measure,
                outcome=_test(first, second, one=scores[first.title, measure], other=scores[second.title, measure]),
            )
            for first, second in pairs
            for measure in measures
            if first.trial_for(measure.place.track) and second.trial_for(measure.place.track)
        ]
        for part, pairs in pair_arms(arms, question).items()
    ]
    families = parts if question.family == "part" else [[item for part in parts for item in part]]
    return tuple(item for family in families for item in _correct(family, question.correction))


def _share_seed(first: Arm, second: Arm, arms: Sequence[Arm]) -> bool:
    """Same seed; a frozen model has nothing to seed, so its one trial may serve every seed."""
    if first.seed == second.seed or first.is_frozen == second.is_frozen:
        return first.seed == second.seed
    frozen, trained = (first, second) if first.is_frozen else (second, first)
    alike = [arm for arm in arms if arm.is_frozen and (arm.model, arm.way) == (frozen.model, frozen.way)]
    return frozen is alike[0] and all(arm.seed != trained.seed for arm in alike)


def _test(first: Arm, second: Arm, *, one: Score | Unscored, other: Score | Unscored) -> Comparison | NotComparable:
    if isinstance(one, Unscored):
        return NotComparable(reason=f"{first.title}: {one.reason}")
    if isinstance(other, Unscored):
        return NotComparable(reason=f"{second.title}: {other.reason}")
    return compare(one.per_problem, other.per_problem)


def _correct(contrasts: Sequence[Contrast], correction: Correction) -> Iterator[Contrast]:
    p_values = [item.outcome.p_value for item in contrasts if _is_tested(item.outcome)]
    adjusted = iter(CORRECTIONS[correction](p_values))
    for item in contrasts:
        yield replace(item, p_adjusted=next(adjusted)) if _is_tested(item.outcome) else item


def _is_tested(outcome: Comparison | NotComparable) -> TypeGuard[Comparison]:
    return isinstance(outcome, Comparison) and not outcome.untested
