"""The tables of a report about scores, differences, health and what did not run.

One decision: each table is a pure function from findings to `Table`; a table that has nothing to say
is left out rather than shown empty.
"""

from collections import Counter
from dataclasses import replace
from statistics import fmean
from typing import get_args

from orchestrator.ledger.progress import State
from orchestrator.report.contrasts import Contrast
from orchestrator.report.costs import build_cost_tables
from orchestrator.report.evidence import Arm, Evidence, Place
from orchestrator.report.findings import Findings
from orchestrator.report.health import build_health_table
from orchestrator.report.interference import build_interference_table
from orchestrator.report.layout import (
    ABSENT,
    Cell,
    Column,
    Table,
    count_nouns,
    format_number,
    format_p,
    label,
    labels,
    say_state,
)
from orchestrator.report.links import link_ends, link_failures
from orchestrator.report.methodcosts import build_method_costs
from orchestrator.report.quality import build_quality_detail, build_quality_table
from orchestrator.report.results import TrialOutcome
from orchestrator.report.scores import (
    PASS,
    Measure,
    Score,
    Unscored,
    estimate_pass,
    list_metrics,
    score_trial,
    title_metric,
)
from orchestrator.report.statistics import Comparison, Interval, NotComparable
from tasks.records import VerdictName

_SAMPLE_COUNTS = (5, 10, 100)
"""The k of pass@k that the detail table adds where there are enough samples."""


_TESTS = {
    "mcnemar-exact": "McNemar, exact",
    "mcnemar-chi2": "McNemar, χ²",
    "wilcoxon": "Wilcoxon",
    "wilcoxon-normal": "Wilcoxon, normal",
}


def build_tables(findings: Findings) -> tuple[Table, ...]:
    """Every table that the results can fill, the most important first."""
    tables = (
        build_main_table(findings),
        build_seed_table(findings),
        build_comparison_table(findings),
        build_detail_table(findings.evidence),
        build_verdict_table(findings.evidence),
        build_quality_table(findings.evidence),
        build_quality_detail(findings.evidence),
        build_health_table(findings.evidence),
        build_method_costs(findings),
        build_interference_table(findings),
        *build_cost_tables(findings.evidence),
        build_trouble_table(findings.evidence),
    )
    return tuple(table for table in tables if table.rows)


def build_main_table(findings: Findings) -> Table:
    """Arms against places by headline metric."""
    return Table(
        name="main",
        title="Scores",
        columns=(*labels("method"), *_measure_columns(findings.measures)),
        rows=tuple(
            (label(arm.title), *(_show_measure(findings, arm, measure) for measure in findings.measures))
            for arm in findings.evidence.arms
        ),
        caption=(
            "Scale 0-100, higher is better; the range below a figure is its 95 % interval (Wilson for pass@1, "
            "bootstrap otherwise). Every figure is a mean over problems; those of a whole corpus are among all metrics."
        ),
    )


def _measure_columns(measures: tuple[Measure, ...]) -> tuple[Column, ...]:
    return tuple(Column(title=measure.title, group=measure.place.title) for measure in measures)


def _show_measure(findings: Findings, arm: Arm, measure: Measure) -> Cell:
    """A score; where programs are judged, with the way to those that fail."""
    cell = show_score(findings.score(arm, measure))
    judged = measure.metric == PASS and cell.value is not None
    return replace(cell, link=link_failures(arm, measure.place)) if judged else cell


def show_score(score: Score | Unscored) -> Cell:
    """A score as a cell, or the reason why there is none."""
    if isinstance(score, Unscored):
        return Cell(text=score.reason or ABSENT, warning=bool(score.reason))
    missing = score.problems - len(score.per_problem)
    counted = f"{len(score.per_problem)} of {score.problems}" + (" judged" if score.unjudged else "")
    return Cell(
        text=format_number(score.value),
        value=score.value,
        interval=score.interval,
        detail=counted if missing else "",
        warning=bool(missing or score.unjudged),
    )


