"""The health of every cell: shares of outputs that make a score beside them doubtful, and their warnings.

One decision: a warning that several trials share is told once, with the trials that it concerns; said
forty times it would not be read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluators.health import LIMITS, Health, warnings
from orchestrator.report.costs import collect_facts, read_number
from orchestrator.report.evidence import Evidence
from orchestrator.report.layout import ABSENT, Cell, Column, Table, count_nouns, label, labels
from orchestrator.report.results import CellScores, TrialOutcome


def build_health_table(evidence: Evidence) -> Table:
    """Shares of outputs by fault, one row a trial and place; those above their limit are marked.

    What no cell knows (the overlap with training data where nothing was trained) has no column.
    """
    cells = [
        (trial, place, cell.health)
        for trial in evidence.results.trials
        for place in evidence.places
        if (cell := evidence.cell_at(trial, place))
    ]
    shown = [name for name in LIMITS if any(getattr(health, name) is not None for _, _, health in cells)]
    return Table(
        name="health",
        title="Health of the outputs",
        columns=(*labels("trial", "track"), Column(title="outputs"), *map(_head, shown)),
        rows=tuple(
            (label(evidence.names[trial.trial]), label(place.title), *_show_health(health, shown))
            for trial, place, health in cells
        ),
        caption="Shares of a cell's outputs in %; marked where a share is above the limit below its heading.",
    )


def _head(name: str) -> Column:
    return Column(title=f"{name.replace('_', ' ')} (≤ {LIMITS[name].highest:.0%})")


def _show_health(health: Health, shown: Sequence[str]) -> list[Cell]:
    shares = [_show_share(getattr(health, name), name=name) for name in shown]
    return [Cell(text=f"{health.num_outputs:,}", value=health.num_outputs), *shares]


def _show_share(share: float | None, *, name: str) -> Cell:
    if share is None:
        return Cell(text=ABSENT)
    return Cell(text=f"{100 * share:.1f}", value=100 * share, warning=share > LIMITS[name].highest)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """One cell that a warning is about; `share` in %, None if the warning names no share."""

    trial: str
    place: str
    share: float | None = None


def list_warnings(evidence: Evidence) -> tuple[str, ...]:
    """Every health warning and note of the cells, with the tracks and trials that it concerns."""
    claims: dict[str, list[_Finding]] = {}
    for place in evidence.places:
        for trial in evidence.results.trials:
            cell = evidence.cell_at(trial, place)
            for claim, share in _list_claims(cell) if cell else ():
                claims.setdefault(claim, []).append(
                    _Finding(trial=evidence.names[trial.trial], place=place.title, share=share)
                )
    said = [sentence for claim, findings in claims.items() for sentence in _say_claim(claim, findings)]
    return (*said, *_list_idle_trainings(evidence))


def _list_claims(cell: CellScores) -> list[tuple[str, float | None]]:
    """What is said of a cell, with its share in %; the known faults by their meaning, the rest verbatim."""
    health = cell.health
    shares = {name: getattr(health, name) for name in LIMITS}
    above = [name for name, share in shares.items() if share is not None and share > LIMITS[name].highest]
    known = set(warnings(health))
    verbatim = [text for text in (*cell.health_warnings, *cell.notes) if text not in known]
    return [*((LIMITS[name].meaning, 100 * shares[name]) for name in above), *((text, None) for text in verbatim)]


def _say_claim(claim: str, findings: list[_Finding]) -> list[str]:
    """A sentence for each trial or for each track, whichever are fewer."""
    by_trial, by_place = _group(findings, "trial"), _group(findings, "place")
    if len(by_trial) <= len(by_place):
        heads = {f"{trial} on {_name_some([item.place for item in of], 'track')}": of for trial, of in by_trial.items()}
    else:
        heads = {f"{place}, {_name_some([item.trial for item in of], 'trial')}": of for place, of in by_place.items()}
    return [f"{head}: {_say_share(of)}{claim.rstrip('.')}." for head, of in heads.items()]


def _group(findings: list[_Finding], field: str) -> dict[str, list[_Finding]]:
    groups: dict[str, list[_Finding]] = {}
    for finding in findings:
        groups.setdefault(getattr(finding, field), []).append(finding)
    return groups


def _name_some(names: list[str], noun: str) -> str:
    return " and ".join(names) if len(names) <= 2 else count_nouns(len(names), noun)


def _say_share(findings: list[_Finding]) -> str:
    shares = [item.share for item in findings if item.share is not None]
    if not shares:
        return ""
    return f"{'up to ' if min(shares) < max(shares) else ''}{max(shares):.1f} % of outputs "


def _in_steps(trial: TrialOutcome) -> str:
    steps = read_number(collect_facts(trial), "steps")
    return (
        f" in {count_nouns(int(steps), 'step')}; more of them or a higher learning rate may change that"
        if steps
        else ""
    )


def _list_idle_trainings(evidence: Evidence) -> list[str]:
    return [
        f"{evidence.names[trial.trial]}: every output equals the frozen model's; the trained weights were not applied, "
        f"or have learned nothing{_in_steps(trial)}."
        for trial in evidence.results.trials
        if any(stage.facts.get("adapter_changes_outputs") == 0 for stage in trial.stages)
    ]
