"""The answer and the tables on a terminal.

One decision: a wide table is cut into blocks that fit the terminal, each with its row labels, and a
long explanation becomes a numbered note below; nothing is squeezed until it cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from textwrap import wrap
from typing import TYPE_CHECKING

from orchestrator.report.answer import compose_answer
from orchestrator.report.doubts import list_doubts
from orchestrator.report.findings import Findings
from orchestrator.report.layout import Cell, Column, Table, is_text, number_notes, starts_as
from orchestrator.report.tables import build_tables

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "main": (),
    "seeds": (),
    "comparisons": ("question", "pairs", "effect", "p", "p (Holm)"),
    "quality": (),
    "cost": (),
    "troubles": ("log",),
}
"""The tables that a terminal shows, and which of their columns it leaves to the page and the CSV files."""


_BRIEF = ("main", "seeds", "troubles")
"""The tables that end a run; `polytune report` prints the others too."""


def print_findings(findings: Findings, *, console: Console, brief: bool = False) -> None:
    """Print the question, the answer, the most important tables (fewer when `brief`) and the warnings."""
    from rich.markup import escape

    results = findings.results
    console.print(f"[bold]{escape(results.study)}[/bold]  {escape(results.question)}\n", highlight=False)
    console.print(compose_answer(findings), markup=False, highlight=False)
    for table in build_tables(findings):
        if table.name in (_BRIEF if brief else _LEFT_OUT):
            print_table(_leave_out(table, _LEFT_OUT[table.name]), console=console)
    for doubt in list_doubts(findings):
        console.print(f"[yellow]▲[/yellow] {escape(doubt.text)}", highlight=False)


def _leave_out(table: Table, titles: Sequence[str]) -> Table:
    kept = [index for index, column in enumerate(table.columns) if column.title not in titles]
    columns = tuple(table.columns[index] for index in kept)
    return replace(table, columns=columns, rows=tuple(tuple(row[index] for index in kept) for row in table.rows))


def print_table(table: Table, *, console: Console) -> None:
    """Print one table in as many blocks as the console's width asks for."""
    numbered = number_notes(table)
    console.print(f"\n[bold]{table.title}[/bold]")
    for block in _cut(numbered, width=console.width):
        _print_block(numbered, block, console=console)
    for number, note in enumerate(numbered.notes, start=1):
        console.print(f"({number}) {note}", markup=False, highlight=False)
    if table.caption:
        console.print(table.caption, markup=False, highlight=False, style="dim")


def _cut(table: Table, *, width: int) -> Iterator[range]:
    """Runs of figure columns that fit beside the label columns; at least one a block."""
    widths = [_measure(table, column=index) for index in range(len(table.columns))]
    room = width - sum(widths[: table.label_count])
    start, used = table.label_count, 0
    for index in range(table.label_count, len(widths)):
        if used and used + widths[index] > room:
            yield range(start, index)
            start, used = index, 0
        # Prose wraps: it claims no more than a readable line.
        used += min(widths[index], 40) if is_text(table, column=index) else widths[index]
    yield range(start, len(widths))


def _measure(table: Table, *, column: int) -> int:
    texts = [_write_head(table.columns[column]), *(_write(row[column]) for row in table.rows)]
    return max(len(line) for text in texts for line in text.split("\n")) + 3


def _write_head(column: Column) -> str:
    # Headings break after a task and between words, so that columns are no wider than their figures.
    parts = re.sub("(/)| · ", r"\1\n", column.group).split("\n")
    return "\n".join([*(line for part in parts for line in wrap(part, 12, break_long_words=False)), column.title])


def _write(cell: Cell) -> str:
    """A cell as plain text, its detail below it."""
    mark = f" ({cell.mark})" if cell.mark else " ▲" if cell.warning and cell.value is not None else ""
    return "\n".join([cell.text + mark, *cell.lines])


def _print_block(table: Table, block: range, *, console: Console) -> None:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    shown = [*range(table.label_count), *block]
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for index in shown:
        column = table.columns[index]
        left = column.is_label or is_text(table, column=index)
        grid.add_column(Text(_write_head(column)), justify="left" if left else "right", vertical="top", overflow="fold")
    above: tuple[Cell, ...] | None = None
    for row in table.rows:
        grid.add_row(*(_style_cell(table, row, above, column=index) for index in shown))
        above = row
    console.print(grid)


def _style_cell(table: Table, row: Sequence[Cell], above: Sequence[Cell] | None, *, column: int) -> Text:
    from rich.text import Text

    if column < table.label_count - 1 and above is not None and starts_as(row, above, column + 1):
        return Text("")
    text = Text(_write(row[column]), style="yellow" if row[column].warning else "")
    end = text.plain.find("\n")
    if end >= 0:
        text.stylize("dim", end)
    return text
