"""`polytune report`: the answer, here and as one HTML page."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.commands.options import STUDY_HELP, JsonOption, SetOption, opened_as_run
from orchestrator.commands.output import warn

if TYPE_CHECKING:
    from orchestrator.ledger.ledger import Ledger
    from orchestrator.report.results import StudyResults
    from orchestrator.study.cells import Cells

EPILOG = "Example: polytune report quickstart --to paper/"
FromOption = Annotated[
    Path | None,
    typer.Option("--from", metavar="DIR", help="In place of STUDY: anybody's results, a CSV or Parquet file a system."),
]
ToOption = Annotated[
    Path | None,
    typer.Option("--to", metavar="DIR", help="Also write LaTeX, CSV, Parquet, JSON and pictures there."),
]
MethodsOption = Annotated[
    bool, typer.Option("--methods", help="Print a paragraph for a paper's methods and nothing else.")
]


def report(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help=STUDY_HELP)] = None,
    set_: SetOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    json_: JsonOption = False,
    methods: MethodsOption = False,
    full: Annotated[bool, typer.Option("--full", help="Print all tables before the answer.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show the answer: in one table here, and with everything behind it as one self-contained HTML page."""
    from orchestrator.commands.reportfiles import check_request, print_instead, read_results, report_on_files, write_all

    check_request(study, from_, json_=json_, methods=methods)
    if json_ or methods:
        print_instead(read_results(study, set_, from_), json_=json_)
        return
    if study is not None:
        results, page = make_report(*opened_as_run(study, set_))
    else:
        assert from_ is not None  # or the request was refused
        results, page = report_on_files(from_, to=to)
    print_tables(results, page, full=full)
    if to is not None:
        write_all(results, to)
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
