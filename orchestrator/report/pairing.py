"""Which values of two ways belong together: by place, metric, seed and problem.

One decision: each place is compared by the first metric that can tell anything there. Where nobody passes a test, or
nothing could be judged, the next metric answers, and the reason goes with it.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evaluators.similarity import METRICS, headlines_of, stand_ins
from orchestrator.report.evidence import Arm, Evidence, Place
from orchestrator.report.layout import count_nouns
from orchestrator.report.scores import PASS, Measure, Unscored, list_metrics, title_metric, values_of
from tasks.records import Task, Track

FLOOR = 2.0
"""A score, 0-100, below which a task is beyond whoever is compared."""

Values = Mapping[str, float]
"""Points by problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Two ways at one place by one metric.

    `by_seed` has the values of the first and the second, in points by problem; `lacking` says of other seeds why they
    have none. `stepped` says why metrics that come first do not answer.
    """

    place: Place
    metric: str
    by_seed: Mapping[int, tuple[Values, Values]]
    lacking: Mapping[int, str] = field(default_factory=dict)
    stepped: str = ""


class Readings:
    """A study's values, each read once: an arm stands in many pairs, and its rows are many."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self._values: dict[tuple[str, Measure], Values | Unscored] = {}
        self._metrics: dict[Place, tuple[str, ...]] = {}

    def values(self, arm: Arm, measure: Measure) -> Values | Unscored:
        """Points by problem, or why there are none."""
        key = (arm.title, measure)
        if key not in self._values:
            self._values[key] = _values(self.evidence, arm, measure)
        return self._values[key]

    def metrics(self, place: Place) -> tuple[str, ...]:
        """What was measured at a place."""
        if place not in self._metrics:
            self._metrics[place] = list_metrics(self.evidence, place)
        return self._metrics[place]


def pair_up(readings: Readings, pairs: Sequence[tuple[Arm, Arm]], *, metric: str | None) -> Iterator[Paired]:
    """Each place that both were asked for. The pairs are of the same two ways, one of each seed."""
    for place in readings.evidence.places:
        asked = [(one, other) for one, other in pairs if one.trial_for(place.track) and other.trial_for(place.track)]
        if asked:
            yield _pair_at(readings, place, asked, metric=metric)


def _pair_at(readings: Readings, place: Place, pairs: Sequence[tuple[Arm, Arm]], *, metric: str | None) -> Paired:
    passed_over: list[tuple[Paired, str]] = []
    for name in _candidates(readings, place, metric):
        found = _collect(readings, Measure(place=place, metric=name), pairs)
        why = _why_not(found)
        if not why:
            return _after(found, passed_over)
        passed_over.append((found, why))
    # What is scored and low says more than what is not scored.
    low = next((found for found, _ in passed_over if found.by_seed), None)
    return low or passed_over[0][0]


def _after(found: Paired, passed_over: Sequence[tuple[Paired, str]]) -> Paired:
    stepped = "; ".join(why for _, why in passed_over)
    return Paired(place=found.place, metric=found.metric, by_seed=found.by_seed, lacking=found.lacking, stepped=stepped)


def _candidates(readings: Readings, place: Place, metric: str | None) -> tuple[str, ...]:
    """Metrics to try at a place, the first choice first."""
    code = [PASS] if place.task is not Task.SUMMARIZATION else []
    usual = (*code, *headlines_of(place.task), *stand_ins())
    present = readings.metrics(place)
    chosen = [metric] if metric and (metric in code or _applies(metric, place)) else []
    known = [name for name in usual if name in present]
    if present and not known:
        # Other people's results may have a metric of their own alone.
        return tuple(dict.fromkeys((*chosen, present[0], *usual[:1])))
    return tuple(dict.fromkeys((*chosen, *code, *known, *usual[:1])))


def _applies(metric: str, place: Place) -> bool:
    return metric in METRICS and METRICS[metric].applies_to(Track.parse(place.track))


def _collect(readings: Readings, measure: Measure, pairs: Sequence[tuple[Arm, Arm]]) -> Paired:
    by_seed: dict[int, tuple[Values, Values]] = {}
    lacking: dict[int, str] = {}
    for first, second in pairs:
        seed = second.seed if first.is_frozen else first.seed
        one, other = (readings.values(arm, measure) for arm in (first, second))
        if isinstance(one, Unscored):
            lacking[seed] = f"{first.title}: {one.reason}"
        elif isinstance(other, Unscored):
            lacking[seed] = f"{second.title}: {other.reason}"
        else:
            by_seed[seed] = (one, other)
    if all(arm.is_frozen for arm in pairs[0]):
        by_seed = _without_repeats(by_seed)
    return Paired(place=measure.place, metric=measure.metric, by_seed=by_seed, lacking=lacking)


def _without_repeats(by_seed: Mapping[int, tuple[Values, Values]]) -> dict[int, tuple[Values, Values]]:
    """One of those seeds that gave the same values: nothing was trained, so they are one computation."""
    found: dict[int, tuple[Values, Values]] = {}
    for seed, values in by_seed.items():
        if values not in found.values():
            found[seed] = values
    return found


def _values(evidence: Evidence, arm: Arm, measure: Measure) -> Values | Unscored:
    trial = arm.trial_for(measure.place.track)
    rows = evidence.rows_at(trial, measure.place) if trial else ()
    twice = [key for key, count in Counter((row.problem_id, row.sample) for row in rows).items() if count > 1]
    if twice:
        shown = ", ".join(problem for problem, _ in twice[:3])
        return Unscored(
            reason=f"{count_nouns(len(twice), 'id')} there twice ({shown}), so that nothing can be paired by id; "
            "give each problem an id of its own"
        )
    return values_of(evidence, arm, measure=measure)


def _why_not(found: Paired) -> str:
    """Why this metric tells nothing here; empty where it may."""
    title = PASS if found.metric == PASS else title_metric(found.metric)
    if not found.by_seed:
        return f"{title} is not there ({'; '.join(dict.fromkeys(found.lacking.values()))})"
    sides = [side for values in found.by_seed.values() for side in values]
    finite = [[value for value in side.values() if math.isfinite(value)] for side in sides]
    if not any(finite):
        return f"{title} has no value that is a number"
    if found.metric == PASS and all(not side or sum(side) / len(side) < FLOOR for side in finite):
        return f"{title} is below {FLOOR:.0f} of 100 for both"
    return ""


__all__ = ["FLOOR", "Paired", "Readings", "Values", "pair_up"]
