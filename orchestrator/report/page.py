"""The HTML page: one file, nothing fetched, readable ten years on, with and without scripts.

One decision: the template decides the order and the words around the parts; everything that comes from
a study (names, causes, model output) passes through autoescaping, and only our own SVG and scripts do not. The page's
policy names each of our scripts by its digest, so a browser runs nothing else that stands in the page.
"""

import base64
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.report.answer import Group, list_groups, list_sentences, say_margins, sum_up
from orchestrator.report.citing import cite_block
from orchestrator.report.doubts import list_doubts, main_verdicts
from orchestrator.report.exports.methods import describe_methods, name_machine
from orchestrator.report.findings import Findings
from orchestrator.report.gallery import DRAWINGS
from orchestrator.report.layout import fit, format_count, is_text, list_headings, merge_alike, number_notes, starts_as
from orchestrator.report.links import link_verdict
from orchestrator.report.methodcosts import list_costs
from orchestrator.report.pictures import NARROW, WIDE, Picture, drawing_style, render_png, render_svg
from orchestrator.report.plots import draw_overview
from orchestrator.report.samplepage import SIDE_FILES, Browser, build_browser
from orchestrator.report.scores import title_metric
from orchestrator.report.sections import list_sections
from orchestrator.report.strips import draw_axis, draw_strip, find_reach
from orchestrator.report.tables import build_tables
from orchestrator.report.verdicts import Verdict
from orchestrator.report.visible import make_visible

if TYPE_CHECKING:
    from jinja2 import Template


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
    pictures = _draw_pictures(findings)
    tables = {table.name: table for table in build_tables(findings)}
    script = _read("page.js")
    return _load_template().render(
        results=findings.results,
        subject=" · ".join(_name_subject(findings)),
        style=_read("page.css"),
        script=script,
        policy=_write_policy(script, browser),
        panels=_list_panels(findings),
        sentences=list_sentences(findings),
        doubts=list_doubts(findings),
        pictures=pictures,
        titles={name: table.title for name, table in tables.items()},
        tables={name: [number_notes(part) for part in fit(table)] for name, table in tables.items()},
        sections=list_sections(pictures=pictures, tables=tables),
        browser=browser,
        cite=cite_block(findings),
        methods=describe_methods(findings),
    )


def _name_subject(findings: Findings) -> Iterator[str]:
    """What the page is of: the study, its one model with its size, and the machine that it ran on."""
    yield findings.results.study
    models = list(dict.fromkeys(arm.model for arm in findings.evidence.arms))
    if len(models) == 1:
        sizes = [cost.total_parameters for cost in list_costs(findings) if cost.total_parameters]
        yield models[0] + (f", {format_count(min(sizes))} parameters" if sizes else "")
    if machine := name_machine(findings.results):
        yield machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Verdicts on one axis: groups of claims, each claim's strip by its place, and the words above them."""

    title: str
    heading: str
    caption: str
    groups: tuple[Group, ...]
    axis: str
    strips: dict[int, str]
    looks: dict[str, list[tuple[str, str]]]


def _list_panels(findings: Findings) -> list[Panel]:
    """The verdicts that answer the question, then, to be opened, those against the frozen model."""
    main = main_verdicts(findings)
    rest = [verdict for verdict in findings.verdicts if verdict not in main]
    panels = [("", main), (f"Against the frozen model: {sum_up(rest)}", rest)]
    return [_make_panel(findings, title, verdicts) for title, verdicts in panels if verdicts]


def _make_panel(findings: Findings, title: str, verdicts: Sequence[Verdict]) -> Panel:
    reach = find_reach(verdicts)
    groups = list_groups(findings, verdicts)
    claims = [claim for group in groups for claim in group.claims]
    strips = {id(claim): draw_strip(claim.verdict, reach=reach) for claim in claims}
    looks = {group.title: _list_looks(findings, group) for group in groups}
    heading = "model" if len({arm.model for arm in findings.evidence.arms}) > 1 else "measured by"
    caption = (
        "Points of 0 to 100, first minus second. Where the interval lies in the grey band "
        f"(±{say_margins(verdicts)}), the two count as equally good; where it leaves out zero and reaches beyond the "
        "band, the first is better or worse; else nothing is decided. Ticks: single tracks."
    )
    deciding = {verdict.metric for verdict in verdicts}
    silent = dict.fromkeys(title_metric(m.metric) for m in findings.measures if m.metric not in deciding)
    if silent:
        caption += f" Not used here, but under Scores: {', '.join(silent)}."
    return Panel(
        title=title, heading=heading, caption=caption, groups=groups, axis=draw_axis(reach), strips=strips, looks=looks
    )


def _list_looks(findings: Findings, group: Group) -> list[tuple[str, str]]:
    """Ways to the programs on which a pair differs; of several models there would be too many."""
    judged = [claim.verdict for claim in group.claims if link_verdict(findings, claim.verdict, ahead=True)]
    if len(judged) != 1:
        return []
    verdict = judged[0]
    sides = ((f"only {verdict.first} passes", True), (f"only {verdict.second} passes", False))
    return [(words, link_verdict(findings, verdict, ahead=ahead)) for words, ahead in sides]


def _write_policy(script: str, browser: Browser) -> str:
    """Who may do what in the page: our own scripts by their digests, styles and drawn pictures, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sources = f"'sha256-{digest}' {browser.policy.removeprefix('script-src')}".strip()
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {sources}"


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _load_template() -> "Template":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=_show,
    )  # fmt: skip
    environment.filters |= {
        "address": id,
        "merge_alike": merge_alike,
        "headings": list_headings,
        "is_text": is_text,
        "starts_as": starts_as,
    }
    return environment.get_template("page.html.j2")


def _show(value: object) -> object:
    """What a study named or a model wrote, with no character that acts or hides; our own markup stays as it is."""
    return make_visible(value) if type(value) is str else value


def _draw_pictures(findings: Findings) -> dict[str, Picture]:
    """Every picture that the study can fill, for wide and for narrow windows."""
    pictures: dict[str, Picture] = {}
    for item in DRAWINGS:
        with drawing_style():
            wide, narrow = item.draw(findings, WIDE), item.draw(findings, NARROW)
            if wide is None or narrow is None:
                continue
            words = {"title": item.title, "description": item.caption}
            pictures[item.name] = Picture(
                title=item.title,
                caption=item.caption,
                wide=render_svg(wide, name=item.name, **words),
                narrow=render_svg(narrow, name=f"{item.name}-narrow", **words),
            )
    return pictures


def _replace(path: Path, content: bytes) -> None:
    """Put a file in place at once, so that whoever reads it meanwhile sees the old or the new."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    os.chmod(name, 0o644)
    os.replace(name, path)


__all__ = ["render_page", "save_page"]
