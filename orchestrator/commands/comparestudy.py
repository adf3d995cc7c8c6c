"""`polytune compare --study`: two methods or trials of a study, from its ledger.

One decision: the table and the JSON are the report's own comparisons and verdicts, so that both say the same of a pair.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.commands.options import opened_as_run
from orchestrator.commands.output import print_json
from orchestrator.errors import InputError

if TYPE_CHECKING:
    from orchestrator.report.findings import Findings
    from orchestrator.report.layout import Table

_LEFT_OUT = ("question", "first", "against", "effect", "p")
"""Columns that a terminal leaves to the title, and to `--json`."""


def compare_study(
    study: str, names: Sequence[str], metrics: Sequence[str], *, margin: float | None = None, json_: bool
) -> None:
    """Compare two of a study's methods or trials and print what is found.

    Raises:
        InputError: if not two are named, or one is unknown.
    """
    from orchestrator.report.between import compare_within
    from orchestrator.report.collect import collect
    from orchestrator.report.exports.document import list_rows
    from orchestrator.report.exports.figures import comparison_sheet, verdict_sheet

    if len(names) != 2:
        raise InputError(f"compare --study needs two methods or trials, got {len(names)}; name two")
    cells, ledger = opened_as_run(study)
    results = collect(cells.study, cells.trials, ledger)
    found = compare_within(results, *names, metrics=metrics, margin=margin)
    if json_:
        head = {"study": results.study, "first": names[0], "second": names[1]}
        sheets = (verdict_sheet(found), comparison_sheet(found))
        print_json(head | {sheet.name: list_rows(sheet) for sheet in sheets})
        return
    _print(found)


def _print(found: "Findings") -> None:
    """A line for each verdict, then a table of its tests for each pair."""
    from rich.console import Console

    from orchestrator.report import print_table
    from orchestrator.report.answer import list_groups
    from orchestrator.report.tables import build_comparison_table

    for group in list_groups(found, found.verdicts):
        for claim in group.claims:
            within = f" ({claim.interval})" if claim.interval else ""
            effect = f"{claim.effect} points{within}" if claim.effect else ""
            told = ", ".join(part for part in (claim.name, claim.wording, effect, claim.basis) if part)
            sys.stdout.write(f"{group.title}: {told}{f'; {claim.verdict.reason}' if claim.verdict.reason else ''}\n")
    table = build_comparison_table(found)
    for pair in dict.fromkeys((row[1].text, row[2].text) for row in table.rows):
        print_table(_of_pair(table, pair), console=Console(width=None if sys.stdout.isatty() else 100))


def _of_pair(table: "Table", pair: tuple[str, str]) -> "Table":
    """The rows of one pair, which the title names, in columns that fit a terminal."""
    kept = [index for index, column in enumerate(table.columns) if column.title not in _LEFT_OUT]
    return replace(
        table,
        title=" against ".join(pair),
        columns=tuple(table.columns[index] for index in kept),
        rows=tuple(tuple(row[index] for index in kept) for row in table.rows if (row[1].text, row[2].text) == pair),
    )
