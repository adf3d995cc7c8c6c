"""`polytune run`: what a study still lacks, watched while it runs, with its answer at the end.

One decision: the exit status says how the study stands and not how the command fared, so a script needs nothing else.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.commands.options import JsonOption, SetOption, StudyArg, TrialOption, choose_trial, opened
from orchestrator.commands.output import fail, print_json, warn
from orchestrator.commands.plan import show_plan
from orchestrator.commands.report import make_report, print_tables
from orchestrator.errors import Fault, StudyError

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.errors import StageFailed
    from orchestrator.ledger.ledger import Ledger
    from orchestrator.report.results import StudyResults
    from orchestrator.run.budget import Limits
    from orchestrator.run.state import Outcome
    from orchestrator.study.cells import Cells
    from orchestrator.study.stages import StageName

EPILOG = "Example: polytune run studies/quickstart.yaml"
INTERRUPTED = 130


def run(
    study: StudyArg,
    set_: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run, and stop.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Run one trial in this process, for a debugger.")] = False,
    trial: TrialOption = None,
    max_hours: Annotated[
        float | None, typer.Option("--max-hours", metavar="H", min=0, help="Stop when all runs together took H hours.")
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            "--max-cost",
            metavar="USD",
            min=0,
            help="Stop when all runs together cost so much, by resources.price_per_hour.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit status 1 too where an optional tool was missing.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Run what a study still lacks, then show the answer. Run again to finish the rest.

    A limit is of the study, so what earlier runs used counts. No stage is begun that by its estimate would pass
    it; what still runs when it is reached is stopped, and begun anew by the next run. Exit status 1 then.
    """
    cells, ledger = opened(study, set_)
    if cells.study.replaced:
        raise StudyError(cells.study.study, tuple(Fault(where="", message=told) for told in cells.study.replaced))
    if dry_run:
        show_plan(cells, ledger, as_json=json_)
        return
    if local:
        _run_local(cells, ledger, trial)
        return
    if max_cost is not None and cells.study.resources.price_per_hour is None:
        fail("--max-cost needs resources.price_per_hour, the USD of one GPU (or core) an hour; set it", status=2)
    _take_signals()
    from orchestrator.run.budget import Limits

    outcome, results, page = _run_watched(cells, ledger, Limits(max_hours=max_hours, max_cost=max_cost), quiet=json_)
    raise typer.Exit(_conclude(results, page, outcome, study=study, strict=strict, as_json=json_))


def _run_watched(
    cells: "Cells", ledger: "Ledger", limits: "Limits", *, quiet: bool
) -> "tuple[Outcome, StudyResults, Path | None]":
    """Run a study while a person and MLflow are shown how far it is, then write its report."""
    from orchestrator.commands.watch import Watcher
    from orchestrator.run.driver import run_study
    from orchestrator.run.search import resolved
    from orchestrator.tracking.live import LiveTracking
    from orchestrator.tracking.project import tracking_uri

    uri = tracking_uri(ledger.storage)
    with (
        Watcher(cells, ledger, quiet=quiet) as watcher,
        LiveTracking(ledger, uri=uri, say=warn) as tracking,
        # Ray tells of lost processes and nodes on standard output, which is for results.
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):

        def follow(cells: "Cells") -> None:
            watcher.watch(cells.trials)
            tracking.follow(cells.study, cells.trials)

        outcome = run_study(cells, ledger, listener=replace(watcher.listener, study=follow), limits=limits)
    try:
        results, page = make_report(resolved(cells, ledger), ledger)
    finally:
        tracking.conclude()
    return outcome, results, page


