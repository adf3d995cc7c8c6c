"""Sheets of what happened: trials and costs, verdicts, quality, health, training curves.

One decision: shares are in %, times in seconds and memory in bytes wherever they are written, and each says so in
its column's name.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import get_args

from evaluators.health import LIMITS
from orchestrator.ledger.progress import State
from orchestrator.report.costs import collect_facts, read_number
from orchestrator.report.evidence import Evidence
from orchestrator.report.exports.figures import about, at
from orchestrator.report.exports.sheets import PLACE, TRIAL, Row, Sheet, Value, counts, flags, numbers, once, texts
from orchestrator.report.findings import Findings
from orchestrator.report.methodcosts import list_costs
from orchestrator.report.quality import gather_files, list_counts, read_files
from orchestrator.report.results import TrialOutcome
from orchestrator.study.stages import STAGES
from tasks.records import VerdictName

_WAYS = {"parses": "parsing", "passes": "passing", "vs_reference": "difference"}
"""Over what a count's mean is taken, and where `ThreeWays` keeps it."""
_FACTS = ("trainable_parameters", "total_parameters", "steps", "tokens", "peak_memory_bytes")


def trial_sheet(evidence: Evidence) -> Sheet:
    """Every trial: how far it came, and what it took."""
    return Sheet(
        name="trials",
        title="every trial: how far it came and what it took",
        fields=(
            *TRIAL,
            *texts(
                kind="the kind of its method",
                tracks="its tracks",
                state="`done`, or the state of the stage where it stands",
                stands_at="that stage",
                cause="why it stands there",
                log="the log of that stage",
            ),
            *numbers(
                **{f"{stage}_seconds": f"seconds of its stage `{stage}`, where that ran" for stage in STAGES},
                seconds="seconds of all its stages",
                usd="what its stages cost, where the study names a price",
            ),
            *counts(
                trainable_parameters="parameters that training changed",
                total_parameters="parameters of the model",
                steps="steps of the optimizer",
                tokens="tokens trained on",
                peak_memory_bytes="highest memory of training",
            ),
            *numbers(outputs_changed_percent="share of outputs that differ from the untrained model's"),
        ),
        list_rows=once(partial(_list_trials, evidence)),
    )


def cost_sheet(findings: Findings) -> Sheet:
    """What each method took, for one seed."""
    return Sheet(
        name="costs",
        title="what each method took for one seed, its trials together",
        fields=(
            *texts(model="the model", method="the way of training"),
            *counts(seeds="seeds that it is the mean of", models="models that it leaves to be served"),
            *numbers(
                training_seconds="seconds of training",
                seconds="seconds of all stages",
                usd="what they cost, where the study names a price",
                peak_memory_bytes="highest memory of a training",
                trained_parameters="parameters that training changed",
                total_parameters="parameters of the model",
            ),
            *flags(complete="whether all its trials ran to the end; else it costs more than this"),
        ),
        list_rows=once(partial(_list_costs, findings)),
    )


def _list_costs(findings: Findings) -> Iterator[Row]:
    for cost in list_costs(findings):
        yield {
            "model": cost.model,
            "method": cost.way,
            "seeds": cost.seeds,
            "models": cost.models,
            "training_seconds": cost.training_s,
            "seconds": cost.total_s,
            "usd": cost.usd,
            "peak_memory_bytes": cost.peak_memory_bytes,
            "trained_parameters": cost.trained_parameters,
            "total_parameters": cost.total_parameters,
            "complete": cost.complete,
        }


def _list_trials(evidence: Evidence) -> Iterator[Row]:
    for trial in evidence.results.trials:
        yield {
            **about(trial),
            "kind": trial.kind,
            "tracks": ", ".join(trial.tracks),
            **_tell_end(trial),
            **_tell_costs(trial),
            **_tell_facts(trial),
        }


def _tell_end(trial: TrialOutcome) -> dict[str, Value]:
    stage = next((stage for stage in trial.stages if stage.state != State.DONE), None)
    if stage is None:
        return {"state": str(State.DONE)}
    return {"state": str(stage.state), "stands_at": str(stage.stage), "cause": stage.cause, "log": stage.log_path}


def _tell_costs(trial: TrialOutcome) -> dict[str, Value]:
    taken = {f"{stage.stage}_seconds": stage.seconds for stage in trial.stages if stage.seconds is not None}
    priced = [stage.usd for stage in trial.stages if stage.usd is not None]
    return {**taken, "seconds": sum(taken.values()) if taken else None, "usd": sum(priced) if priced else None}


