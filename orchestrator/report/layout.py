"""The shape of a table, shared by terminal, HTML, CSV and LaTeX, and how its figures are written.

One decision: a cell carries both its text and its number. What is shown and what a program reads
then come from one place, and no renderer rounds, flags or explains by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from orchestrator.ledger.progress import State
from orchestrator.report.statistics import Interval

ABSENT = "\N{EN DASH}"
"""Stands where there is nothing to say: the trial was not asked for this."""
MINUS = "\N{MINUS SIGN}"
_MOST_COLUMNS = 8
"""Columns of figures that stand side by side on a page 1,160 pixels wide, or on paper."""
_LONG = 24
"""Characters above which an explanation in place of a number is moved below the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column; neighbours of one `group` stand under a shared heading. Labels head their rows."""

    title: str
    group: str = ""
    is_label: bool = False

    @property
    def full_title(self) -> str:
        """Heading and title in one line, for formats without shared headings."""
        return f"{self.group}: {self.title}" if self.group else self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One entry. `interval` and `detail` (such as a count) stand below it, smaller; `note` explains.

    `link` is a place in the page that shows what is behind the entry, such as `#sample=...`; only the page uses it.

    `value` is None where there is no number; `warning` says that the entry needs the reader's
    attention before it is believed. `digits` are the decimals of the interval. `mark` is the number
    of its note below the table, 0 for none.
    """

    text: str
    value: float | None = None
    interval: Interval | None = None
    digits: int = 1
    detail: str = ""
    warning: bool = False
    note: str = ""
    mark: int = 0
    link: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """What stands below the text, a line each."""
        found = (format_range(*self.interval, digits=self.digits) if self.interval else "", self.detail)
        return tuple(line for line in found if line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with a `name` fit for a file; every row has one cell per column.

    `notes` are what marks refer to, from 1; `number_notes` fills them.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse ragged rows, which every renderer would show under the wrong heading."""
        widths = {len(row) for row in self.rows}
        assert widths <= {len(self.columns)}, f"table {self.name}: rows of {widths}, {len(self.columns)} columns"

    @property
    def label_count(self) -> int:
        """How many columns, from the left, head their rows."""
        return sum(column.is_label for column in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Neighbouring columns under one heading; `group` is empty where there is none."""

    group: str
    titles: tuple[str, ...]


def list_headings(columns: Sequence[Column]) -> tuple[Heading, ...]:
    """The shared headings of columns, from left to right."""
    return tuple(
        Heading(group=group, titles=tuple(column.title for column in members))
        for group, members in groupby(columns, key=lambda column: column.group)
    )


def label(text: str) -> Cell:
    """A cell that heads its row."""
    return Cell(text=text)


def labels(*titles: str) -> tuple[Column, ...]:
    """Columns that head their rows."""
    return tuple(Column(title=title, is_label=True) for title in titles)


def merge_alike(row: Sequence[Cell]) -> tuple[tuple[Cell, int], ...]:
    """Join neighbours that give the same explanation instead of a number; pairs of cell and width."""
    runs = groupby(enumerate(row), key=lambda item: item[1] if _explains(item[1]) else item[0])
    merged = [[cell for _, cell in run] for _, run in runs]
    return tuple((cells[0], len(cells)) for cells in merged)


def _explains(cell: Cell) -> bool:
    return cell.value is None and cell.warning and cell.text != ABSENT


def number_notes(table: Table) -> Table:
    """Move what does not fit into cells (notes, long explanations) below the table, each said once."""
    notes: dict[str, int] = {}
    rows = tuple(tuple(_move_note(cell, notes) for cell in row) for row in table.rows)
    return replace(table, rows=rows, notes=tuple(notes))


def _move_note(cell: Cell, notes: dict[str, int]) -> Cell:
    text, note = cell.text, cell.note
    if _explains(cell) and len(text) > _LONG:
        text, note = text.partition(":")[0], text
    if not note:
        return cell
    return replace(cell, text=text, note="", mark=notes.setdefault(note, len(notes) + 1))


def starts_as(row: Sequence[Cell], above: Sequence[Cell], count: int) -> bool:
    """Whether a row repeats the first `count` texts of the row above, which a reader need not see again."""
    return all(cell.text == other.text for cell, other in zip(row[:count], above[:count], strict=True))


def fit(table: Table) -> tuple[Table, ...]:
    """A table as the page can show it whole: turned where that makes it narrower, else in blocks of some columns."""
    figures = len(table.columns) - table.label_count
    if figures <= _MOST_COLUMNS:
        return (table,)
    if len(table.rows) <= _MOST_COLUMNS:
        return (turn(table),)
    return _cut(table)


def turn(table: Table) -> Table:
    """The table with its rows as columns: heading and title head the rows, and the labels of a row its column."""
    heads = table.columns[table.label_count :]
    grouped = any(column.group for column in heads)
    columns = [" · ".join(cell.text for cell in row[: table.label_count]) for row in table.rows]
    return replace(
        table,
        columns=(*labels(*(("", " ") if grouped else ("",))), *(Column(title=title) for title in columns)),
        rows=tuple(
            (
                *((label(head.group),) if grouped else ()),
                label(head.title),
                *(row[table.label_count + index] for row in table.rows),
            )
            for index, head in enumerate(heads)
        ),
    )


def _cut(table: Table) -> tuple[Table, ...]:
    """Blocks of as many columns as fit, each with the labels; shared headings are not cut where that can be helped."""
    heads = list_headings(table.columns[table.label_count :])
    blocks: list[list[int]] = [[]]
    start = table.label_count
    for heading in heads:
        width = len(heading.titles)
        for index in range(start, start + width):
            whole = width if heading.group and index == start else 1
            if blocks[-1] and len(blocks[-1]) + min(whole, _MOST_COLUMNS) > _MOST_COLUMNS:
                blocks.append([])
            blocks[-1].append(index)
        start += width
    return tuple(
        replace(
            table,
            columns=tuple(table.columns[index] for index in (*range(table.label_count), *block)),
            rows=tuple(tuple(row[index] for index in (*range(table.label_count), *block)) for row in table.rows),
            caption=table.caption if block is blocks[-1] else "",
        )
        for block in blocks
    )


def is_text(table: Table, *, column: int) -> bool:
    """Whether a column holds words alone, which are set flush left."""
    cells = [row[column] for row in table.rows if row[column].text != ABSENT]
    return bool(cells) and not any(cell.value is not None or _explains(cell) for cell in cells)


def format_number(value: float, *, digits: int = 1, signed: bool = False) -> str:
    """A number with a true minus sign, and without one before a zero."""
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    return (text if float(text) else text.lstrip("+-")).replace("-", MINUS)


def format_range(low: float, high: float, *, digits: int = 1) -> str:
    """An interval."""
    return f"{format_number(low, digits=digits)} to {format_number(high, digits=digits)}"


def format_p(value: float) -> str:
    """A p-value as journals write it."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def format_seconds(seconds: float) -> str:
    """A duration in the two largest units that matter."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def format_count(count: float) -> str:
    """A number of things to three figures, with a unit letter above ten thousand."""
    if count < 10_000:
        return f"{count:,.0f}"
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if count >= size * 0.9995:
            return f"{count / size:.3g} {letter}"
    return f"{count / 1e3:.3g} k"


def format_bytes(size: float) -> str:
    """A memory size in binary units."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} GiB"


def format_usd(amount: float) -> str:
    """An amount of money; a fraction of a cent is not called nothing."""
    return "< 0.01" if 0 < amount < 0.005 else f"{amount:,.2f}"


def count_nouns(count: int, noun: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


_UNFINISHED = {State.WAITING: "not run yet", State.NOT_RUN: "not run", State.STOPPED: "not finished"}


def say_state(state: State) -> str:
    """How a stage that is not done stands, as a table says it."""
    return _UNFINISHED.get(state, str(state))
