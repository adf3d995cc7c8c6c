"""The page in a real Chromium: sorted, filtered, opened by links, whole at every width; and how tables are fitted."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from planted_study import find_planted
from sample_texts import make_results

from benchmarks.chromium import Tab, find_chromium, open_tab
from benchmarks.report import errors_of
from orchestrator.report import find
from orchestrator.report.findings import Findings
from orchestrator.report.gallery import DRAWINGS
from orchestrator.report.layout import Cell, Column, Table, fit, label, labels, turn
from orchestrator.report.page import render_page, save_page
from orchestrator.report.samplepage import Browser, build_browser
from orchestrator.report.sections import FIRST_SCREEN, list_sections
from orchestrator.report.tables import build_tables

WIDE = (
    "[...document.querySelectorAll('main *')]"
    ".filter(e => !e.closest('svg, .samples') && e.getBoundingClientRect().right"
)


@pytest.fixture(scope="module")
def planted() -> Findings:
    return find_planted()


@pytest.fixture(scope="module")
def page(planted: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_page(planted, folder=tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("there is no chromium on PATH")
    with open_tab(chromium) as tab:
        yield tab


def open_at(tab: Tab, page: Path, *, width: int = 1280, at: str = "", dark: bool = False) -> Tab:
    tab.resize(width, 900, dark=dark)
    tab.open("about:blank")
    tab.open(page.as_uri() + at)
    return tab


def column(tab: Tab, table: str, index: int) -> list[str]:
    """What stands in a column of a table, from above."""
    found: list[str] = tab.evaluate(
        f"[...document.querySelector('table.{table}').tBodies[0].rows].filter(row => !row.hidden)"
        f".map(row => row.cells[{index}].textContent)"
    )
    return found


def press_heading(tab: Tab, table: str, title: str) -> None:
    tab.evaluate(
        f"[...document.querySelectorAll('table.{table} thead button')]"
        f".find(button => button.textContent === {json.dumps(title)}).click()"
    )


def test_heading_sorts_by_number_and_turns_around(browser: Tab, page: Path) -> None:
    tab = open_at(browser, page)
    press_heading(tab, "methods", "USD")
    down = [float(value) for value in column(tab, "methods", 6)]
    assert down == sorted(down, reverse=True) and len(down) == 12
    press_heading(tab, "methods", "USD")
    assert [float(value) for value in column(tab, "methods", 6)] == down[::-1]
    assert tab.evaluate("document.querySelector('[aria-sort]').textContent") == "USD"


def test_rows_without_a_figure_are_sorted_last_both_ways(browser: Tab, page: Path) -> None:
    tab = open_at(browser, page)
    for _ in range(2):
        press_heading(tab, "methods", "training time")
        assert column(tab, "methods", 1)[-3:] == ["frozen"] * 3


def test_field_filters_rows_by_all_its_words(browser: Tab, page: Path) -> None:
    tab = open_at(browser, page)
    tab.evaluate(
        "(() => { const field = document.querySelector('table.cost').previousElementSibling;"
        "field.value = '7b APART'; field.dispatchEvent(new Event('input')); })()"
    )
    names = column(tab, "cost", 0)
    assert len(names) == 9 and all("coder-7b/qlora-apart" in name for name in names)


def test_link_opens_what_it_points_into(browser: Tab, page: Path) -> None:
    tab = open_at(browser, page)
    tab.evaluate("document.querySelector('table.cost').closest('details').id = 'wanted'; location.hash = '#wanted'")
    tab.wait_for("document.getElementById('wanted').open")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_cut_off_or_runs_out_of_the_window(browser: Tab, page: Path, width: int, dark: bool) -> None:
    tab = open_at(browser, page, width=width, dark=dark)
    tab.evaluate("document.querySelectorAll('details').forEach(box => { box.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate(f"{WIDE} > {width + 1}).map(e => e.outerHTML.slice(0, 90))") == []
    inside = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    assert tab.evaluate(f"{inside}.map(e => e.getAttribute('aria-label'))") == []
    assert errors_of(tab) == []


@pytest.mark.parametrize("width", [390, 768])
def test_narrow_windows_begin_with_the_answer_and_what_makes_it_doubtful(browser: Tab, page: Path, width: int) -> None:
    tab = open_at(browser, page, width=width)
    tops = "['.answer', '.warnings', 'table.claims', 'table.methods'].map(name => Math.round("
    found = tab.evaluate(tops + "document.querySelector(name).getBoundingClientRect().top))")
    assert found == sorted(found) and found[1] < 500


def test_printed_page_splits_no_picture_and_begins_with_all_verdicts_and_warnings(browser: Tab, page: Path) -> None:
    width, height = 703, 1032  # A4 within margins of 12 mm, in CSS pixels
    tab = open_at(browser, page, width=width)
    tab.ask("Emulation.setEmulatedMedia", media="print")
    try:
        bottom = "document.querySelector('table.claims').getBoundingClientRect().bottom"
        assert tab.evaluate(bottom) < height
        heights = "[...document.querySelectorAll('figure')].map(e => Math.round(e.getBoundingClientRect().height))"
        assert max(tab.evaluate(heights)) < height
        assert tab.evaluate("document.documentElement.scrollWidth") == width
    finally:
        tab.ask("Emulation.setEmulatedMedia", media="")


def test_on_a_telephone_each_figure_stands_beside_its_heading(browser: Tab, page: Path) -> None:
    tab = open_at(browser, page, width=390)
    found = tab.evaluate("getComputedStyle(document.querySelector('table.methods td'), '::before').content")
    assert found in ("attr(data-h)", '"pass@1 %"')


def test_page_is_whole_without_scripts(browser: Tab, page: Path) -> None:
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab = open_at(browser, page)
        root = tab.ask("DOM.getDocument", depth=0)["root"]["nodeId"]
        for selector in ("table.claims", "table.methods tbody tr", "nav a", "details summary", "figure svg"):
            assert tab.ask("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"], selector
        assert not tab.ask("DOM.querySelectorAll", nodeId=root, selector="thead button")["nodeIds"]
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)


def test_page_lets_its_own_scripts_run_and_no_other(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    allowed = re.findall(r"sha256-([\w+/=]+)", policy[1])
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert allowed == digests and len(digests) == 1
    assert "unsafe-inline" not in policy[1].partition("script-src")[2]


def test_browser_of_samples_and_the_page_s_script_run_beside_each_other(browser: Tab, tmp_path: Path) -> None:
    results = make_results(
        {name: [(f"{name} {n}", "passed" if (n + at) % 2 else "wrong_answer") for n in range(20)]
         for at, name in enumerate(("together", "apart"))}
    )  # fmt: skip
    page = save_page(find(results), folder=tmp_path)
    tab = open_at(browser, page)
    tab.wait_for("document.querySelector('.samples .count')?.textContent")
    assert tab.evaluate("document.querySelectorAll('thead button').length") > 0
    tab.evaluate("document.querySelector('table.main td a').click()")
    tab.wait_for("document.querySelector('.samples .count').textContent.includes('10 of 20')")
    assert errors_of(tab) == []


def test_links_to_samples_are_there_only_with_samples(planted: Findings) -> None:
    assert 'href="#samples' not in render_page(planted, browser=build_browser(planted.evidence))
    linked = render_page(planted, browser=Browser(section="<section id=samples></section>", policy="script-src 'none'"))
    assert 'href="#samples&amp;track=' in linked


def test_every_picture_and_table_has_its_place_in_the_page(planted: Findings) -> None:
    names = [drawing.name for drawing in DRAWINGS], [table.name for table in build_tables(planted)]
    sections = list_sections(pictures=names[0], tables=names[1])
    assert "more" not in [section.name for section in sections]
    placed = {(entry.kind, entry.name) for section in sections for entry in section.entries}
    assert placed == {("picture", name) for name in names[0]} | {
        ("table", name) for name in names[1] if name not in FIRST_SCREEN
    }


def test_what_nobody_placed_stands_at_the_end() -> None:
    (section,) = list_sections(pictures=(), tables=("odd",))
    assert (section.name, section.entries[0].name) == ("more", "odd")
    assert list_sections(pictures=(), tables=()) == ()


def test_contents_name_every_section(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    contents = text[text.index('<nav class="contents"') : text.index("</nav>")]
    ids = re.findall(r'<h2 id="([\w-]+)"', text)
    assert re.findall(r'href="#([\w-]+)"', contents) == ids


def make_table(*, rows: int, columns: int, groups: int = 1) -> Table:
    return Table(
        name="t",
        title="T",
        columns=(*labels("row"), *(Column(title=f"c{i}", group=f"g{i * groups // columns}") for i in range(columns))),
        rows=tuple((label(f"r{r}"), *(Cell(text=f"{r}.{c}", value=r) for c in range(columns))) for r in range(rows)),
        caption="Caption.",
    )


def test_narrow_table_is_left_as_it_is() -> None:
    table = make_table(rows=3, columns=8)
    assert fit(table) == (table,)


def test_wide_table_of_few_rows_is_turned() -> None:
    table = make_table(rows=3, columns=20, groups=4)
    (turned,) = fit(table)
    assert [column.title for column in turned.columns] == ["", " ", "r0", "r1", "r2"]
    assert [cell.text for cell in turned.rows[7]] == ["g1", "c7", "0.7", "1.7", "2.7"]
    assert turn(replace(table, rows=())).rows[0][0].text == "g0"


def test_table_that_is_wide_and_long_is_cut_between_groups() -> None:
    table = make_table(rows=30, columns=20, groups=4)
    parts = fit(table)
    assert [len(part.columns) - 1 for part in parts] == [5, 5, 5, 5]
    assert all(part.rows[3][0].text == "r3" for part in parts)
    assert [part.caption for part in parts] == ["", "", "", "Caption."]


def test_group_that_is_too_wide_alone_is_cut_all_the_same() -> None:
    parts = fit(make_table(rows=30, columns=20))
    assert [len(part.columns) - 1 for part in parts] == [8, 8, 4]
