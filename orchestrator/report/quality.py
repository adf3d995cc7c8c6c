"""How good the code is, three ways: over code that parses, over code that passes, and against the references.

One decision: a mean never stands without the number of files behind it. Code that does not parse has no
counts, so a method that breaks half its outputs would otherwise look tidy. What is left of a broken cell is
not like what was lost: its means are not shown, whatever they are. The difference compares each output with
the reference of its own problem, so that it does not fall merely because the longer answers are gone; it stays, marked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from evaluators.health import LIMITS
from evaluators.quality import Count, Figure, count_of, difference_of, figure_of
from orchestrator.report.evidence import Evidence, Place
from orchestrator.report.layout import ABSENT, Cell, Column, Table, format_number, label, labels
from orchestrator.report.results import CellScores, InstanceRow, TrialOutcome

Counts = Mapping[str, float]
_KINDS = ("parses", "passes", "vs reference")
_PYLINT = tuple(f"pylint.{part}" for part in ("error", "warning", "convention", "refactor"))
_PMD = tuple(
    f"pmd.{part}" for part in ("errorprone", "multithreading", "performance", "design", "bestpractices", "codestyle")
)
_MCS = ("mcs.error", "mcs.unresolved", "mcs.warning")
_SHOWN_RULES = 10
BY_NATURE = (
    "pylint.missing-module-docstring",
    "pylint.missing-class-docstring",
    "pylint.missing-function-docstring",
    "pylint.missing-final-newline",
    "pmd.CommentDefaultAccessModifier",
    "pmd.CommentRequired",
    "pmd.NoPackage",
    "pmd.UseUtilityClass",
)
"""Rules that every snippet breaks because it is one: it has no documentation, no package, and no last newline."""
_TOO_FEW = "too few outputs parse for this to stand for all of them"
_CAPTION = (
    "Means per file over outputs that parse, over outputs that pass their tests, and of the difference from the "
    "reference solution to the same problem. n is the number of files behind a figure, /100 the figure per 100 lines "
    "of code. Compare methods by the difference. Where too few outputs parse, means over the rest are not shown. Lint "
    "messages leave out what every snippet has by nature, such as a missing docstring."
)


def _sum_of(*alternatives: tuple[str, ...], per_lines: bool = True, less: Sequence[str] = ()) -> Count:
    """The sum of several counts, of the first set that a file has, less what is counted of the rules `less`."""

    def read(counts: Counts) -> float | None:
        names = next((names for names in alternatives if all(name in counts for name in names)), None)
        return sum(counts[name] for name in names) - sum(counts.get(name, 0.0) for name in less) if names else None

    return Count(read=read, per_lines=per_lines)


HEADLINES: Mapping[str, Count] = {
    "lint messages": _sum_of(_PYLINT, _PMD, less=BY_NATURE),
    "cyclomatic complexity": _sum_of(("lizard.ccn",), ("radon.cyclomatic_total",)),
    "lines of code": _sum_of(("lizard.nloc",), ("radon.lloc",), per_lines=False),
}


def build_quality_table(evidence: Evidence) -> Table:
    """Parse rate, empty rate and the headline counts of each trial on each track that writes code."""
    shown = {title: count for title, count in HEADLINES.items() if _occurs(evidence, count)}
    columns = [Column(title=kind, group=title) for title in shown for kind in _KINDS]
    return Table(
        name="quality",
        title="Code quality",
        columns=(*labels("trial", "track"), Column(title="parses %"), Column(title="empty %"), *columns),
        rows=tuple(
            (
                label(evidence.names[trial.trial]),
                label(place.title),
                *_show_rates(rows),
                *(entry for count in shown.values() for entry in _show(read_files(files, count))),
            )
            for trial, place, rows in _list_code(evidence)
            for files in (gather_files(rows, evidence.cell_at(trial, place)),)
        ),
        caption=_CAPTION,
    )


def build_quality_detail(evidence: Evidence) -> Table:
    """Every count of every tool and the rules that are broken most often, one a row."""
    rows = [
        (label(evidence.names[trial.trial]), label(place.title), label(name), *_show_apart(ways))
        for trial, place, rows in _list_code(evidence)
        for cell in (evidence.cell_at(trial, place),)
        for files in (gather_files(rows, cell),)
        for name, count in list_counts(rows, cell)
        for ways in (read_files(files, count),)
    ]
    columns = [Column(title=title, group=kind) for kind in _KINDS for title in ("per file", "per 100 lines")]
    return Table(
        name="quality-detail",
        title="All quality counts",
        columns=(*labels("trial", "track", "count"), *columns),
        rows=tuple(rows),
        caption=_CAPTION,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeWays:
    """One count of one cell, `lost` files not measured.

    `marked` if too few outputs parse to stand for the rest: `parsing` and `passing` are withheld then.
    """

    parsing: Figure | None
    passing: Figure | None
    difference: Figure | None
    lost: int
    marked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFiles:
    """The counts of a cell's files, to be read many times: of those that parse, that pass, and of their references."""

    parsing: tuple[Counts, ...]
    passing: tuple[Counts, ...]
    references: tuple[Counts, ...]
    marked: bool


def gather_files(rows: Sequence[InstanceRow], cell: CellScores | None) -> CodeFiles:
    """The files of a cell, with counts and rules in one."""
    parsing = [row for row in rows if _is_code(row)]
    counted = tuple({**row.counts, **row.rules} for row in parsing)
    return CodeFiles(
        parsing=counted,
        passing=tuple(counts for row, counts in zip(parsing, counted, strict=True) if row.verdict == "passed"),
        references=tuple(_reference(cell, row.problem_id) for row in parsing),
        marked=len(parsing) < (1 - LIMITS["unparseable"].highest) * len(rows),
    )