def build_seed_table(findings: Findings) -> Table:
    """Means over seeds with their range, where a study has several."""
    ways: dict[tuple[str, str], list[Arm]] = {}
    for arm in findings.evidence.arms:
        ways.setdefault((arm.model, arm.way), []).append(arm)
    several = [key for key, arms in ways.items() if len(arms) > 1]
    return Table(
        name="seeds",
        title="Over seeds",
        columns=(*labels("model", "method"), *_measure_columns(findings.measures)),
        rows=tuple(
            (label(model), label(way), *(_show_seeds(findings, ways[model, way], measure=m) for m in findings.measures))
            for model, way in several
        ),
        caption="Means over the seeds that have a score; the range is from the lowest to the highest of them.",
    )


def _show_seeds(findings: Findings, arms: list[Arm], *, measure: Measure) -> Cell:
    scores = [findings.score(arm, measure) for arm in arms]
    values = [score.value for score in scores if isinstance(score, Score)]
    if not values:
        return Cell(text=ABSENT)
    return Cell(
        text=format_number(fmean(values)),
        value=fmean(values),
        interval=Interval(min(values), max(values)),
        detail=count_nouns(len(values), "seed"),
        warning=len(values) < len(arms),
    )


def build_comparison_table(findings: Findings) -> Table:
    """Every test that the study's questions ask for."""
    return Table(
        name="comparisons",
        title="Comparisons",
        columns=(
            *labels("question", "first", "against", "track", "metric"),
            *(Column(title=title) for title in ("first is", "difference", "effect", "p", "p corrected", "pairs")),
        ),
        rows=tuple(_show_contrast(contrast) for contrast in findings.contrasts),
        caption=(
            "Paired by problem. Differences are in points, with 95 % bootstrap intervals. 0/1 outcomes: McNemar and "
            "odds ratio (above 1 favours the first); else Wilcoxon signed rank and Cliff's delta (above 0 favours the "
            f"first). {_say_correction(findings)}; 'no difference shown' is not 'no difference'."
        ),
    )


def _say_correction(findings: Findings) -> str:
    asked = findings.results.asked
    if asked.correction == "none":
        return "p-values are not corrected, as question.correction says"
    name = {"holm": "Holm", "bh": "Benjamini and Hochberg"}[asked.correction]
    return f"Corrected after {name} over {'each pair' if asked.family == 'part' else 'the whole question'}"


def _show_contrast(contrast: Contrast) -> tuple[Cell, ...]:
    names = (contrast.family, contrast.first.title, contrast.second.title, contrast.measure.place.title)
    heads = tuple(label(name) for name in (*names, contrast.measure.title))
    outcome = contrast.outcome
    if isinstance(outcome, NotComparable):
        return (*heads, Cell(text=contrast.wording, warning=True, note=outcome.reason), *(Cell(text=ABSENT),) * 5)
    return (
        *heads,
        Cell(text=contrast.wording),
        _show_difference(contrast),
        _show_effect(outcome),
        _show_p(outcome),
        _show_adjusted(contrast),
        _show_pairs(outcome),
    )


def _show_pairs(outcome: Comparison) -> Cell:
    detail = f"{outcome.dropped} dropped" if outcome.dropped else ""
    return Cell(text=str(outcome.n), value=outcome.n, detail=detail, warning=bool(outcome.dropped))


def _show_difference(contrast: Contrast) -> Cell:
    points = contrast.points or 0.0
    return Cell(text=format_number(points, signed=True), value=points, interval=contrast.points_interval)


def _show_effect(outcome: Comparison) -> Cell:
    name = "odds ratio" if outcome.effect == "odds_ratio" else f"delta, {outcome.magnitude}"
    size = outcome.effect_size
    return Cell(text=format_number(size, digits=2), value=size, interval=outcome.ci, digits=2, detail=name)


def _show_p(outcome: Comparison) -> Cell:
    if outcome.untested:
        return Cell(text=ABSENT, note=outcome.untested)
    return Cell(text=format_p(outcome.p_value), value=outcome.p_value, detail=_TESTS[outcome.test], note=outcome.note)


def _show_adjusted(contrast: Contrast) -> Cell:
    if contrast.p_adjusted is None:
        return Cell(text=ABSENT)
    return Cell(text=format_p(contrast.p_adjusted), value=contrast.p_adjusted)


