"""The HTML page: one file, no scripts, nothing fetched, readable ten years on.

One decision: the template decides the order and the words around the parts; everything that comes from
a study (names, causes, model output) passes through autoescaping, and only our own SVG does not.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.report.answer import compose_answer
from orchestrator.report.findings import Findings
from orchestrator.report.health import list_warnings
from orchestrator.report.layout import is_text, list_headings, merge_alike, number_notes, starts_as
from orchestrator.report.pictures import NARROW, WIDE, Frame, Picture, drawing_style, render_png, render_svg
from orchestrator.report.plots import draw_curves, draw_forest, draw_overview
from orchestrator.report.samplepage import SIDE_FILES, Browser, build_browser
from orchestrator.report.tables import build_tables

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure

_FOLDED = ("details", "verdicts", "quality-detail")
"""Tables that a reader opens when needed."""


def save_page(findings: Findings, *, folder: Path) -> Path:
    """Write `report.html` and `overview.png`, each whole or not at all; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    with drawing_style():
        overview = draw_overview(findings, WIDE)
        if overview is not None:
            _replace(folder / "overview.png", render_png(overview))
    page, browser = folder / "report.html", build_browser(findings.evidence)
    for name, content in browser.side_files.items():
        _replace(folder / name, content.encode())
    _replace(page, render_page(findings, browser=browser).encode())
    for old in folder.glob(SIDE_FILES):
        if old.name not in browser.side_files:
            old.unlink()
    return page


def render_page(findings: Findings, *, browser: Browser) -> str:
    """The page as text."""
    return _load_template().render(
        results=findings.results,
        style=files(__package__).joinpath("page.css").read_text(encoding="utf-8"),
        answer=compose_answer(findings),
        warnings=list_warnings(findings.evidence),
        pictures=_draw_pictures(findings),
        tables={table.name: number_notes(table) for table in build_tables(findings)},
        folded=_FOLDED,
        signatures=_list_signatures(findings),
        browser=browser,
    )


@cache
def _load_template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "merge_alike": merge_alike,
        "headings": list_headings,
        "is_text": is_text,
        "starts_as": starts_as,
    }
    return environment.from_string(files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8"))


_DRAWINGS: Mapping[str, tuple[Callable[[Findings, Frame], "Figure | None"], str, str]] = {
    "overview": (
        draw_overview,
        "Scores by method",
        "A dot is a mean over problems, its line the 95 % interval, the hollow dot and dashed line the frozen "
        "model. Circles: one model for all tasks; diamonds: one for each. Panels of one metric share their scale.",
    ),
    "forest": (
        draw_forest,
        "Differences, problem by problem",
        "Right of zero favours the first. Lines are 95 % intervals of each difference by itself; a dot is filled "
        "where the difference holds after Holm's correction. Each panel has its own scale.",
    ),
    "curves": (
        draw_curves,
        "Training",
        "Coloured: training loss. Black or white with dots: validation loss.",
    ),
}
"""What is drawn, by name: the drawing, its title and its caption."""


def _draw_pictures(findings: Findings) -> dict[str, Picture]:
    pictures: dict[str, Picture] = {}
    for name, (draw, title, caption) in _DRAWINGS.items():
        with drawing_style():
            wide, narrow = draw(findings, WIDE), draw(findings, NARROW)
            if wide is None or narrow is None:
                continue
            pictures[name] = Picture(
                title=title,
                caption=caption,
                wide=render_svg(wide, name=name, title=title, description=caption),
                narrow=render_svg(narrow, name=f"{name}-narrow", title=title, description=caption),
            )
    return pictures


def _list_signatures(findings: Findings) -> dict[str, list[str]]:
    """How each metric was computed; several signatures of one metric are all told."""
    found: dict[str, dict[str, None]] = {}
    for cell in findings.results.cells:
        for metric, signature in cell.signatures.items():
            found.setdefault(metric, {})[signature] = None
    return {metric: list(signatures) for metric, signatures in sorted(found.items())}


def _replace(path: Path, content: bytes) -> None:
    """Put a file in place at once, so that whoever reads it meanwhile sees the old or the new."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    os.chmod(name, 0o644)
    os.replace(name, path)
