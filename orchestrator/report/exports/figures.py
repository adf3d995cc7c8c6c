"""Sheets of what was found: scores with their intervals, and comparisons.

One decision: every metric of every trial is there, under the name that study files use; `score` is the figure that the
page, the terminal and MLflow show, and that the tests are about.
"""

from collections.abc import Iterator
from functools import partial
from statistics import fmean

from orchestrator.report.contrasts import Contrast
from orchestrator.report.evidence import Evidence, Place
from orchestrator.report.exports.sheets import PLACE, TRIAL, Row, Sheet, Value, counts, flags, numbers, once, texts
from orchestrator.report.findings import Findings
from orchestrator.report.results import TrialOutcome
from orchestrator.report.scores import Measure, Score, Unscored, estimate_pass, list_metrics, score_trial
from orchestrator.report.statistics import Comparison, NotComparable

SAMPLE_COUNTS = (5, 10, 100)
"""The k of pass@k that is told beside pass@1 where there are enough samples."""


def about(trial: TrialOutcome) -> dict[str, Value]:
    """What says which trial a row is of."""
    return {
        "trial": trial.trial,
        "model": trial.model,
        "method": trial.method,
        "grouping": trial.grouping,
        "seed": trial.seed,
    }


def at(place: Place) -> dict[str, Value]:
    """What says where a row was measured."""
    return {"track": place.track, "dataset": place.dataset}


def score_sheet(findings: Findings) -> Sheet:
    """Every metric of every trial and place."""
    return Sheet(
        name="scores",
        title="every metric of every trial, by track and test set",
        fields=(
            *TRIAL,
            *PLACE,
            *texts(metric="the metric, as study files name it; `pass@1` is right or wrong by running"),
            *flags(headline="whether the page's first table shows it"),
            *numbers(
                score="the mean over problems, 0-100, higher is better; what the page shows and the tests are about",
                low="lower end of its 95 % interval",
                high="upper end of its 95 % interval",
                corpus="the figure of all outputs together, where the metric has one",
            ),
            *counts(
                problems="problems asked",
                scored="problems behind the figure",
                unjudged="outputs that could not be judged",
            ),
            *texts(reason="why there is no figure"),
        ),
        list_rows=once(partial(_list_scores, findings)),
    )


def _list_scores(findings: Findings) -> Iterator[Row]:
    evidence, headline = findings.evidence, set(findings.measures)
    for trial in evidence.results.trials:
        for place in evidence.places:
            if place.track not in trial.tracks:
                continue
            for metric in list_metrics(evidence, place) or [m.metric for m in headline if m.place == place]:
                measure = Measure(place=place, metric=metric)
                score = _score_of(findings, trial, measure, known=measure in headline)
                head = about(trial) | at(place) | {"metric": metric, "headline": measure in headline}
                yield head | _tell_score(score)
            yield from _list_pass_at_k(evidence, trial, place)


def _score_of(findings: Findings, trial: TrialOutcome, measure: Measure, *, known: bool) -> Score | Unscored:
    """A trial's score, which of headline metrics the findings hold."""
    arm = next((arm for arm in findings.evidence.arms if trial in arm.trials), None) if known else None
    return findings.score(arm, measure) if arm else score_trial(findings.evidence, trial, measure=measure)


def _tell_score(score: Score | Unscored) -> dict[str, Value]:
    if isinstance(score, Unscored):
        return {"reason": score.reason or "not asked for"}
    return {
        "score": score.value,
        "low": score.interval.low if score.interval else None,
        "high": score.interval.high if score.interval else None,
        "corpus": score.corpus,
        "problems": score.problems,
        "scored": len(score.per_problem),
        "unjudged": score.unjudged,
    }


def _list_pass_at_k(evidence: Evidence, trial: TrialOutcome, place: Place) -> Iterator[Row]:
    rows = evidence.rows_at(trial, place)
    asked = len({row.problem_id for row in rows})
    for k in SAMPLE_COUNTS:
        values = estimate_pass(rows, k=k).values()
        if values:
            mean = 100 * fmean(values)
            head = about(trial) | at(place) | {"metric": f"pass@{k}", "headline": False}
            yield head | {"score": mean, "problems": asked, "scored": len(values)}


