"""The scores as one table for a paper: it fits a column, or a page, whatever the study's shape.

One decision: the table is turned as it fits best. Methods head the columns where they fit, else the rows; what fits
neither way is cut into panels. Seeds of one method are one entry, their mean; intervals are in the long tables.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile
from statistics import fmean
from string import ascii_lowercase
from textwrap import wrap

from orchestrator.report.evidence import Arm, group_ways
from orchestrator.report.exports.latex import COLUMN, GAP, PAGE, escape, join_row, needs, raised, stacked, width_of
from orchestrator.report.findings import Findings
from orchestrator.report.layout import ABSENT, format_number
from orchestrator.report.scores import Measure, Score, Unscored
from orchestrator.report.tables import show_score

_HEAD = 11
"""Characters of a heading's line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One way of adapting one model, with its seeds; `letter` stands for it in the marks.

    `model` is empty where the study has one.
    """

    model: str
    title: str
    letter: str
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One figure: `best` of its measure, better than the lines of `marks`, with the `note` below that explains it."""

    text: str
    best: bool = False
    marks: str = ""
    note: int = 0

    @property
    def raised(self) -> str:
        """What stands above the line behind it."""
        return ",".join(part for part in (self.marks, str(self.note or "")) if part)

    @property
    def width(self) -> float:
        """Points that it takes."""
        return width_of(self.text, bold=self.best) + 0.75 * width_of(self.raised)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table that can be turned: headings in lines, rows under headings of their own, and a cell for each two.

    Neighbouring columns of one of `groups` stand under it.
    """

    groups: tuple[str, ...]
    heads: tuple[tuple[str, ...], ...]
    letters: tuple[str, ...]
    rows: tuple[tuple[str, str, str], ...]
    cells: tuple[tuple[Entry, ...], ...]

    @property
    def label_width(self) -> float:
        """Points of the column of labels."""
        return max(width_of(f"  {title}") + 0.75 * width_of(letter) for _, title, letter in self.rows)

    @property
    def widths(self) -> list[float]:
        """Points of each column of figures, with the room around it."""
        heads = [
            max(map(width_of, lines)) + 0.75 * width_of(a) for lines, a in zip(self.heads, self.letters, strict=True)
        ]
        return [max(head, *(row[index].width for row in self.cells)) + 2 * GAP for index, head in enumerate(heads)]

    @property
    def width(self) -> float:
        """Points that the whole takes."""
        return self.label_width + sum(self.widths)


def render_main(findings: Findings) -> str:
    """The scores, methods by measures: best in bold, what is better than what by the study's tests, notes below."""
    lines, notes = list_lines(findings), list[str]()
    entries = {
        (line.letter, m): entry for m in findings.measures for line, entry in _entries(findings, lines, m, notes)
    }
    by_measure = _grid_by_measure(lines, findings.measures, entries)
    by_line = _grid_by_line(lines, findings.measures, entries)
    told = _remarks(findings, lines, notes)
    for grid, room in ((by_measure, COLUMN), (by_line, COLUMN), (by_measure, PAGE), (by_line, PAGE)):
        if grid.width <= room:
            return "\n".join([needs(), *_float([grid], told, room=room), ""])
    return "\n".join([needs(), *_float(list(_panels(by_measure)), told, room=PAGE), ""])


def list_lines(findings: Findings) -> tuple[Line, ...]:
    """The study's ways of adapting its models, each with a letter."""
    ways = group_ways(findings.evidence.arms)
    several = len({model for model, _ in ways}) > 1
    return tuple(
        Line(model=model if several else "", title=way, letter=_letter(number), arms=arms)
        for number, ((model, way), arms) in enumerate(ways.items())
    )


def _letter(number: int) -> str:
    """Letters from a to z, then aa, ab and so on."""
    more, last = divmod(number, len(ascii_lowercase))
    return (_letter(more - 1) if more else "") + ascii_lowercase[last]


def _entries(
    findings: Findings, lines: Sequence[Line], measure: Measure, notes: list[str]
) -> Iterator[tuple[Line, Entry]]:
    """A measure's figures; the reasons of those that are missing go to the notes, each once."""
    values = {line.letter: _mean(findings, line, measure) for line in lines}
    known = [value for value in values.values() if isinstance(value, float)]
    best = max(map(format_number, known), key=lambda text: float(text.replace("\N{MINUS SIGN}", "-")), default="")
    for line in lines:
        value = values[line.letter]
        if isinstance(value, float):
            text = format_number(value)
            marks = _beaten(findings, line, lines, measure)
            yield (
                line,
                Entry(
                    text=text,
                    best=len(known) > 1 and text == best,
                    marks=marks,
                    note=_partial(findings, line, measure, notes),
                ),
            )
        else:
            yield line, Entry(text=ABSENT, note=_number(value.reason, notes))


