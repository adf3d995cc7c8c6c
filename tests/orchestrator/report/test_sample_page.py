"""The sample browser in a real Chromium, opened from a folder as a reader opens it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from sample_texts import HOSTILE, TRACK, make_results, reference

from benchmarks.chromium import Tab, find_chromium, open_tab
from benchmarks.report import errors_of
from orchestrator.errors import InputError
from orchestrator.report import find, write_report
from orchestrator.report.evidence import gather
from orchestrator.report.results import StudyResults
from orchestrator.report.samplepage import build_browser
from orchestrator.report.samples import gather_samples
from orchestrator.report.texts import Texts, Written
from orchestrator.report.visible import make_visible
from orchestrator.report.where import name_columns, parse_where
from tasks.records import VerdictName

CYCLE: tuple[VerdictName | None, ...] = (
    "passed",
    "wrong_answer",
    "timeout",
    "unjudged",
    None,
    "passed",
    "compile_error",
)
HEAD = (
    "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; {policy}\">"
    "<style>{style}</style>"
)
STYLE = files("orchestrator.report").joinpath("page.css").read_text(encoding="utf-8")


def write_page(results: StudyResults, folder: Path, **options: Any) -> Path:
    """The browser alone on a page, which is quicker to make than a whole report."""
    browser = build_browser(gather(results), **options)
    for name, content in browser.side_files.items():
        (folder / name).write_text(content, encoding="utf-8")
    page = folder / "page.html"
    page.write_text(HEAD.format(policy=browser.policy, style=STYLE) + browser.section, encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("there is no chromium on PATH")
    with open_tab(chromium) as tab:
        tab.resize(1280, 1000)
        yield tab


@pytest.fixture
def view(browser: Tab, tmp_path: Path) -> Callable[..., Tab]:
    """Opens results in the browser, at an address of the page."""

    def open_results(results: StudyResults, *, at: str = "", **options: Any) -> Tab:
        page = write_page(results, tmp_path, **options)
        browser.open("about:blank")
        browser.open(page.as_uri() + at)
        browser.wait_for("document.querySelector('.samples .count')?.textContent")
        return browser

    return open_results


@pytest.fixture
def results() -> StudyResults:
    """Twenty problems with all kinds of ends."""
    return make_results(
        {
            name: [(f"{name} wrote {n}\nreturn y + {n}", CYCLE[(n * step) % 7]) for n in range(20)]
            for step, name in enumerate(("together", "apart", "frozen"), start=1)
        }
    )


def fill(tab: Tab, selector: str, value: str) -> None:
    """Give a field a value, as a person does."""
    tab.evaluate(
        f"(() => {{ const field = document.querySelector({json.dumps(selector)}); field.value = {json.dumps(value)};"
        "field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input')); })()"
    )


def shown(tab: Tab) -> list[str]:
    """Ids of the problems in the list."""
    found: list[str] = tab.evaluate("[...document.querySelectorAll('.samples .row')].map(row => row.title)")
    return found


def text_of(tab: Tab, selector: str) -> str:
    return str(tab.evaluate(f"document.querySelector({json.dumps(selector)}).textContent"))


def numbers(ids: list[str]) -> list[int]:
    return [int(id_.rpartition("/")[2]) for id_ in ids]


WRITTEN = Written(track=TRACK, dataset="small", text="a", finish="stop")
WHERE, TEXT = ".samples .filters .wide input", ".samples input[type=search]"


def test_hostile_outputs_are_shown_and_never_run(view: Callable[..., Tab]) -> None:
    tab = view(make_results({name: [(text, "passed") for text in HOSTILE] for name in ("together", "apart")}))
    scripts = tab.evaluate("document.querySelectorAll('script, img, svg').length")
    for mode in ("difference", "text"):
        for number, text in enumerate(HOSTILE):
            tab.evaluate(f"document.querySelector('.samples [data-at=\"{number}\"]').click()")
            tab.wait_for(f"document.querySelector('.samples h3').textContent.endsWith('/{number}')")
            written = text_of(tab, ".samples .output pre")
            if mode == "text":
                assert written == make_visible(text)
            else:
                assert all(line in written for line in make_visible(text).split("\n"))
        tab.press("d")
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.querySelectorAll('script, img, svg').length") == scripts
    assert errors_of(tab) == []


def test_hostile_ids_rules_and_details_are_shown_and_never_run(view: Callable[..., Tab]) -> None:
    evil = '"><img src=x onerror=window.hacked=1>\u202e'
    found = make_results({"together": [("a", "timeout")]}, detail=evil, rules={evil: 1.0}, problem_id=evil)
    found = replace(found, read_texts=lambda: Texts(written={"together": {(evil, 0): WRITTEN}}))
    tab = view(found)
    tab.wait_for("document.querySelector('.samples .output')")
    for selector in (".samples h3", ".samples .why", ".samples .rules", ".samples .row .id"):
        assert text_of(tab, selector) == make_visible(evil)
    assert tab.evaluate("[window.hacked, document.querySelectorAll('img').length]") == [None, 0]


def test_page_s_policy_lets_no_other_script_run(view: Callable[..., Tab], results: StudyResults) -> None:
    tab = view(results)
    tab.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked=1\">')")
    tab.evaluate("(() => { const s = document.createElement('div'); s.setAttribute('onclick', 'window.hacked=2');"
                 "document.body.append(s); s.click(); })()")  # fmt: skip
    assert tab.evaluate("new Promise(done => setTimeout(() => done(window.hacked ?? null), 100))") is None


CONDITIONS = (
    "together passes", "apart passes and together fails", "not frozen passes", "any passes and any fails", "all fail",
    "(together passes or apart is timeout) and not frozen unjudged", '"frozen" compile-error', "fro empty",
    "any unjudged", "all pass", "apart missing",
)  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS)
def test_condition_means_in_the_page_what_it_means_in_a_terminal(
    view: Callable[..., Tab], results: StudyResults, condition: str
) -> None:
    evidence = gather(results)
    holds = parse_where(condition, name_columns(evidence))
    expected = [item.problem_id for item in gather_samples(evidence).items() if holds(item)]
    tab = view(results)
    fill(tab, WHERE, condition)
    assert shown(tab) == expected
    assert text_of(tab, ".samples .count") == f"{len(expected)} of 20"


@pytest.mark.parametrize("condition", ["nobody passes", "frozen dances", "frozen passes and", "(frozen passes", "'x"])
def test_fault_of_a_condition_is_told_as_in_a_terminal(
    view: Callable[..., Tab], results: StudyResults, condition: str
) -> None:
    with pytest.raises(InputError) as told:
        parse_where(condition, name_columns(gather(results)))
    tab = view(results)
    fill(tab, WHERE, condition)
    assert f"--where {condition!r}: {text_of(tab, '.samples .fault')}".replace('"', "'") == str(told.value).replace(
        '"', "'"
    )


def test_methods_buttons_write_the_condition(view: Callable[..., Tab], results: StudyResults) -> None:
    tab = view(results)
    for arm in (1, 0, 0):
        tab.evaluate(f"document.querySelectorAll('.samples .arm')[{arm}].click()")
    assert tab.evaluate(f"document.querySelector('{WHERE}').value") == '"apart" passes and "together" fails'
    assert tab.evaluate("document.querySelector('.samples .output b').textContent") in ("apart", "together")


def test_quality_message_and_track_filter(view: Callable[..., Tab], results: StudyResults) -> None:
    tab = view(results)
    fill(tab, ".samples .filters label:nth-of-type(3) select", "0")
    assert numbers(shown(tab)) == list(range(1, 20, 2))
    fill(tab, ".samples .filters select", TRACK)
    assert len(shown(tab)) == 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("APART WROTE 13", [13]),
        ("python/4", [4]),
        ("add 7.", [7]),
        ('"p"', []),
        ("40,", []),
        ("case 17", [17]),
    ],
)
def test_search_finds_words_of_texts_and_no_figures(
    view: Callable[..., Tab], results: StudyResults, text: str, expected: list[int]
) -> None:
    tab = view(results)
    fill(tab, TEXT, text)
    tab.wait_for("!document.querySelector('.samples .count').textContent.includes('searched')")
    assert numbers(shown(tab)) == expected


def test_keys_go_through_problems_and_outputs(view: Callable[..., Tab], results: StudyResults) -> None:
    tab = view(results)
    tab.wait_for("document.querySelector('.samples .output')")

    def current() -> int:
        return int(tab.evaluate("document.querySelector('.samples [aria-selected=true]').dataset.at"))

    for key, expected in (("j", 1), ("j", 2), ("k", 1)):
        tab.press(key)
        assert current() == expected
    tab.evaluate("document.querySelector('.samples .list').focus()")
    for key, expected in (("ArrowDown", 2), ("ArrowUp", 1)):
        tab.press(key)
        assert current() == expected
    tab.wait_for("document.querySelector('.samples h3').textContent.endsWith('/1')")
    tab.press("ArrowRight")
    tab.press("ArrowRight")
    assert tab.evaluate("document.activeElement.querySelector('b').textContent") == "apart"
    tab.press("/")
    assert tab.evaluate("document.activeElement.type") == "search"
    tab.press("j")
    assert tab.evaluate("document.activeElement.value") == "j"


def test_address_opens_a_sample_and_says_which_is_open(view: Callable[..., Tab], results: StudyResults) -> None:
    tab = view(results, at=f"#sample={TRACK}/{TRACK}/13")
    tab.wait_for("document.querySelector('.samples h3')?.textContent.endsWith('/13')")
    tab.press("j")
    tab.wait_for("location.hash.endsWith('14')")
    tab.evaluate(f"location.hash = '#sample={TRACK}/{TRACK}/3'")
    tab.wait_for("document.querySelector('.samples h3').textContent.endsWith('/3')")
    tab.evaluate("location.hash = '#sample=nowhere/1'")
    tab.wait_for("document.querySelector('.samples .fault').textContent.includes('This page has no sample nowhere/1')")


def test_address_opens_a_choice(view: Callable[..., Tab], results: StudyResults) -> None:
    tab = view(results, at='#samples&where="apart"%20passes&rule=pylint.unused-variable')
    assert numbers(shown(tab)) == [n for n in range(1, 20, 2) if CYCLE[(2 * n) % 7] == "passed"]


def test_outputs_beside_the_page_are_loaded_when_asked_for(
    view: Callable[..., Tab], results: StudyResults, tmp_path: Path
) -> None:
    tab = view(results, inside=0)
    tab.wait_for("document.querySelector('.samples .output')")
    assert "They lie next to this page in 1 file" in text_of(tab, ".samples .beside")
    assert errors_of(tab) == []
    fill(tab, TEXT, "apart wrote 13")
    tab.wait_for("document.querySelectorAll('.samples .row').length === 1")


def test_file_that_is_not_beside_the_page_is_named(browser: Tab, results: StudyResults, tmp_path: Path) -> None:
    page = write_page(results, tmp_path, inside=0)
    (side,) = tmp_path.glob("report-samples-*.js")
    side.unlink()
    browser.open(page.as_uri())
    browser.wait_for("document.querySelector('.samples .detail .fault')")
    assert f"{side.name} is not next to this page" in text_of(browser, ".samples .detail .fault")


def test_prompts_that_are_gone_are_said_to_be(view: Callable[..., Tab]) -> None:
    tab = view(make_results({"together": [("x = 1", "passed")]}, asked=False))
    tab.wait_for("document.querySelector('.samples .output')")
    assert "Prompt and reference cannot be read any more" in text_of(tab, ".samples .detail .gap")
    assert text_of(tab, ".samples .output pre") == "x = 1"


def test_without_scripts_the_page_says_where_to_look(browser: Tab, results: StudyResults, tmp_path: Path) -> None:
    page = write_page(results, tmp_path)
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page.as_uri())
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)
    assert "polytune samples small" in text_of(browser, ".samples noscript")
    assert browser.evaluate("document.querySelector('.samples .app').hidden")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(view: Callable[..., Tab], results: StudyResults, width: int) -> None:
    tab = view(results)
    tab.resize(width, 900)
    try:
        tab.wait_for("document.querySelector('.samples .output')")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        tab.resize(1280, 1000)


def test_report_has_the_browser_and_removes_old_files_beside_it(results: StudyResults, tmp_path: Path) -> None:
    (tmp_path / "report-samples-0123.js").write_text("old", encoding="utf-8")
    page = write_report(results, folder=tmp_path).read_text(encoding="utf-8")
    assert "What the models wrote" in page
    policy = build_browser(gather(results)).policy.removeprefix("script-src ")
    assert policy.replace("'", "&#39;") in page
    assert list(tmp_path.glob("report-samples-*.js")) == []


def test_results_without_texts_have_no_browser() -> None:
    from report_samples import make_study

    assert build_browser(find(make_study(problems=3)).evidence).section == ""


def test_nothing_that_a_model_wrote_stands_in_the_page_as_it_is(tmp_path: Path) -> None:
    page = write_page(make_results({"together": [(text, "passed") for text in HOSTILE]}), tmp_path)
    content = page.read_text(encoding="utf-8")
    assert not [word for word in ("hacked", "onerror=", "\x1b", "\u202e", reference(0)) if word in content]
