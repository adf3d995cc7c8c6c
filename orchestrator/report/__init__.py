"""From a study's results to its answer: tables, pictures, one HTML page, LaTeX and CSV.

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
from orchestrator.report.tablefiles import export_csv, export_latex
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


def write_csv(results: StudyResults, *, folder: Path) -> tuple[Path, ...]:
    """Write the per-instance rows, the training curves and every table as CSV; returns the paths."""
    return export_csv(find(results), folder=folder)


def write_latex(results: StudyResults, *, folder: Path) -> tuple[Path, ...]:
    """Write every table for LaTeX with booktabs; returns the paths."""
    return export_latex(find(results), folder=folder)


__all__ = [
    "Cell",
    "Column",
    "Findings",
    "Table",
    "answer_paragraph",
    "build_tables",
    "find",
    "print_report",
    "print_table",
    "write_csv",
    "write_latex",
    "write_report",
]