def _mean(findings: Findings, line: Line, measure: Measure) -> float | Unscored:
    """The mean over a line's seeds, of the figure that every table shows."""
    scores = [findings.score(arm, measure) for arm in line.arms]
    shown = [cell.value for score in scores if (cell := show_score(score)).value is not None]
    return fmean(shown) if shown else next(score for score in scores if isinstance(score, Unscored))


def _partial(findings: Findings, line: Line, measure: Measure, notes: list[str]) -> int:
    """The note of a figure that not all problems, or not all seeds, stand behind."""
    scores = [findings.score(arm, measure) for arm in line.arms]
    found = [score for score in scores if isinstance(score, Score)]
    missing = next((s for s in found if len(s.per_problem) < s.problems), None)
    told = f"{len(found)} of {len(scores)} seeds" if len(found) < len(scores) else ""
    if missing is not None:
        told = f"{len(missing.per_problem)} of {missing.problems} problems" + (f", {told}" if told else "")
    return _number(told, notes)


def _number(note: str, notes: list[str]) -> int:
    if not note:
        return 0
    if note not in notes:
        notes.append(note)
    return notes.index(note) + 1


def _beaten(findings: Findings, line: Line, lines: Sequence[Line], measure: Measure) -> str:
    """The letters of the lines that this one is better than, in every comparison of the two that was made."""
    found = ""
    for other in lines:
        outcomes = [
            item.wording == ("better" if item.first in line.arms else "worse")
            for item in findings.contrasts
            if item.measure == measure and _is_between(item.first, item.second, line, other)
        ]
        found += other.letter if outcomes and all(outcomes) else ""
    return found


def _is_between(first: Arm, second: Arm, line: Line, other: Line) -> bool:
    return (first in line.arms and second in other.arms) or (second in line.arms and first in other.arms)


def _grid_by_measure(
    lines: Sequence[Line], measures: Sequence[Measure], entries: dict[tuple[str, Measure], Entry]
) -> Grid:
    heads = list(dict.fromkeys(_split_place(measure)[0] for measure in measures))
    measures = sorted(measures, key=lambda measure: heads.index(_split_place(measure)[0]))
    return Grid(
        groups=tuple(line.model for line in lines),
        heads=tuple(_break_head(line.title) for line in lines),
        letters=tuple(line.letter for line in lines),
        rows=tuple((*_split_place(measure), "") for measure in measures),
        cells=tuple(tuple(entries[line.letter, measure] for line in lines) for measure in measures),
    )


def _grid_by_line(
    lines: Sequence[Line], measures: Sequence[Measure], entries: dict[tuple[str, Measure], Entry]
) -> Grid:
    return Grid(
        groups=("",) * len(measures),
        heads=tuple(_break_head(f"{measure.place.title} · {measure.title}") for measure in measures),
        letters=("",) * len(measures),
        rows=tuple((line.model, line.title, line.letter) for line in lines),
        cells=tuple(tuple(entries[line.letter, measure] for measure in measures) for line in lines),
    )


def _split_place(measure: Measure) -> tuple[str, str]:
    """The task and the metric, under which rows stand together, and what is left of the row's name."""
    task, _, rest = measure.place.title.partition("/")
    return f"{task}, {measure.title}", rest


def _break_head(title: str) -> tuple[str, ...]:
    """A heading in short lines, broken where words end."""
    parts = title.replace("/", "/ ").replace(" · ", " ").replace("-", "- ")
    lines = [
        line.replace("- ", "-").replace("/ ", "/")
        for line in wrap(parts, _HEAD, break_long_words=False, break_on_hyphens=False)
    ]
    return tuple(lines) or ("",)


def _panels(grid: Grid) -> Iterator[Grid]:
    """Parts of a grid that each fit a page's width, with all of its rows; a group is parted where it must be."""
    start, used = 0, grid.label_width
    for index, width in enumerate(grid.widths):
        ahead = width if index and grid.groups[index] == grid.groups[index - 1] else _group_width(grid, index)
        fits_alone = grid.label_width + ahead <= PAGE
        if index > start and used + (ahead if fits_alone else width) > PAGE:
            yield _part(grid, start, index)
            start, used = index, grid.label_width
        used += width
    yield _part(grid, start, len(grid.heads))


