"""The report as a whole: the answer, the page, the exports and the terminal."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from report_samples import make_study
from rich.console import Console

from orchestrator.report import answer_paragraph, find, print_report, write_report
from orchestrator.report.health import list_warnings
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


def keep_zero(study: StudyResults) -> StudyResults:
    """The same study where no output is any good."""
    rows = tuple(
        replace(row, verdict=row.verdict and "wrong_answer", scores=dict.fromkeys(row.scores, 0.4))
        for row in study.rows
    )
    return replace(study, rows=rows)


def test_answer_says_which_methods_beat_the_frozen_model(study: StudyResults) -> None:
    answer = answer_paragraph(study)
    assert answer.startswith("5 of 6 trials finished, on 360 problems in 6 tracks.")
    assert "Against frozen, qlora together is better in all 7 comparisons" in answer
    assert "Between qlora together and qlora apart, no difference is shown in 5 comparisons." in answer
    assert "1 trial did not run to the end (qlora apart · summarization)." in answer


def test_answer_turns_around_with_the_results(study: StudyResults) -> None:
    names = {"frozen": "qlora-together", "qlora-together": "frozen"}
    swapped = replace(study, rows=tuple(replace(r, trial=names.get(r.trial, r.trial)) for r in study.rows))
    assert "Against frozen, qlora together is worse in all 7 comparisons" in answer_paragraph(swapped)


def test_scores_near_zero_are_called_too_low_to_compare(study: StudyResults) -> None:
    answer = answer_paragraph(keep_zero(study))
    assert "The scores are too low to compare methods: the highest is 0.4 of 100." in answer
    assert "Against frozen" not in answer


def test_floor_of_one_measure_is_named(study: StudyResults) -> None:
    rows = tuple(replace(r, verdict="wrong_answer") if r.verdict == "passed" else r for r in study.rows)
    answer = answer_paragraph(replace(study, rows=rows))
    assert "Every method stays below 2 of 100 on generation/python (pass@1)" in answer


def test_study_without_results_says_so(study: StudyResults) -> None:
    answer = answer_paragraph(replace(study, rows=(), cells=()))
    assert answer == "5 of 6 trials finished, on 0 problems in 0 tracks. There are no scores to compare yet."


def test_warnings_are_told_once_with_what_they_concern(study: StudyResults) -> None:
    said = list_warnings(find(study).evidence)
    assert "frozen on 6 tracks: 12.0 % of outputs were cut off at the limit of new tokens." in said
    assert sum("reference in the prompt" in line for line in said) == 1
    assert len(said) == 5


def test_page_is_self_contained(page: str) -> None:
    for tag, attributes in read_tags(page):
        assert tag not in ("script", "link", "img", "iframe", "object", "base")
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    style = re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    assert "@import" not in style and "url(" not in style


def test_page_shows_answer_failures_and_provenance(page: str, study: StudyResults) -> None:
    text = re.sub(r"\s+", " ", page)
    for part in (study.question, "qlora together is better", "out of memory with a micro-batch", "3f2a9c1",
                 "no C# compiler on PATH", "landlock", "sacrebleu|nrefs:1|tok:13a"):  # fmt: skip
        assert part in text, part
    assert text.index('class="answer"') < text.index("<svg") < text.index("<table")


def test_pictures_have_titles_and_every_id_is_unique(page: str) -> None:
    tags = read_tags(page)
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    pictures = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(pictures) == 6
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert set((attributes["aria-labelledby"] or "").split()) <= set(ids)


def test_pictures_follow_the_palette_of_the_page(page: str) -> None:
    pictures = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    used = set(re.findall(r"var\(--(\w+)\)", pictures))
    assert {"ink", "qlora", "full", "frozen"} <= used
    assert not re.findall(r"(?:fill|stroke): #", pictures)
    light, dark = page.split("prefers-color-scheme: dark", 1)
    assert all(f"--{name}:" in light and f"--{name}:" in dark.split("}", 1)[0] for name in used)


def test_tables_have_row_and_column_headers(page: str) -> None:
    tags = read_tags(page)
    assert {attributes.get("scope") for tag, attributes in tags if tag == "th"} == {"col", "colgroup", "row"}
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
    assert "<script" not in page and page.count("&lt;script") > 10


def test_same_results_give_the_same_page(study: StudyResults, page: str, tmp_path: Path) -> None:
    assert write_report(study, folder=tmp_path).read_text(encoding="utf-8") == page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["overview.png", "report.html"]
    assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")


def test_study_that_has_not_run_still_has_a_page(study: StudyResults, tmp_path: Path) -> None:
    bare = StudyResults(study="bare", question="", trials=(), rows=(), cells=())
    assert "There are no scores to compare yet." in write_report(bare, folder=tmp_path).read_text(encoding="utf-8")
    waiting = replace(study, rows=(), cells=())
    assert "no results recorded" in write_report(waiting, folder=tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [60, 80, 140])
def test_terminal_fits_its_width_and_tells_causes(study: StudyResults, width: int) -> None:
    stream = StringIO()
    print_report(study, console=Console(file=stream, width=width))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    joined = " ".join(text.split())
    assert "qlora together is better in all 7" in joined
    assert "(1) not judged: no C# compiler on PATH; install mono-mcs" in joined
    assert "train failed (2)" in joined


def test_terminal_does_not_read_markup_in_names(study: StudyResults) -> None:
    stream = StringIO()
    trials = tuple(replace(t, method=f"[red]{t.method}") for t in study.trials)
    print_report(replace(study, question="[bold]why[/bold]", trials=trials), console=Console(file=stream, width=120))
    assert "[bold]why[/bold]" in stream.getvalue() and "[red]qlora together" in stream.getvalue()


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
