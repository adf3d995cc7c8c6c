"""What `polytune report` does beyond showing a study's answer: files, JSON, a paragraph, other people's results.

One decision: `--json` and `--methods` print and write nothing else, so that a program may ask at any time.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.commands.options import opened_as_run
from orchestrator.errors import InputError

if TYPE_CHECKING:
    from orchestrator.report.results import StudyResults


def check_request(study: str | None, from_: Path | None, *, json_: bool, methods: bool) -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: if not exactly one source is named, or two things are to stand alone on standard output.
    """
    if (study is None) == (from_ is None):
        given = "both" if study is not None else "neither"
        raise InputError(f"report needs a study or --from DIR, and got {given}; name one")
    if json_ and methods:
        raise InputError("--json and --methods each print one thing alone; give one of them")


def read_results(study: str | None, changes: list[str] | None, from_: Path | None) -> "StudyResults":
    """The results of a study, or of other people's files."""
    if from_ is not None:
        from orchestrator.commands.output import warn
        from orchestrator.files.systems import read_systems

        return read_systems(from_, warn=warn)
    from orchestrator.report.collect import collect

    assert study is not None
    cells, ledger = opened_as_run(study, changes)
    return collect(cells.study, cells.trials, ledger)


def print_instead(results: "StudyResults", *, json_: bool) -> None:
    """Print the findings as JSON, else the paragraph for a paper, and nothing beside it."""
    from orchestrator.report import methods_paragraph, report_json

    sys.stdout.write(report_json(results) if json_ else methods_paragraph(results) + "\n")


def report_on_files(folder: Path, *, to: Path | None) -> "tuple[StudyResults, Path]":
    """The results of other people's files, and their page, in the folder for all files or where the command runs."""
    from orchestrator.report import write_report

    results = read_results(None, None, folder)
    return results, write_report(results, folder=to or Path(f"{results.study}-report"))


def write_all(results: "StudyResults", folder: Path) -> None:
    """Write everything into a folder and say so.

    Raises:
        InputError: if the folder cannot be written.
    """
    from orchestrator.report import write_exports

    try:
        paths = write_exports(results, folder=folder)
    except OSError as error:
        raise InputError(f"--to {folder} cannot be written: {error.strerror or error}; name another folder") from error
    sys.stdout.write(f"Written: {len(paths)} files in {folder}\n")