def _group_width(grid: Grid, start: int) -> float:
    """Points of the columns of one group, from its first on."""
    found = takewhile(
        lambda pair: pair[0] == grid.groups[start], zip(grid.groups[start:], grid.widths[start:], strict=True)
    )
    return sum(width for _, width in found)


def _part(grid: Grid, start: int, end: int) -> Grid:
    return replace(
        grid,
        groups=grid.groups[start:end],
        heads=grid.heads[start:end],
        letters=grid.letters[start:end],
        cells=tuple(row[start:end] for row in grid.cells),
    )


def _remarks(findings: Findings, lines: Sequence[Line], notes: Sequence[str]) -> list[str]:
    """What stands below the table."""
    marked = any(_beaten(findings, line, lines, measure) for line in lines for measure in findings.measures)
    seeds = max((len(line.arms) for line in lines), default=1)
    told = ["Scale 0--100, higher is better; the best of a row of methods is bold."]
    if seeds > 1:
        told.append(f"Means over up to {seeds} seeds.")
    if marked:
        told.append(
            "Letters: better than the method of that letter, paired by problem, $p < 0.05$ after correction"
            + (", with every seed." if seeds > 1 else ".")
        )
    return [" ".join(told), *(f"{raised(str(number))} {escape(note)}." for number, note in enumerate(notes, 1))]


def _float(panels: Sequence[Grid], remarks: Sequence[str], *, room: float) -> Iterator[str]:
    """One float for each panel; a page's width spans both columns where there are two."""
    environment = "table" if room == COLUMN else "table*"
    for number, panel in enumerate(panels, 1):
        part = f" (part {number} of {len(panels)})" if len(panels) > 1 else ""
        yield from (
            f"\\begin{{{environment}}}[tbp]",
            r"\centering\footnotesize",
            f"\\setlength{{\\tabcolsep}}{{{GAP:g}pt}}",
            f"\\caption{{Scores by method{part}.}}",
            f"\\label{{tab:scores{number if number > 1 else ''}}}",
            *_tabular(panel),
            r"\par\smallskip",
            r"\begin{minipage}{\linewidth}\raggedright\scriptsize",
            *(f"{remark}\\par" for remark in remarks),
            r"\end{minipage}",
            f"\\end{{{environment}}}",
        )


def _tabular(grid: Grid) -> Iterator[str]:
    # A figure and what is raised behind it are two columns, so that figures end on one line.
    yield f"\\begin{{tabular}}{{@{{}}l{'r@{}l' * len(grid.heads)}@{{}}}}"
    yield r"\toprule"
    if any(grid.groups):
        yield from _write_groups(grid)
    heads = (stacked(lines, mark=letter) for lines, letter in zip(grid.heads, grid.letters, strict=True))
    yield join_row(["", *(f"\\multicolumn{{2}}{{c}}{{{head}}}" for head in heads)])
    yield r"\midrule"
    above = ""
    for (group, title, letter), cells in zip(grid.rows, grid.cells, strict=True):
        if group and group != above:
            if above:
                yield r"\addlinespace[2pt]"
            yield join_row([f"\\multicolumn{{{1 + 2 * len(cells)}}}{{@{{}}l}}{{\\emph{{{escape(group)}}}}}"])
            above = group
        indent = r"\quad " if group else ""
        yield join_row([f"{indent}{escape(title)}{raised(letter)}", *map(_write_entry, cells)])
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _write_groups(grid: Grid) -> Iterator[str]:
    """Headings over neighbouring columns, each with a rule below it."""
    fields, rules, position = [""], [], 2
    for group, members in groupby(grid.groups):
        span = 2 * len(list(members))
        fields.append(f"\\multicolumn{{{span}}}{{c}}{{{escape(group)}}}")
        rules.append(f"\\cmidrule(lr){{{position}-{position + span - 1}}}")
        position += span
    yield join_row(fields)
    yield " ".join(rules)


def _write_entry(entry: Entry) -> str:
    text = escape(entry.text)
    shown = f"\\textbf{{{text}}}" if entry.best else text
    return f"{shown} & {raised(entry.raised)}"


__all__ = ["Entry", "Grid", "Line", "list_lines", "render_main"]
