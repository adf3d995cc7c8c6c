"""How good the code is: counts per file over code that parses, over code that passes, and of the references.

One decision: a mean never stands without the number of files behind it. Code that does not parse has no
counts, so a method that breaks half its outputs would otherwise look tidy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from orchestrator.report.evidence import Evidence, Place
from orchestrator.report.layout import ABSENT, Cell, Column, Table, label, labels
from orchestrator.results import CellScores, InstanceRow, TrialOutcome

Counts = Mapping[str, float]
_OUTPUTS_PARSING, _OUTPUTS_PASSING, _REFERENCES = "parses", "passes", "reference"
_PYLINT = ("error", "warning", "convention", "refactor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A quality figure of the main display: how to read it from one file's counts, if it is there."""

    title: str
    read: Callable[[Counts], float | None]


def _read_first(*names: str) -> Callable[[Counts], float | None]:
    return lambda counts: next((counts[name] for name in names if name in counts), None)


def _sum_pylint(counts: Counts) -> float | None:
    found = [counts[f"pylint.{part}"] for part in _PYLINT if f"pylint.{part}" in counts]
    return sum(found) if found else None


HEADLINES = (
    Headline(title="pylint messages", read=_sum_pylint),
    Headline(title="cyclomatic complexity", read=_read_first("lizard.ccn", "radon.cyclomatic_total")),
    Headline(title="lines of code", read=_read_first("lizard.nloc", "radon.lloc")),
)


def build_quality_table(evidence: Evidence) -> Table:
    """Parse rate, empty rate and the headline counts of each trial on each track that writes code."""
    shown = [headline for headline in HEADLINES if _occurs(evidence, headline.read)]
    kinds = (_OUTPUTS_PARSING, _OUTPUTS_PASSING, _REFERENCES)
    columns = [Column(title=kind, group=headline.title) for headline in shown for kind in kinds]
    return Table(
        name="quality",
        title="Code quality",
        columns=(*labels("trial", "track"), Column(title="parses %"), Column(title="empty %"), *columns),
        rows=tuple(
            (
                label(evidence.names[trial.trial]),
                label(place.title),
                *_show_rates(rows),
                *(cell for headline in shown for cell in _show_means(rows, evidence.cell_at(trial, place), headline)),
            )
            for trial, place, rows in _list_code(evidence)
        ),
        caption=(
            "Means per file: over outputs that parse, over outputs that pass their tests, and over the reference "
            "solutions. n is the number of files behind a mean; compare methods only where it is alike."
        ),
    )


def build_quality_detail(evidence: Evidence) -> Table:
    """Every count of every tool, one a row."""
    kinds = (_OUTPUTS_PARSING, _OUTPUTS_PASSING, _REFERENCES)
    rows = [
        (label(evidence.names[trial.trial]), label(place.title), label(name), *_show_means(rows, cell, headline))
        for trial, place, rows in _list_code(evidence)
        for cell in (evidence.cell_at(trial, place),)
        for name in _name_counts(rows, cell)
        for headline in (Headline(title=name, read=_read_first(name)),)
    ]
    columns = (*labels("trial", "track", "count"), *(Column(title=kind) for kind in kinds))
    return Table(name="quality-detail", title="All quality counts", columns=columns, rows=tuple(rows))


def _list_code(evidence: Evidence) -> list[tuple[TrialOutcome, Place, tuple[InstanceRow, ...]]]:
    return [
        (trial, place, rows)
        for trial in evidence.results.trials
        for place in evidence.places
        if place.writes_code and (rows := evidence.rows_at(trial, place))
    ]


def _occurs(evidence: Evidence, read: Callable[[Counts], float | None]) -> bool:
    return any(read(row.counts) is not None for _, _, rows in _list_code(evidence) for row in rows)


def _name_counts(rows: Sequence[InstanceRow], cell: CellScores | None) -> list[str]:
    """All counts that occur, by tool; pylint's categories from worst to mildest."""
    names = {name for row in rows for name in row.counts} | set(cell.reference_counts if cell else ())
    order = {f"pylint.{part}": rank for rank, part in enumerate(_PYLINT)}
    return sorted(names, key=lambda name: (name.partition(".")[0], order.get(name, len(order)), name))


def _show_rates(rows: Sequence[InstanceRow]) -> tuple[Cell, Cell]:
    known = [row for row in rows if row.parses is not None]
    parsing = [100.0 * _is_code(row) for row in known]
    empty = fmean(100.0 * row.empty for row in rows)
    rate = Cell(text=f"{fmean(parsing):.1f}", value=fmean(parsing)) if parsing else Cell(text=ABSENT)
    return rate, Cell(text=f"{empty:.1f}", value=empty)


def _is_code(row: InstanceRow) -> bool:
    # Nothing at all parses in most languages, and has no faults.
    return row.parses is True and not row.empty


def _show_means(rows: Sequence[InstanceRow], cell: CellScores | None, headline: Headline) -> tuple[Cell, Cell, Cell]:
    parsing = [row for row in rows if _is_code(row)]
    passing = [row for row in parsing if row.verdict == "passed"]
    reference = headline.read(cell.reference_counts) if cell else None
    return (
        _show_mean([headline.read(row.counts) for row in parsing]),
        _show_mean([headline.read(row.counts) for row in passing]),
        Cell(text=ABSENT) if reference is None else Cell(text=f"{reference:.2f}", value=reference),
    )


def _show_mean(values: Sequence[float | None]) -> Cell:
    found = [value for value in values if value is not None]
    if not found:
        return Cell(text=ABSENT)
    lost = len(values) - len(found)
    note = f"{lost} files were not measured" if lost else ""
    return Cell(
        text=f"{fmean(found):.2f}", value=fmean(found), detail=f"n = {len(found)}", warning=bool(lost), note=note
    )
