"""What each way of training costs: hours, USD, memory and trained parameters by method, never by trial.

One decision: a way is all the trials that together answer for it. So `apart` costs the sum of its trainings, and
several seeds cost what one of them does on average. A way of which a trial is missing costs at least what is known.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from orchestrator.report.costs import collect_facts, read_number
from orchestrator.report.evidence import Arm, group_ways
from orchestrator.report.findings import Findings
from orchestrator.report.layout import (
    ABSENT,
    Cell,
    Column,
    Table,
    count_nouns,
    format_bytes,
    format_count,
    format_number,
    format_seconds,
    format_usd,
    label,
    labels,
)
from orchestrator.report.results import TrialOutcome
from orchestrator.report.scores import Measure, Score, title_metric
from orchestrator.study.stages import StageName
from trainers.methods.table import traits_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCost:
    """What one way with one model took, for one seed: the mean of those that have run.

    `models` counts what it leaves to be served: one, or one for each task. `peak_memory` is of its largest training.
    `complete` is False where a trial has not run to the end, so that the sums are too low.
    """

    model: str
    way: str
    kind: str
    grouping: str
    seeds: int
    models: int
    training_s: float | None
    total_s: float | None
    usd: float | None
    peak_memory_bytes: float | None
    trained_parameters: float | None
    total_parameters: float | None
    complete: bool


def list_costs(findings: Findings) -> tuple[MethodCost, ...]:
    """What every way of every model took, in the order of the tables."""
    return tuple(_add_up(arms) for arms in group_ways(findings.evidence.arms).values())


def _add_up(arms: Sequence[Arm]) -> MethodCost:
    """One way's cost, from the seeds that ran to the end, or from all where none did."""
    whole = [arm for arm in arms if all(trial.finished for trial in arm.trials)]
    counted = whole or list(arms)
    first = counted[0]
    trials = [trial for arm in counted for trial in arm.trials]
    return MethodCost(
        model=first.model,
        way=first.way,
        kind=first.kind,
        grouping=first.grouping,
        seeds=len(counted),
        models=len(first.trials),
        training_s=_mean_of(_seconds(arm, stages=(StageName.TRAIN,)) for arm in counted),
        total_s=_mean_of(_seconds(arm, stages=tuple(StageName)) for arm in counted),
        usd=_mean_of(_usd(arm) for arm in counted),
        peak_memory_bytes=_most(trials, "peak_memory_bytes"),
        trained_parameters=_mean_of(_trained(arm) for arm in counted),
        total_parameters=_most(trials, "total_parameters"),
        complete=bool(whole),
    )


def _mean_of(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _seconds(arm: Arm, *, stages: Sequence[StageName]) -> float | None:
    taken = [
        stage.seconds
        for trial in arm.trials
        for stage in trial.stages
        if stage.stage in stages and stage.seconds is not None and math.isfinite(stage.seconds)
    ]
    return sum(taken) if taken else None


def _usd(arm: Arm) -> float | None:
    spent = [stage.usd for trial in arm.trials for stage in trial.stages if stage.usd is not None]
    return sum(spent) if spent else None


def _trained(arm: Arm) -> float | None:
    known = [read_number(collect_facts(trial), "trainable_parameters") for trial in arm.trials]
    found = [value for value in known if value is not None]
    return sum(found) if found else None


def _most(trials: Iterable[TrialOutcome], name: str) -> float | None:
    found = [value for trial in trials if (value := read_number(collect_facts(trial), name)) is not None]
    return max(found, default=None)


def build_method_costs(findings: Findings) -> Table:
    """Cost by method: training and all hours, USD, peak memory, trained parameters."""
    costs = list_costs(findings)
    several = len({cost.model for cost in costs}) > 1
    priced = any(cost.usd is not None for cost in costs)
    metrics = list(dict.fromkeys(verdict.metric for verdict in findings.verdicts if verdict.metric))
    scored = {metric: average_scores(findings, metric) for metric in metrics}
    titles = (
        *map(title_metric, metrics),
        *("training time", "time in all", *(("USD",) if priced else ()), "peak memory", "trained parameters"),
    )
    return Table(
        name="methods",
        title="Scores and costs by method",
        columns=(*labels(*(("model", "method") if several else ("method",))), *(Column(title=t) for t in titles)),
        rows=tuple(
            (
                *((label(cost.model),) if several else ()),
                label(cost.way),
                *(_show_average(scored[metric].get((cost.model, cost.way))) for metric in metrics),
                *_show_cost(cost, priced=priced),
            )
            for cost in costs
        ),
        caption=_say_caption(costs, priced=priced),
    )


def average_scores(findings: Findings, metric: str) -> Mapping[tuple[str, str], tuple[float, ...]]:
    """Each way's mean over the tracks of a metric, one figure a seed that has them all, by model and way."""
    measures = [measure for measure in findings.measures if measure.metric == metric]
    found: dict[tuple[str, str], tuple[float, ...]] = {}
    for key, arms in group_ways(findings.evidence.arms).items():
        means = [mean for arm in arms if (mean := _average(findings, arm, measures)) is not None]
        if means:
            found[key] = tuple(means)
    return found


def _average(findings: Findings, arm: Arm, measures: Sequence[Measure]) -> float | None:
    scores = [findings.score(arm, measure) for measure in measures]
    known = [score.value for score in scores if isinstance(score, Score)]
    return fmean(known) if known and len(known) == len(measures) else None


def _show_average(means: Sequence[float] | None) -> Cell:
    return Cell(text=format_number(fmean(means)), value=fmean(means)) if means else Cell(text=ABSENT)


def _say_caption(costs: Sequence[MethodCost], *, priced: bool) -> str:
    sentences = [
        "Scores are means over tracks. Costs are of all trainings of a method together; memory is of the largest. "
        "Time in all: training, writing, executing and scoring."
    ]
    if any(cost.seeds > 1 for cost in costs):
        sentences.append("Of several seeds, the mean of one.")
    if not priced:
        sentences.append("No USD: the study sets no resources.price_per_hour.")
    return " ".join(sentences)


def _show_cost(cost: MethodCost, *, priced: bool) -> list[Cell]:
    short = "" if cost.complete else "at least: not all of it has run"
    return [
        _show(cost.training_s, format_seconds, short=short),
        _show(cost.total_s, format_seconds, short=short),
        *([_show(cost.usd, format_usd, short=short)] if priced else []),
        _show(cost.peak_memory_bytes, format_bytes),
        _show_parameters(cost),
    ]


def _show(value: float | None, write: Callable[[float], str], *, short: str = "") -> Cell:
    if value is None:
        return Cell(text=ABSENT)
    return Cell(text=write(value), value=value, warning=bool(short), note=short)


def _show_parameters(cost: MethodCost) -> Cell:
    """The trained parameters of all that the way leaves, with how many models those are."""
    if cost.trained_parameters is None:
        return Cell(text=ABSENT)
    noun = "adapter" if traits_of(cost.kind).has_adapter else "model"
    detail = f"in {count_nouns(cost.models, noun)}" if cost.models > 1 else ""
    return Cell(text=format_count(cost.trained_parameters), value=cost.trained_parameters, detail=detail)


__all__ = ["MethodCost", "average_scores", "build_method_costs", "list_costs"]
