"""The report as a whole: the answer, the page, the exports and the terminal."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_samples import make_study

from orchestrator.report import write_report
from orchestrator.report.pictures import PALETTE, choose_colour
from orchestrator.report.results import StudyResults
from trainers.methods.table import MethodKind

HOSTILE = '<script>alert("$x^2$")</script>'


@pytest.fixture(scope="module")
def study() -> StudyResults:
    return make_study(problems=60)


@pytest.fixture(scope="module")
def page(study: StudyResults, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(study, folder=tmp_path_factory.mktemp("report")).read_text(encoding="utf-8")


class TagReader(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        """Start with nothing read."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag with its attributes."""
        self.tags.append((tag, dict(attrs)))


def read_tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    reader = TagReader()
    reader.feed(page)
    return reader.tags


def without_scripts(page: str) -> str:
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def test_page_is_self_contained(page: str) -> None:
    for tag, attributes in read_tags(page):
        assert tag not in ("link", "img", "iframe", "object", "base")
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    style = re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    assert "@import" not in style and "url(" not in style


def test_page_shows_answer_failures_and_provenance(page: str, study: StudyResults) -> None:
    text = re.sub(r"\s+", " ", page)
    for part in (study.question, "is not told apart from qlora apart", "out of memory with a micro-batch", "3f2a9c1",
                 "no C# compiler on PATH", "landlock", "sacrebleu|nrefs:1|tok:13a"):  # fmt: skip
        assert part in text, part
    order = [
        text.index(part) for part in ('class="answer"', 'class="warnings"', 'class="claims"', 'class="methods"', "<nav")
    ]
    assert order == sorted(order)


def test_pictures_have_titles_and_every_id_is_unique(page: str) -> None:
    tags = read_tags(page)
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    pictures = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(pictures) > 10
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert attributes.get("aria-label") or set((attributes["aria-labelledby"] or "").split()) <= set(ids)


def test_pictures_follow_the_palette_of_the_page(page: str) -> None:
    pictures = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    used = set(re.findall(r"var\(--(\w+)\)", pictures))
    assert {"ink", "qlora", "full", "frozen"} <= used
    assert not re.findall(r"(?:fill|stroke): #", pictures)
    light, dark = page.split("prefers-color-scheme: dark", 1)
    assert all(f"--{name}:" in light and f"--{name}:" in dark.split("}", 1)[0] for name in used)


def test_tables_have_row_and_column_headers(page: str) -> None:
    tags = read_tags(page)
    scopes = {attributes.get("scope") for tag, attributes in tags if tag == "th"}
    assert scopes == {"col", "colgroup", "row", "rowgroup"}
    assert sum(tag == "caption" for tag, _ in tags) == sum(tag == "table" for tag, _ in tags)


def test_hostile_texts_are_escaped(study: StudyResults, tmp_path: Path) -> None:
    rename = {trial.trial: trial.trial + HOSTILE for trial in study.trials}
    trials = tuple(
        replace(
            t,
            trial=rename[t.trial],
            method=HOSTILE,
            model=HOSTILE,
            stages=tuple(replace(s, cause=HOSTILE) for s in t.stages),
        )
        for t in study.trials
    )
    hostile = replace(
        study,
        study=HOSTILE,
        question=HOSTILE,
        trials=trials,
        rows=tuple(replace(r, trial=rename[r.trial], detail=HOSTILE) for r in study.rows),
        cells=tuple(
            replace(c, trial=rename[c.trial], notes=(HOSTILE,), signatures={HOSTILE: HOSTILE}) for c in study.cells
        ),
        provenance={HOSTILE: HOSTILE},
        isolation=HOSTILE,
    )
    page = write_report(hostile, folder=tmp_path).read_text(encoding="utf-8")
    rest = without_scripts(page)
    assert "<script" not in rest and rest.count("&lt;script") > 10


def test_same_results_give_the_same_page(study: StudyResults, page: str, tmp_path: Path) -> None:
    assert write_report(study, folder=tmp_path).read_text(encoding="utf-8") == page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["overview.png", "report.html"]
    assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")


def test_study_that_has_not_run_still_has_a_page(study: StudyResults, tmp_path: Path) -> None:
    bare = StudyResults(study="bare", question="", trials=(), rows=(), cells=())
    assert "the study has one way of training" in write_report(bare, folder=tmp_path).read_text(encoding="utf-8")
    waiting = replace(study, rows=(), cells=())
    page = write_report(waiting, folder=tmp_path).read_text(encoding="utf-8")
    assert "no results recorded" in page and "There are no scores to compare yet." in page


def test_every_kind_of_method_has_a_colour_of_its_own() -> None:
    assert {choose_colour(kind) for kind in MethodKind}.isdisjoint({PALETTE["other"]})
    assert len({choose_colour(kind) for kind in MethodKind}) == len(MethodKind)


def test_import_is_light() -> None:
    code = (
        "import json, sys, orchestrator.report, orchestrator.report.statistics; print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"torch", "ray", "mlflow", "matplotlib", "scipy", "numpy", "jinja2", "rich"}
