"""The report on a terminal: the answer in 80 columns, everything when asked, and nothing that acts."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from planted_study import NO_MEMORY, find_planted
from report_samples import make_study
from rich.console import Console

from orchestrator.report import find, print_report
from orchestrator.report.layout import format_number, format_range
from orchestrator.report.results import StudyResults
from orchestrator.report.terminal import print_findings

ACTS = "\x1b[31mred\x1b[0m\x1b]0;title\x07\u202eevil\r"


@pytest.fixture(scope="module")
def study() -> StudyResults:
    return make_study(problems=60)


def print_as_text(study: StudyResults, *, width: int = 80, full: bool = False) -> str:
    stream = StringIO()
    print_report(study, console=Console(file=stream, width=width), full=full)
    return stream.getvalue()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("width", [60, 80, 140])
def test_terminal_fits_its_width(study: StudyResults, width: int, full: bool) -> None:
    text = print_as_text(study, width=width, full=full)
    assert max(map(len, text.splitlines())) <= width
    assert "qlora together against qlora apart" in text


def test_terminal_ends_with_the_answer_in_one_table(study: StudyResults) -> None:
    text = print_as_text(study)
    lines = text.splitlines()
    at = lines.index("qlora together against qlora apart")
    verdict = find(study).verdicts[0]
    assert verdict.points is not None and verdict.interval is not None
    effect = f"{format_number(verdict.points, signed=True)} {format_range(*verdict.interval)}"
    assert " ".join(lines[at + 1].split()) == f"pass@1 % ? not decided {effect} 178 problems, 1 seed"
    joined = " ".join(text.split())
    assert re.search(r"about [\d,]+ problems would be needed", joined)
    assert "Against the frozen model: better in 8 of 9, no answer in 1." in joined
    assert "5 of 6 trials finished" in joined
    assert "Scores" not in lines and "Time by trial" not in lines


def test_terminal_tells_what_touches_the_verdicts_and_counts_the_rest() -> None:
    stream = StringIO()
    print_findings(find_planted(), console=Console(file=stream, width=80))
    joined = " ".join(stream.getvalue().split())
    assert f"coder-7b/full-together/seed2: train failed: {NO_MEMORY}" in joined
    assert "62 % of test references overlap with training" in joined
    assert "5 more kinds of warning touch no verdict." in joined
    assert "outputs do not parse" not in joined


def test_full_terminal_prints_the_tables_before_the_answer(study: StudyResults) -> None:
    text = print_as_text(study, full=True)
    order = [text.index(part) for part in ("\nScores\n", "\nTime by trial\n", "\nqlora together against qlora apart")]
    assert order == sorted(order)
    joined = " ".join(text.split())
    assert "(1) not judged: no C# compiler on PATH; install mono-mcs" in joined
    assert "train failed (2)" in joined and "31 % of outputs do not parse" in joined


def test_terminal_does_not_read_markup_in_names(study: StudyResults) -> None:
    trials = tuple(replace(t, method=f"[red]{t.method}") for t in study.trials)
    text = print_as_text(replace(study, question="[bold]why[/bold]", trials=trials), width=120)
    assert "[bold]why[/bold]" in text and "[red]qlora together" in text


@pytest.mark.parametrize("full", [False, True])
def test_what_a_study_names_or_a_model_wrote_is_shown_and_never_sent(study: StudyResults, full: bool) -> None:
    trials = tuple(
        replace(t, method=t.method + ACTS, stages=tuple(replace(s, cause=ACTS) for s in t.stages)) for t in study.trials
    )
    rows = tuple(replace(row, detail=ACTS) for row in study.rows)
    cells = tuple(replace(cell, notes=(ACTS,)) for cell in study.cells)
    hostile = replace(study, study=ACTS, question=ACTS, trials=trials, rows=rows, cells=cells)
    stream = StringIO()
    print_report(hostile, console=Console(file=stream, width=100), full=full)
    text = stream.getvalue()
    assert not set(text) & {"\x1b", "\x07", "\u202e", "\r"}
    assert "\\x1b[31mred" in text and "\\u202eevil" in text
