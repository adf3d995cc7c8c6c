"""From a study's results to its answer: tables, pictures, one HTML page, files for papers and programs.

One decision: a report is a projection. It is computed from `StudyResults` alone, holds nothing of its
own, and may be thrown away and made again; heavy libraries are imported where they draw.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.report.answer import compose_answer
from orchestrator.report.findings import Findings, find
from orchestrator.report.layout import Cell, Column, Table
from orchestrator.report.page import save_page
from orchestrator.report.results import StudyResults
from orchestrator.report.tables import build_tables
from orchestrator.report.terminal import print_findings, print_table

if TYPE_CHECKING:
    from rich.console import Console


def answer_paragraph(results: StudyResults) -> str:
    """Three sentences of plain words, computed: what holds, what it costs, how far it can be relied on."""
    return compose_answer(find(results))


def print_report(results: StudyResults, *, console: "Console", full: bool = False) -> None:
    """Print the answer in one table that fits 80 columns; every table before it when `full`."""
    print_findings(find(results), console=console, full=full)


def write_report(results: StudyResults, *, folder: Path) -> Path:
    """Write `report.html`, one self-contained page, and `overview.png`; returns the page's path."""
    return save_page(find(results), folder=folder)


def write_exports(results: StudyResults, *, folder: Path) -> tuple[Path, ...]:
    """Write the page and everything that a paper or a program takes from a study into a folder; returns the paths."""
    from orchestrator.report.exports.everything import export_everything

    return (write_report(results, folder=folder), *export_everything(find(results), folder=folder))


def report_json(results: StudyResults) -> str:
    """All findings as one JSON document."""
    from orchestrator.report.exports.everything import render_json

    return render_json(find(results))


def methods_paragraph(results: StudyResults) -> str:
    """A paragraph for a paper: what was trained, on what, how it was measured and tested."""
    from orchestrator.report.exports.methods import describe_methods

    return describe_methods(find(results))


__all__ = [
    "Cell",
    "Column",
    "Findings",
    "Table",
    "answer_paragraph",
    "build_tables",
    "find",
    "methods_paragraph",
    "print_report",
    "print_table",
    "report_json",
    "write_exports",
    "write_report",
]