def read_three_ways(rows: Sequence[InstanceRow], cell: CellScores | None, count: Count) -> ThreeWays:
    """A count over outputs that parse, over those that pass, and as a difference from their references."""
    return read_files(gather_files(rows, cell), count)


def read_files(files: CodeFiles, count: Count) -> ThreeWays:
    """One count of files that were gathered before."""
    count = _read_once(count)
    return ThreeWays(
        parsing=None if files.marked else figure_of(files.parsing, count),
        passing=None if files.marked else figure_of(files.passing, count),
        difference=difference_of(list(zip(files.parsing, files.references, strict=True)), count),
        lost=sum(count.read(counts) is None for counts in files.parsing),
        marked=files.marked,
    )


def _read_once(count: Count) -> Count:
    """The count, which remembers what it read of a file: each way reads it, and some twice."""
    known: dict[int, float | None] = {}

    def read(counts: Counts) -> float | None:
        place = id(counts)
        if place not in known:
            known[place] = count.read(counts)
        return known[place]

    return replace(count, read=read)


def _reference(cell: CellScores | None, problem_id: str) -> Counts:
    if cell is None:
        return {}
    return {**cell.reference_counts.get(problem_id, {}), **cell.reference_rules.get(problem_id, {})}


def _list_code(evidence: Evidence) -> list[tuple[TrialOutcome, Place, tuple[InstanceRow, ...]]]:
    return [
        (trial, place, rows)
        for trial in evidence.results.trials
        for place in evidence.places
        if place.writes_code and (rows := evidence.rows_at(trial, place))
    ]


def _occurs(evidence: Evidence, count: Count) -> bool:
    return any(count.read(row.counts) is not None for _, _, rows in _list_code(evidence) for row in rows)


def list_counts(rows: Sequence[InstanceRow], cell: CellScores | None) -> list[tuple[str, Count]]:
    """All counts that occur, by tool, from worst to mildest; then the rules that are broken most often."""
    references: Iterable[Counts] = cell.reference_counts.values() if cell else ()
    names = {name for counts in (*(row.counts for row in rows), *references) for name in counts}
    order = {name: rank for rank, name in enumerate((*_PYLINT, *_PMD, *_MCS))}
    ordered = sorted(names, key=lambda name: (name.partition(".")[0], order.get(name, len(order)), name))
    broken: Counter[str] = Counter()
    for row in rows:
        broken.update({name: int(count) for name, count in row.rules.items()})
    rules = [name for name, _ in broken.most_common(_SHOWN_RULES)]
    return [*((name, count_of(name)) for name in ordered), *((name, _rule(name)) for name in rules)]


def _rule(name: str) -> Count:
    """A rule that was not broken is absent, and 0 in a file that its tool has measured to the end."""
    tool = name.partition(".")[0]
    measured = "mcs.warning" if tool == "mcs" else f"{tool}."

    def read(counts: Counts) -> float | None:
        return counts.get(name, 0.0 if any(other.startswith(measured) for other in counts) else None)

    return Count(read=read, per_lines=True)


def _show_rates(rows: Sequence[InstanceRow]) -> tuple[Cell, Cell]:
    known = [row for row in rows if row.parses is not None]
    parsing = [100.0 * _is_code(row) for row in known]
    empty = fmean(100.0 * row.empty for row in rows)
    rate = Cell(text=f"{fmean(parsing):.1f}", value=fmean(parsing)) if parsing else Cell(text=ABSENT)
    return rate, Cell(text=f"{empty:.1f}", value=empty)


def _is_code(row: InstanceRow) -> bool:
    # Nothing at all parses in most languages, and has no faults.
    return row.parses is True and not row.empty


def _show(ways: ThreeWays) -> tuple[Cell, Cell, Cell]:
    """Each way's mean per file, with what is behind it."""
    return (
        _show_figure(ways.parsing, ways),
        _show_figure(ways.passing, ways),
        _show_figure(ways.difference, ways, signed=True),
    )


def _show_figure(figure: Figure | None, ways: ThreeWays, *, signed: bool = False) -> Cell:
    if figure is None:
        return Cell(text=ABSENT, warning=ways.marked, note=_TOO_FEW if ways.marked else "")
    rate = figure.per_100_lines
    per_lines = "" if rate is None else f", {format_number(rate, signed=signed)} /100"
    few = _TOO_FEW if ways.marked else ""
    lost = f"{ways.lost} files were not measured" if ways.lost else ""
    return Cell(
        text=format_number(figure.per_file, digits=2, signed=signed),
        value=figure.per_file,
        detail=f"n = {figure.files}{per_lines}",
        warning=bool(few or lost),
        note="; ".join(part for part in (few, lost) if part),
    )


def _show_apart(ways: ThreeWays) -> list[Cell]:
    """Each way's mean per file and per 100 lines, in cells of their own."""
    cells = []
    for cell, figure in zip(_show(ways), (ways.parsing, ways.passing, ways.difference), strict=True):
        rate = figure.per_100_lines if figure else None
        signed = figure is ways.difference
        text = ABSENT if rate is None else format_number(rate, digits=2, signed=signed)
        cells += [
            replace(cell, detail=f"n = {figure.files}" if figure else ""),
            Cell(text=text, value=rate, warning=cell.warning and rate is not None),
        ]
    return cells
