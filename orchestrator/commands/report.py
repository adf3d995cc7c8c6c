"""`polytune report`: the answer, here and as one HTML page."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.commands.options import SetOption, StudyArg, opened_as_run
from orchestrator.commands.output import warn

if TYPE_CHECKING:
    from orchestrator.ledger.ledger import Ledger
    from orchestrator.report.results import StudyResults
    from orchestrator.study.cells import Cells

EPILOG = "Example: polytune report quickstart --csv tables/"


def report(
    study: StudyArg,
    set_: SetOption = None,
    latex: Annotated[Path | None, typer.Option("--latex", metavar="DIR", help="Also write LaTeX tables.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="DIR", help="Also write CSV tables and rows.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Print all tables before the answer.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show the answer: in one table here, and with everything behind it as one self-contained HTML page."""
    from orchestrator.report import write_csv, write_latex

    results, page = make_report(*opened_as_run(study, set_))
    print_tables(results, page, full=full)
    for folder, write in ((csv, write_csv), (latex, write_latex)):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            write(results, folder=folder)
            sys.stdout.write(f"Written: {folder}\n")
    if page is None:
        raise typer.Exit(1)
    if open_:
        open_page(page)


def open_page(page: Path) -> None:
    """Open the page in this machine's browser; say so where there is none."""
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        warn(f"no browser could be started here; open {page} yourself")


def make_report(cells: "Cells", ledger: "Ledger") -> "tuple[StudyResults, Path | None]":
    """A study's results, and their page unless the ledger has no room for it, which is told."""
    from orchestrator.errors import LedgerError
    from orchestrator.report import write_report
    from orchestrator.report.collect import collect
    from orchestrator.report.samplepage import SIDE_FILES

    name = cells.study.study
    results = collect(cells.study, cells.trials, ledger)
    try:
        page = write_report(results, folder=ledger.study_folder(name))
        for path in (*page.parent.glob(SIDE_FILES), page):
            ledger.keep_study_file(name, path)
    except (OSError, LedgerError) as error:
        why = f"{ledger.address}: {error.strerror}" if isinstance(error, OSError) else str(error)
        warn(f"the report's page was not written, {why}; its tables are complete")
        return results, None
    return results, page


def print_tables(results: "StudyResults", page: Path | None, *, full: bool = False) -> None:
    """Print a study's answer, after all its tables when `full`, and where its page lies."""
    from rich.console import Console

    from orchestrator.report import print_report

    print_report(results, console=Console(), full=full)
    sys.stdout.write(f"\nReport: {page or 'not written'}\n")
    if not full:
        sys.stdout.write(f"`polytune report {results.study} --full` prints all tables, `--open` opens the page.\n")