def build_detail_table(evidence: Evidence) -> Table:
    """Every metric of every trial and place: mean over problems, interval, corpus figure."""
    rows = [
        (label(evidence.names[trial.trial]), label(place.title), label(title), mean, corpus)
        for trial in evidence.results.trials
        for place in evidence.places
        if evidence.rows_at(trial, place)
        for title, mean, corpus in _list_details(evidence, trial, place=place)
    ]
    columns = (*labels("trial", "track", "metric"), Column(title="mean over problems"), Column(title="corpus"))
    return Table(
        name="details",
        title="All metrics",
        columns=columns,
        rows=tuple(rows),
        caption="Scale 0-100. A metric that does not apply to a problem leaves it out of the mean.",
    )


def _list_details(evidence: Evidence, trial: TrialOutcome, *, place: Place) -> list[tuple[str, Cell, Cell]]:
    found = []
    for metric in list_metrics(evidence, place):
        score = score_trial(evidence, trial, measure=Measure(place=place, metric=metric))
        if isinstance(score, Unscored):
            found.append((_name_metric(metric), Cell(text=score.reason, warning=True), Cell(text=ABSENT)))
            continue
        corpus = Cell(text=ABSENT) if score.corpus is None else _show_points(score.corpus)
        detail = f"n = {len(score.per_problem)}"
        mean = Cell(text=format_number(score.value), value=score.value, interval=score.interval, detail=detail)
        found.append((_name_metric(metric), mean, corpus))
    return [*found, *_list_pass_at_k(evidence, trial, place=place)]


def _name_metric(metric: str) -> str:
    """A metric beside whose mean the corpus figure stands under a heading of its own."""
    return title_metric(metric).removesuffix(" (mean)")


def _list_pass_at_k(evidence: Evidence, trial: TrialOutcome, *, place: Place) -> list[tuple[str, Cell, Cell]]:
    found = []
    for k in _SAMPLE_COUNTS:
        values = estimate_pass(evidence.rows_at(trial, place), k=k).values()
        if values:
            cell = _show_points(100 * fmean(values), detail=f"n = {len(values)}")
            found.append((f"pass@{k} %", cell, Cell(text=ABSENT)))
    return found


def _show_points(value: float, *, detail: str = "") -> Cell:
    return Cell(text=format_number(value), value=value, detail=detail)


def build_verdict_table(evidence: Evidence) -> Table:
    """How often each verdict was given, by trial and place: what running the outputs showed."""
    counted = {
        (evidence.names[trial.trial], place): Counter(
            row.verdict for row in evidence.rows_at(trial, place) if row.verdict
        )
        for trial in evidence.results.trials
        for place in evidence.places
    }
    names = [name for name in get_args(VerdictName) if any(count[name] for count in counted.values())]
    return Table(
        name="verdicts",
        title="Verdicts",
        columns=(*labels("trial", "track"), *(Column(title=name.replace("_", " ")) for name in names)),
        rows=tuple(
            (label(trial), label(place.title), *(_show_verdicts(trial, place, name, counts[name]) for name in names))
            for (trial, place), counts in counted.items()
            if counts
        ),
        caption="Samples. An unjudged sample counts neither for nor against a method."
        + (f" Code was run under: {evidence.results.isolation}." if evidence.results.isolation else ""),
    )


def _show_verdicts(trial: str, place: Place, name: str, count: int) -> Cell:
    link = link_ends(trial, place, name) if count else ""
    return Cell(text=str(count), value=count, warning=name == "unjudged" and count > 0, link=link)


def build_trouble_table(evidence: Evidence) -> Table:
    """Trials that did not run to the end: the stage where they stand, with its cause and log."""
    return Table(
        name="troubles",
        title="What did not run",
        columns=(*labels("trial"), *(Column(title=title) for title in ("stands at", "state", "cause", "log"))),
        rows=tuple(
            _show_trouble(trial, name=evidence.names[trial.trial])
            for trial in evidence.results.trials
            if not trial.finished
        ),
    )


def _show_trouble(trial: TrialOutcome, *, name: str) -> tuple[Cell, ...]:
    stage = next(stage for stage in trial.stages if stage.state != State.DONE)
    return (
        label(name),
        Cell(text=stage.stage),
        Cell(text=say_state(stage.state)),
        Cell(text=stage.cause or ABSENT),
        Cell(text=stage.log_path or ABSENT),
    )
