"""The answer and the tables on a terminal.

One decision: a wide table is cut into blocks that fit the terminal, each with its row labels, and a
long explanation becomes a numbered note below; nothing is squeezed until it cannot be read. Whatever a study named or a
model wrote is made visible first, so that it is shown and never acts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from textwrap import wrap
from typing import TYPE_CHECKING

from orchestrator.report.answer import Claim, list_groups, list_sentences, sum_up
from orchestrator.report.doubts import list_doubts, main_verdicts
from orchestrator.report.findings import Findings
from orchestrator.report.layout import Cell, Column, Table, count_nouns, is_text, number_notes, starts_as
from orchestrator.report.tables import build_tables
from orchestrator.report.visible import make_visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "methods": (),
    "main": (),
    "seeds": (),
    "comparisons": ("question", "pairs", "effect", "p", "p corrected"),
    "interference": (),
    "quality": (),
    "cost": (),
    "training": (),
    "generation": (),
    "troubles": ("log",),
}
"""The tables that a terminal shows, and which of their columns it leaves to the page and the CSV files."""
_STYLES: Mapping[str, str] = {"better": "bold green", "as good as": "bold green", "worse": "bold red"}
_PAGE = 80
"""Columns that the answer's table takes at most, however wide the terminal is."""


def print_findings(findings: Findings, *, console: Console, full: bool = False) -> None:
    """Print the question, when `full` all tables, and then the answer: a table, three sentences, and what to doubt."""
    from rich.text import Text

    results = findings.results
    title = Text(make_visible(results.study), style="bold")
    console.print(title + Text(f"  {make_visible(results.question.strip())}", style="not bold"))
    for table in build_tables(findings) if full else ():
        if table.name in _LEFT_OUT:
            print_table(_leave_out(table, _LEFT_OUT[table.name]), console=console)
    _print_claims(findings, console=console)
    for sentence in list_sentences(findings):
        _print_plain(sentence, console=console)
    _print_doubts(findings, console=console, full=full)


def _print_plain(text: str, *, console: Console, style: str = "") -> None:
    from rich.text import Text

    console.print(Text(make_visible(text), style=style))


def _print_claims(findings: Findings, *, console: Console) -> None:
    """Every verdict that answers the question, a line each below its pair, all of them in the same columns."""
    main = main_verdicts(findings)
    groups = list_groups(findings, main)
    longest = max((len(claim.name) for group in groups for claim in group.claims), default=0)
    for group in groups:
        console.print()
        _print_plain(group.title, console=console, style="bold")
        for claim in group.claims:
            _print_claim(claim, console=console, name_width=min(longest, 20) + 2)
    rest = [verdict for verdict in findings.verdicts if verdict not in main]
    if rest:
        console.print()
        _print_plain(f"Against the frozen model: {sum_up(rest)}.", console=console)
    console.print()


def _print_claim(claim: Claim, *, console: Console, name_width: int) -> None:
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid.grid(padding=(0, 1, 0, 0))
    widths = (name_width, 13, 6, 16)
    room = max(10, min(console.width, _PAGE) - sum(widths) - len(widths))
    for width, side in zip((*widths, room), ("left", "left", "right", "left", "left"), strict=True):
        grid.add_column(width=width, justify=side, overflow="fold")  # type: ignore[arg-type]  # one of rich's words
    grid.add_row(
        Text(f"  {make_visible(claim.name)}"),
        Text(f"{claim.sign} {claim.wording}", style=_STYLES.get(claim.wording, "yellow")),
        Text(claim.effect),
        Text(claim.interval),
        Text(claim.basis, style="dim"),
    )
    console.print(grid)
    for more in (claim.outlook, claim.verdict.stepped):
        if more:
            _print_plain(f"    {more}", console=console, style="dim")


def _print_doubts(findings: Findings, *, console: Console, full: bool) -> None:
    """What touches a verdict; the rest as a number, or when `full` too."""
    from rich.text import Text

    doubts = list_doubts(findings)
    for doubt in doubts:
        if doubt.touches or full:
            sign = Text("▲ ", style="yellow" if doubt.touches else "dim")
            console.print(sign + Text(make_visible(doubt.text)))
    rest = sum(not doubt.touches for doubt in doubts)
    if rest and not full:
        _print_plain(f"{count_nouns(rest, 'more kind')} of warning touch no verdict.", console=console, style="dim")


def _leave_out(table: Table, titles: Sequence[str]) -> Table:
    kept = [index for index, column in enumerate(table.columns) if column.title not in titles]
    columns = tuple(table.columns[index] for index in kept)
    return replace(table, columns=columns, rows=tuple(tuple(row[index] for index in kept) for row in table.rows))


def print_table(table: Table, *, console: Console) -> None:
    """Print one table in as many blocks as the console's width asks for."""
    numbered = number_notes(table)
    console.print()
    _print_plain(table.title, console=console, style="bold")
    for block in _cut(numbered, width=console.width):
        _print_block(numbered, block, console=console)
    for number, note in enumerate(numbered.notes, start=1):
        _print_plain(f"({number}) {note}", console=console)
    if table.caption:
        _print_plain(table.caption, console=console, style="dim")


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
    lines = [*(line for part in parts for line in wrap(part, 12, break_long_words=False)), column.title]
    return make_visible("\n".join(lines))


def _write(cell: Cell) -> str:
    """A cell as plain text, its detail below it."""
    mark = f" ({cell.mark})" if cell.mark else " ▲" if cell.warning and cell.value is not None else ""
    return make_visible("\n".join([cell.text + mark, *cell.lines]))


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