def verdict_sheet(findings: Findings) -> Sheet:
    """What the study says on each part of its question."""
    return Sheet(
        name="verdicts",
        title="what the study says on each part of its question",
        fields=(
            *texts(
                part="the part of the question",
                first="the way of training that is spoken of",
                second="what it is compared with",
                model="the model of both",
                scope="the task or the track, where the question asks of each",
                metric="the metric that decided",
                verdict="`as good as`, `better`, `worse` or `not decided`, after correction",
            ),
            *numbers(
                points="first minus second, in points of 0-100, the mean over tracks",
                low="lower end of its 95 % interval",
                high="upper end",
                first_score="the first's score on the problems that both have",
                second_score="the second's",
                p_difference="p-value of no difference, corrected",
                p_equivalence="p-value of a difference of the margin or more, corrected",
                margin="points within which two count as equally good",
                detectable="the smallest difference that this study shows in four of five cases",
                seed_share="share of the uncertainty that is between seeds, 0-1",
            ),
            *counts(problems="pairs behind it", needed="problems with which a study like this would decide"),
            *texts(
                seeds="seeds of training behind it",
                tracks="the tracks behind it",
                reason="why nothing can be said",
                remarks="what else to know before relying on it",
            ),
        ),
        list_rows=once(partial(_list_verdicts, findings)),
    )


def _list_verdicts(findings: Findings) -> Iterator[Row]:
    for found in findings.verdicts:
        low, high = found.interval or (None, None)
        first, second = found.scores or (None, None)
        named = ("part", "first", "second", "model", "scope", "metric", "points", "p_difference", "p_equivalence",
                 "margin", "detectable", "seed_share", "problems", "needed", "reason")  # fmt: skip
        yield {
            **{name: getattr(found, name) for name in named},
            "verdict": found.wording,
            "low": low,
            "high": high,
            "first_score": first,
            "second_score": second,
            "seeds": ", ".join(map(str, found.seeds)),
            "tracks": ", ".join(found.tracks),
            "remarks": " ".join(part for part in (found.stepped, *found.cautions) if part),
        }


def comparison_sheet(findings: Findings) -> Sheet:
    """Every paired test that was made."""
    return Sheet(
        name="comparisons",
        title="every paired test, problem by problem",
        fields=(
            *texts(
                question="the question it belongs to",
                first="the first way of training",
                second="the second",
                model="the model of both",
            ),
            *counts(seed="the seed of the first"),
            *PLACE,
            *texts(metric="the metric", verdict="what the test says of the first, in words"),
            *numbers(
                difference="mean difference in points, first minus second",
                difference_low="lower end of its 95 % interval",
                difference_high="upper end",
                statistic="the test's statistic",
                p="its p-value, not corrected",
                p_corrected="its p-value, corrected within its family",
                effect_size="the size of the effect",
                effect_low="lower end of its 95 % interval",
                effect_high="upper end",
                paired_effect="share of problems on which the first is higher, less that on which the second is",
            ),
            *texts(
                test="the test",
                effect="what `effect_size` is: `odds_ratio` or `cliffs_delta`",
                magnitude="its size in a word",
            ),
            *counts(pairs="problems with a value on both sides", dropped="problems without"),
            *texts(reason="why there was no test, or what is odd about it"),
        ),
        list_rows=once(partial(_list_comparisons, findings)),
    )


def _list_comparisons(findings: Findings) -> Iterator[Row]:
    for contrast in findings.contrasts:
        yield _head_of(contrast) | _tell_outcome(contrast)


def _head_of(contrast: Contrast) -> dict[str, Value]:
    first, second = contrast.first, contrast.second
    return {
        "question": contrast.family,
        "first": first.way,
        "second": second.way,
        "model": first.model,
        "seed": first.seed,
        **at(contrast.measure.place),
        "metric": contrast.measure.metric,
        "verdict": contrast.wording,
    }


def _tell_outcome(contrast: Contrast) -> dict[str, Value]:
    outcome = contrast.outcome
    if isinstance(outcome, NotComparable):
        return {"reason": outcome.reason, "dropped": outcome.dropped}
    points, effect = contrast.points_interval, outcome.ci
    return {
        "difference": contrast.points,
        "difference_low": points.low if points else None,
        "difference_high": points.high if points else None,
        "p_corrected": contrast.p_adjusted,
        "effect_low": effect.low if effect else None,
        "effect_high": effect.high if effect else None,
        **_tell_test(outcome),
    }


def _tell_test(outcome: Comparison) -> dict[str, Value]:
    return {
        "statistic": outcome.statistic,
        "p": None if outcome.untested else outcome.p_value,
        "test": outcome.test,
        "effect": outcome.effect,
        "effect_size": outcome.effect_size,
        "magnitude": outcome.magnitude,
        "pairs": outcome.n,
        "dropped": outcome.dropped,
        "paired_effect": outcome.paired_effect,
        "reason": outcome.untested or outcome.note,
    }


__all__ = ["about", "at", "comparison_sheet", "score_sheet", "verdict_sheet"]
