"""`polytune compare --study`: two methods or trials of a study, from its ledger.

One decision: the table and the JSON are the report's own comparisons and verdicts, so that both say the same of a pair.
"""

import sys
from collections.abc import Sequence

from orchestrator.commands.options import opened_as_run
from orchestrator.commands.output import print_json
from orchestrator.errors import InputError


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
    from rich.console import Console

    from orchestrator.report import print_table
    from orchestrator.report.answer import list_groups
    from orchestrator.report.tables import build_comparison_table

    for group in list_groups(found, found.verdicts):
        for claim in group.claims:
            told = [
                claim.name,
                claim.wording,
                claim.effect and f"{claim.effect} points ({claim.interval})",
                claim.basis,
            ]
            sys.stdout.write(f"{group.title}: {', '.join(part for part in told if part)}\n")
    print_table(build_comparison_table(found), console=Console())
