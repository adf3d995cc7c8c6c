"""One arm's score at one place by one metric, with its interval, or why there is none.

One decision: every figure is a mean over problems (of the mean over a problem's samples), so that
table, picture and paired test speak of the same numbers; corpus-level figures stand beside it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

from evaluators.passk import pass_at_k
from evaluators.similarity import headlines_of, stand_ins, title_of
from orchestrator.ledger.progress import State
from orchestrator.report.evidence import Arm, Evidence, Place
from orchestrator.report.layout import count_nouns, say_state
from orchestrator.report.results import InstanceRow, TrialOutcome
from orchestrator.report.statistics import Interval, bootstrap_interval, wilson_interval
from tasks.records import Task, UnjudgedReason

PASS = "pass@1"
_PASS_TITLE = "pass@1 %"
_POOLED = ("bleu", "chrf", "codebleu")
"""Metrics of a whole corpus, which count all its n-grams together; their mean over problems is another figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A column of scores: what is measured, and where."""

    place: Place
    metric: str

    @property
    def title(self) -> str:
        """The metric as tables write it."""
        return title_metric(self.metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A mean over problems, 0-100, with its 95 % interval and the corpus-level figure if there is one.

    `per_problem` holds what it is the mean of, by problem id: 0-1 for pass@1, else 0-100.
    `problems` counts all that were asked, so `len(per_problem)` of them lie behind the figure.
    """

    value: float
    interval: Interval | None
    corpus: float | None
    per_problem: Mapping[str, float]
    problems: int
    unjudged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """No score, and why; `reason` is empty where the arm was never asked for this."""

    reason: str = ""


def title_metric(metric: str) -> str:
    """A metric as tables write it; one whose corpus figure differs says that it is the mean over problems."""
    if metric == PASS:
        return _PASS_TITLE
    return f"{title_of(metric)} (mean)" if metric.startswith(_POOLED) else title_of(metric)


def choose_measures(evidence: Evidence) -> tuple[Measure, ...]:
    """The headline metrics of every place that any trial has there."""
    return tuple(
        Measure(place=place, metric=metric) for place in evidence.places for metric in _choose_metrics(evidence, place)
    )


def _choose_metrics(evidence: Evidence, place: Place) -> tuple[str, ...]:
    present = list_metrics(evidence, place)
    headlines = (*headlines_of(place.task), *([PASS] if place.task is not Task.SUMMARIZATION else []))
    chosen = tuple(metric for metric in headlines if metric in present)
    if chosen or not present:
        return chosen or headlines[:1]
    # As code without tests.
    return tuple(metric for metric in stand_ins() if metric in present)[:1] or present[:1]


def list_metrics(evidence: Evidence, place: Place) -> tuple[str, ...]:
    """All metrics that any row or corpus figure of a place has, best known first."""
    here = (place.track, place.dataset)
    names = {name for key, rows in evidence.rows.items() if key[1:] == here for row in rows for name in row.scores}
    names |= {name for key, cell in evidence.cells.items() if key[1:] == here for name in cell.corpus}
    if any(row.verdict is not None for key, rows in evidence.rows.items() if key[1:] == here for row in rows):
        names.add(PASS)
    known = (PASS, *stand_ins())
    return tuple(sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name)))


def score_arm(evidence: Evidence, arm: Arm, *, measure: Measure) -> Score | Unscored:
    """The score of the trial of `arm` that was asked for the place, or why there is none."""
    trial = arm.trial_for(measure.place.track)
    return Unscored() if trial is None else score_trial(evidence, trial, measure=measure)


def score_trial(evidence: Evidence, trial: TrialOutcome, *, measure: Measure) -> Score | Unscored:
    """A trial's score by a measure, or why there is none."""
    rows = evidence.rows_at(trial, measure.place)
    if not rows:
        return Unscored(reason=_explain_unfinished(trial) or "no results recorded")
    cell = evidence.cell_at(trial, measure.place)
    corpus = cell.corpus.get(measure.metric) if cell else None
    values = _average_samples(rows, metric=measure.metric)
    if not values:
        return Unscored(reason=_explain_unscored(evidence, trial, measure=measure))
    return Score(
        value=_percent(values, metric=measure.metric),
        interval=_find_interval(list(values.values()), metric=measure.metric),
        corpus=corpus,
        per_problem=values,
        problems=len({row.problem_id for row in rows if measure.metric != PASS or row.verdict is not None}),
        unjudged=sum(row.verdict == "unjudged" for row in rows) if measure.metric == PASS else 0,
    )