def _take_signals() -> None:
    """Ctrl-C, a polite kill or a terminal that goes ends a run with what is finished kept; a second one at once."""
    signals = [signal.SIGINT, signal.SIGTERM]
    # Who was told to ignore its terminal's end, by `nohup` or `submit --detach`, goes on.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signals.append(signal.SIGHUP)

    def stop(*_: object) -> None:
        for signum in signals:
            # A terminal that goes is told to each process more than once, and means no hurry.
            signal.signal(signum, signal.SIG_IGN if signum == signal.SIGHUP else _end_at_once)
        raise KeyboardInterrupt

    for signum in signals:
        signal.signal(signum, stop)


def _end_at_once(*_: object) -> NoReturn:
    """Leave without waiting for anything; all that this process started, Ray's processes too, goes with it."""
    from orchestrator.provenance import end_with_children

    # Not by `sys.stderr`, which this signal may have come in the middle of.
    os.write(
        2, b"\npolytune: ended at once; run again to go on, or `polytune track STUDY` to close its runs in MLflow\n"
    )
    end_with_children(INTERRUPTED)


def _run_local(cells: "Cells", ledger: "Ledger", label: str | None) -> None:
    from orchestrator.run.driver import run_one_in_process

    choose_trial([trial.label for trial in cells.trials], label)
    outcome = run_one_in_process(cells, ledger, str(label))
    _print_causes(outcome.failed, outcome.stopped)
    if outcome.failed:
        raise typer.Exit(1)
    sys.stdout.write(f"{label}: {', '.join(outcome.ran) or 'nothing was due'}\n")


def _conclude(
    results: "StudyResults", page: Path | None, outcome: "Outcome", *, study: str, strict: bool, as_json: bool
) -> int:
    """Print what a run came to; returns the exit status."""
    from orchestrator.errors import Cause
    from orchestrator.report.lacking import lacks_a_tool, list_lacks

    lacks = list_lacks(results)
    if as_json:
        failed = [
            {"trial": t, "stage": s, "kind": f.kind, "cause": f.cause, "log": f.log_path}
            for (t, s), f in outcome.failed.items()
        ]
        did = {"ran": outcome.ran, "failed": failed, "retried": outcome.retried, "stopped": outcome.stopped}
        print_json({**did, "lacking": lacks, "report": str(page) if page else None})
    else:
        print_tables(results, page)
        # What lacked a tool did not fail, and stands among what was left out.
        _print_causes({place: f for place, f in outcome.failed.items() if f.kind != Cause.MISSING}, outcome.stopped)
        _print_lacks(lacks, study)
    unjudged = any(row.verdict == "unjudged" and not lacks_a_tool(row) for row in results.rows)
    failed_here = any(failed.kind != Cause.MISSING for failed in outcome.failed.values())
    wrong = failed_here or bool(outcome.stopped) or unjudged or page is None
    return 1 if wrong or (strict and lacks) else 0


def _print_lacks(lacks: "Sequence[str]", study: str) -> None:
    """What was left out for want of a tool, at the very end, with what installs it and what finishes the rest."""
    if lacks:
        lines = [f"  {line}" for line in lacks]
        sys.stderr.write("\n".join(["\nLeft out, since this machine lacks a tool:", *lines, ""]))
        sys.stderr.write(f"  Install what you want of these, then `polytune run {study}` does the rest.\n")


def _print_causes(failed: "Mapping[tuple[str, StageName], StageFailed]", stopped: str) -> None:
    """A table of what failed and why, and what ended the run before its study was finished."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if failed:
        console.print(_causes_table(failed))
    if stopped:
        console.print(f"stopped: {stopped}", markup=False, soft_wrap=True)


def _causes_table(failed: "Mapping[tuple[str, StageName], StageFailed]") -> "Table":
    """Why stages failed, like causes together."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", title="What failed", title_justify="left")
    for column in ("kind", "trial", "stage", "cause"):
        table.add_column(column, overflow="fold")
    for (label, stage), cause in sorted(failed.items(), key=lambda item: (item[1].kind, item[1].cause, item[0])):
        table.add_row(*(Text(word) for word in (cause.kind, label, stage, cause.cause)))
    return table
