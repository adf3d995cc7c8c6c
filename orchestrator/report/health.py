"""The health of every cell: shares of outputs that make a score beside them doubtful.

One decision: a fault that no cell has takes no column; the caption says what was looked for and not found.
"""

from collections.abc import Sequence

from evaluators.health import LIMITS, Health
from orchestrator.report.evidence import Evidence
from orchestrator.report.layout import ABSENT, Cell, Column, Table, label, labels


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
    known = [name for name in LIMITS if any(getattr(health, name) is not None for _, _, health in cells)]
    shown = [name for name in known if any(getattr(health, name) for _, _, health in cells)]
    return Table(
        name="health",
        title="Health of the outputs",
        columns=(*labels("trial", "track"), Column(title="outputs"), *map(_head, shown)),
        rows=tuple(
            (label(evidence.names[trial.trial]), label(place.title), *_show_health(health, shown))
            for trial, place, health in cells
        ),
        caption="Shares of a cell's outputs in %; marked where a share is above the limit in its heading."
        + _say_absent([name for name in known if name not in shown]),
    )


def _say_absent(names: Sequence[str]) -> str:
    return f" Looked for and never found: {', '.join(name.replace('_', ' ') for name in names)}." if names else ""


def _head(name: str) -> Column:
    return Column(title=f"{name.replace('_', ' ')} (≤ {LIMITS[name].highest:.0%})")


def _show_health(health: Health, shown: Sequence[str]) -> list[Cell]:
    shares = [_show_share(getattr(health, name), name=name) for name in shown]
    return [Cell(text=f"{health.num_outputs:,}", value=health.num_outputs), *shares]


def _show_share(share: float | None, *, name: str) -> Cell:
    if share is None:
        return Cell(text=ABSENT)
    return Cell(text=f"{100 * share:.1f}", value=100 * share, warning=share > LIMITS[name].highest)