def _tell_facts(trial: TrialOutcome) -> dict[str, Value]:
    facts = collect_facts(trial)
    found = {name: value for name in _FACTS if (value := read_number(facts, name)) is not None}
    changed = read_number(facts, "adapter_changes_outputs")
    share = None if changed is None else 100 * changed
    return {name: int(value) for name, value in found.items()} | {"outputs_changed_percent": share}


def outcome_sheet(evidence: Evidence) -> Sheet:
    """How often each verdict was given."""
    names = {name: f"outputs with the verdict `{name}`" for name in get_args(VerdictName)}
    return Sheet(
        name="outcomes",
        title="how often each verdict was given",
        fields=(*TRIAL, *PLACE, *counts(**names)),
        list_rows=once(partial(_list_outcomes, evidence)),
    )


def _list_outcomes(evidence: Evidence) -> Iterator[Row]:
    for trial in evidence.results.trials:
        for place in evidence.places:
            found = Counter(row.verdict for row in evidence.rows_at(trial, place) if row.verdict)
            if found:
                yield about(trial) | at(place) | {name: found[name] for name in get_args(VerdictName)}


def quality_sheet(evidence: Evidence) -> Sheet:
    """Every count of every quality tool, over three sets of files."""
    return Sheet(
        name="quality",
        title="every count of every quality tool",
        fields=(
            *TRIAL,
            *PLACE,
            *texts(
                count="the tool and what it counts",
                over="of what the mean is taken: outputs that parse (`parses`), outputs that pass (`passes`), or the "
                "difference of an output from its problem's reference (`vs_reference`)",
            ),
            *numbers(per_file="mean per file", per_100_lines="per 100 lines of code, where that has a meaning"),
            *counts(files="files behind the figure", not_measured="files that parse and were not measured"),
        ),
        list_rows=once(partial(_list_quality, evidence)),
    )


def _list_quality(evidence: Evidence) -> Iterator[Row]:
    for trial in evidence.results.trials:
        for place in evidence.places:
            rows, cell = evidence.rows_at(trial, place), evidence.cell_at(trial, place)
            files = gather_files(rows, cell)
            for name, count in list_counts(rows, cell) if place.writes_code else ():
                ways = read_files(files, count)
                for over, field in _WAYS.items():
                    figure = getattr(ways, field)
                    if figure is not None:
                        yield {
                            **about(trial),
                            **at(place),
                            "count": name,
                            "over": over,
                            "per_file": figure.per_file,
                            "per_100_lines": figure.per_100_lines,
                            "files": figure.files,
                            "not_measured": ways.lost,
                        }


def health_sheet(evidence: Evidence) -> Sheet:
    """Shares of outputs by fault, and the warnings they led to."""
    shares = {f"{name}_percent": f"share of outputs that {limit.meaning}" for name, limit in LIMITS.items()}
    return Sheet(
        name="health",
        title="what is wrong with outputs, as shares of a trial's outputs on a test set",
        fields=(*TRIAL, *PLACE, *counts(outputs="outputs"), *numbers(**shares), *texts(remarks="warnings and notes")),
        list_rows=once(partial(_list_health, evidence)),
    )


def _list_health(evidence: Evidence) -> Iterator[Row]:
    for trial in evidence.results.trials:
        for place in evidence.places:
            cell = evidence.cell_at(trial, place)
            if cell is not None:
                shares = {name: getattr(cell.health, name) for name in LIMITS}
                yield {
                    **about(trial),
                    **at(place),
                    "outputs": cell.health.num_outputs,
                    **{f"{name}_percent": 100 * share for name, share in shares.items() if share is not None},
                    "remarks": " ".join((*cell.health_warnings, *cell.notes)),
                }


def curve_sheet(evidence: Evidence) -> Sheet:
    """What trainings logged, a value a row."""
    return Sheet(
        name="curves",
        title="what trainings logged while they ran",
        fields=(
            *TRIAL[:1],
            *counts(step="the optimizer's step"),
            *texts(series="what was logged: `loss`, `validation/loss`, `loss/TRACK`, ..."),
            *numbers(value="its value"),
        ),
        list_rows=once(partial(_list_curves, evidence)),
    )


def _list_curves(evidence: Evidence) -> Iterator[Row]:
    for trial in evidence.results.trials:
        for point in trial.curve:
            step = int(point["step"])
            for series in sorted(point.keys() - {"step"}):
                yield {"trial": trial.trial, "step": step, "series": series, "value": float(point[series])}


__all__ = ["cost_sheet", "curve_sheet", "health_sheet", "outcome_sheet", "quality_sheet", "trial_sheet"]
