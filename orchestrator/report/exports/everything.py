"""Everything that a paper or a program takes from a study, in one folder.

One decision: there is nothing to choose. A folder that holds all is looked through in a moment; options for each form
would have to be known before they are missed.

    report.json, methods.txt
    csv/NAME.csv, parquet/NAME.parquet      every sheet
    latex/NAME.tex                          tables for a paper, `scores` the one for its text
    pictures/NAME.svg, pictures/NAME.png    every picture
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from orchestrator.report.exports.document import make_document
from orchestrator.report.exports.figures import comparison_sheet, score_sheet, verdict_sheet
from orchestrator.report.exports.instances import instance_sheet
from orchestrator.report.exports.latexmain import render_main
from orchestrator.report.exports.longtables import render_long
from orchestrator.report.exports.methods import describe_methods
from orchestrator.report.exports.running import (
    cost_sheet,
    curve_sheet,
    health_sheet,
    outcome_sheet,
    quality_sheet,
    trial_sheet,
)
from orchestrator.report.exports.sheetfiles import write_csv, write_parquet
from orchestrator.report.exports.sheets import Sheet
from orchestrator.report.findings import Findings
from orchestrator.report.gallery import list_pictures
from orchestrator.report.pictures import drawing_style
from orchestrator.report.tables import build_tables

_LEFT_TO_SHEETS = ("details", "quality-detail")
"""Tables that fill pages and that nobody prints; CSV and Parquet hold all of them."""

_NAMES = {"main": "scores-with-intervals", "methods": "costs", "cost": "times"}
"""Files of tables that are not called like their table."""


def build_short_sheets(findings: Findings) -> tuple[Sheet, ...]:
    """The sheets that answer: those that `report.json` holds."""
    evidence = findings.evidence
    return (
        verdict_sheet(findings),
        score_sheet(findings),
        comparison_sheet(findings),
        cost_sheet(findings),
        trial_sheet(evidence),
        outcome_sheet(evidence),
        health_sheet(evidence),
    )


def build_long_sheets(findings: Findings) -> tuple[Sheet, ...]:
    """The sheets that are read by programs alone."""
    evidence = findings.evidence
    return (quality_sheet(evidence), curve_sheet(evidence), instance_sheet(evidence))


def render_json(findings: Findings) -> str:
    """The findings as one JSON document."""
    return _as_json(findings, build_short_sheets(findings))


def _as_json(findings: Findings, sheets: Sequence[Sheet]) -> str:
    return json.dumps(make_document(findings, sheets), indent=1, default=str, allow_nan=False) + "\n"


def export_everything(findings: Findings, *, folder: Path) -> tuple[Path, ...]:
    """Write all files into a folder, over those of the same names; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    short = build_short_sheets(findings)
    texts = {"report.json": _as_json(findings, short), "methods.txt": describe_methods(findings) + "\n"}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return (
        *(folder / name for name in texts),
        *_write_sheets((*short, *build_long_sheets(findings)), folder),
        *write_latex(findings, folder=folder / "latex"),
        *_draw(findings, folder),
    )


def _write_sheets(sheets: Sequence[Sheet], folder: Path) -> Iterator[Path]:
    forms: dict[str, Callable[[Sheet, Path], Path]] = {"csv": write_csv, "parquet": write_parquet}
    for form, write in forms.items():
        (folder / form).mkdir(exist_ok=True)
        for sheet in sheets:
            yield write(sheet, folder / form)


def write_latex(findings: Findings, *, folder: Path) -> tuple[Path, ...]:
    r"""Write `scores.tex` for a paper's text and a long table a file for its appendix, to be read with `\input`."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = [table for table in build_tables(findings) if table.name not in _LEFT_TO_SHEETS]
    files = {_NAMES.get(table.name, table.name): render_long(table) for table in tables}
    if findings.measures:
        files = {"scores": render_main(findings), **files}
    for name, text in files.items():
        (folder / f"{name}.tex").write_text(text, encoding="utf-8")
    return tuple(folder / f"{name}.tex" for name in files)


def _draw(findings: Findings, folder: Path) -> Iterator[Path]:
    (folder / "pictures").mkdir(exist_ok=True)
    for picture in list_pictures(findings):
        for form in ("svg", "png"):
            path = folder / "pictures" / f"{picture.name}.{form}"
            with drawing_style():
                # No date, so that the same study gives the same file.
                details = {"Date": None} if form == "svg" else None
                picture.figure.savefig(path, dpi=200, facecolor="white", metadata=details)
            yield path


__all__ = ["build_long_sheets", "build_short_sheets", "export_everything", "render_json", "write_latex"]