def values_of(evidence: Evidence, arm: Arm, *, measure: Measure) -> Mapping[str, float] | Unscored:
    """What `score_arm` is the mean of, by problem, in points of 0-100; or why there is nothing."""
    trial = arm.trial_for(measure.place.track)
    if trial is None:
        return Unscored()
    rows = evidence.rows_at(trial, measure.place)
    values = _average_samples(rows, metric=measure.metric)
    if not values:
        why = _explain_unscored(evidence, trial, measure=measure) if rows else _explain_unfinished(trial)
        return Unscored(reason=why or "no results recorded")
    scale = 100 if measure.metric == PASS else 1
    return {problem: scale * value for problem, value in values.items()}


def mean_of(rows: Sequence[InstanceRow], *, metric: str) -> float | None:
    """The mean over problems that tables show, 0-100; None where no row has a value."""
    values = _average_samples(rows, metric=metric)
    return _percent(values, metric=metric) if values else None


def _percent(values: Mapping[str, float], *, metric: str) -> float:
    return (100 if metric == PASS else 1) * fmean(values.values())


def _average_samples(rows: Sequence[InstanceRow], *, metric: str) -> dict[str, float]:
    """The mean over each problem's samples; for pass@1 over those that were judged."""
    if metric == PASS:
        return estimate_pass(rows, k=1)
    samples: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if metric in row.scores:
            samples[row.problem_id].append(row.scores[metric])
    return {problem: fmean(values) for problem, values in samples.items()}


def estimate_pass(rows: Sequence[InstanceRow], *, k: int) -> dict[str, float]:
    """pass@k, 0-1, of each problem with at least k judged samples."""
    passed: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if row.verdict not in (None, "unjudged"):
            passed[row.problem_id].append(row.verdict == "passed")
    return {
        problem: pass_at_k(len(outcomes), sum(outcomes), k=k)
        for problem, outcomes in passed.items()
        if len(outcomes) >= k
    }


def _find_interval(values: Sequence[float], *, metric: str) -> Interval | None:
    """Wilson's for yes or no a problem; with several samples a problem, a bootstrap over problems."""
    if metric != PASS:
        return _resample(tuple(values))
    if set(values) <= {0.0, 1.0}:
        found = wilson_interval(round(sum(values)), total=len(values))
    else:
        found = _resample(tuple(values))
    return found and Interval(100 * found.low, 100 * found.high)


@lru_cache(maxsize=4096)
def _resample(values: tuple[float, ...]) -> Interval | None:
    """The bootstrap's interval, once for all tables and pictures that show it."""
    return bootstrap_interval(values)


def _explain_unfinished(trial: TrialOutcome) -> str:
    for stage in trial.stages:
        if stage.state != State.DONE:
            state = f"{stage.stage} failed" if stage.state == State.FAILED else say_state(stage.state)
            return f"{state}: {stage.cause}" if stage.cause else state
    return ""


def _explain_unscored(evidence: Evidence, trial: TrialOutcome, *, measure: Measure) -> str:
    """Why rows are there but none of them has a value."""
    rows = evidence.rows_at(trial, measure.place)
    if measure.metric != PASS:
        return _explain_unfinished(trial) or "not scored"
    unjudged = [row for row in rows if row.verdict == "unjudged" and row.detail]
    # A missing toolchain says what to install; it comes before what befell single samples.
    unjudged.sort(key=lambda row: row.reason != UnjudgedReason.TOOLCHAIN_MISSING)
    return unjudged[0].detail if unjudged else f"not judged: {_explain_unfinished(trial) or _count_unjudged(rows)}"


def _count_unjudged(rows: Sequence[InstanceRow]) -> str:
    unjudged = sum(row.verdict == "unjudged" for row in rows)
    return f"{count_nouns(unjudged, 'sample')} without a reason" if unjudged else "no tests"
