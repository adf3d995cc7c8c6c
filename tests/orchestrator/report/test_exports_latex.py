"""LaTeX: tables that fit, mark what is best and what is better than what, and take any name."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from report_samples import make_study

from orchestrator.report import find
from orchestrator.report.exports.everything import write_latex
from orchestrator.report.exports.latex import COLUMN, PAGE, escape, escape_breakable, longest_part, width_of
from orchestrator.report.exports.latexmain import list_lines, render_main
from orchestrator.report.exports.longtables import render_long
from orchestrator.report.layout import Cell, Column, Table, labels
from orchestrator.report.results import StudyResults

NO_LATEX = "LaTeX is not installed here: apt-get install texlive-latex-base texlive-latex-recommended"
PAPER = r"""\documentclass[10pt,twocolumn]{article}
\usepackage{array,booktabs,longtable}
\begin{document}
\input{scores}
\section{Results}
TEXT
\onecolumn
\appendix
\section{Tables}
TABLES
\end{document}
"""


@pytest.fixture(scope="module")
def study() -> StudyResults:
    return make_study(problems=60)


def of_many(models: int, seeds: int) -> StudyResults:
    """The sample study for several models and seeds, the rows of each seed its own."""
    parts = [
        (f"model-with-a-long-name-{model}B", seed, make_study(problems=20, seed=seed))
        for model in range(models)
        for seed in range(1, seeds + 1)
    ]
    return replace(
        parts[0][2],
        trials=tuple(
            replace(t, trial=f"{m}/{t.trial}/{s}", model=m, seed=s) for m, s, part in parts for t in part.trials
        ),
        rows=tuple(replace(row, trial=f"{m}/{row.trial}/{s}") for m, s, part in parts for row in part.rows),
        cells=tuple(replace(cell, trial=f"{m}/{cell.trial}/{s}") for m, s, part in parts for cell in part.cells),
    )


def compile_paper(folder: Path) -> tuple[list[float], int]:
    """Compile all tables of a folder: the overfull boxes in points, and the number of pages."""
    tables = sorted(path.stem for path in folder.glob("*.tex") if path.stem != "scores")
    body = PAPER.replace("TEXT", "Words that fill a column. " * 200)
    (folder / "paper.tex").write_text(body.replace("TABLES", "\n".join(f"\\input{{{name}}}" for name in tables)))
    for _ in range(3):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
            cwd=folder, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / "paper.log").read_text(errors="replace")
    pages = re.search(r"Output written on paper.pdf \((\d+) page", log)
    assert pages
    return [float(size) for size in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)], int(pages[1])


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason=NO_LATEX)
@pytest.mark.parametrize("shape", ["small", "large"])
def test_all_tables_compile_and_none_runs_into_the_margin(shape: str, study: StudyResults, tmp_path: Path) -> None:
    write_latex(find(study if shape == "small" else of_many(3, 2)), folder=tmp_path)
    overfull, pages = compile_paper(tmp_path)
    assert max(overfull, default=0.0) <= 5.0
    assert pages >= 2


def test_scores_stand_in_one_column_with_the_best_bold_and_marks(study: StudyResults) -> None:
    text = render_main(find(study))
    assert "\\begin{table}[" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    rows = [line for line in text.splitlines() if line.startswith(r"\quad")]
    assert len(rows) == 8
    assert all(row.count(r"\textbf") == 1 for row in rows if "--" not in row)
    python = next(row for row in rows if r"\quad python" in row)
    # All trained methods are better than the frozen one, which is a.
    assert python.count(r"\textsuperscript{a}") == 3
    assert "Letters: better than the method of that letter" in text


def test_figures_that_are_missing_have_their_reason_below(study: StudyResults) -> None:
    text = render_main(find(study))
    assert r"-- & \textsuperscript{2}" in text
    assert r"not judged: no C\# compiler on PATH; install mono-mcs." in text
    assert "train failed: out of memory with a micro-batch of 1" in text
    assert r"\textsuperscript{1} 58 of 60 problems." in text


def test_methods_head_the_rows_where_that_fits_a_column(study: StudyResults) -> None:
    many = of_many(1, 1)
    ways = [replace(t, trial=f"{t.trial}-{i}", method=f"{t.method}{i}") for i in range(4) for t in many.trials]
    rows = [replace(r, trial=f"{r.trial}-{i}") for i in range(4) for r in many.rows]
    only = [row for row in rows if row.track == "generation/python"]
    ways = [replace(way, tracks=("generation/python",)) for way in ways if "generation/python" in way.tracks]
    text = render_main(find(replace(many, trials=tuple(ways), rows=tuple(only), cells=())))
    assert "\\begin{table}[" in text
    assert r"\begin{tabular}{@{}lr@{}l@{}}" in text
    assert len([line for line in text.splitlines() if line.startswith(("frozen", "qlora", "full"))]) == 16


def test_methods_that_do_not_fit_a_page_are_parted_between_models() -> None:
    text = render_main(find(of_many(3, 2)))
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 3
    assert "(part 3 of 3)" in text and "Means over up to 2 seeds." in text
    for part in text.split(r"\begin{table*}")[1:]:
        assert len(set(re.findall(r"model-with-a-long-name-\d", part.replace(r"\_", "_")))) == 1


def test_each_way_of_each_model_has_a_letter_and_stands_for_its_seeds() -> None:
    lines = list_lines(find(of_many(7, 2)))
    assert len(lines) == 28
    assert [line.letter for line in lines][24:] == ["y", "z", "aa", "ab"]
    assert {len(line.arms) for line in lines} == {2}


def test_every_table_is_ascii_and_escaped(study: StudyResults, tmp_path: Path) -> None:
    paths = write_latex(find(study), folder=tmp_path)
    assert {"scores", "scores-with-intervals", "comparisons", "health", "costs", "verdicts"} <= {p.stem for p in paths}
    for path in paths:
        head, body = path.read_text(encoding="utf-8").split("\n", 1)
        assert head == r"% needs \usepackage{array,booktabs,longtable}"
        assert not re.search(r"(?<!\\)[%#_]", body), path
        assert body.isascii(), path
        assert body.count("{") == body.count("}")


def test_hostile_names_are_set_as_text(study: StudyResults, tmp_path: Path) -> None:
    name = "\\input{/etc/passwd} 100% $x^2$ #1 ~_ é \N{PILE OF POO}\x1b[31m"
    trials = tuple(replace(trial, method=f"{trial.method} {name}", model=name) for trial in study.trials)
    paths = write_latex(find(replace(study, trials=trials)), folder=tmp_path)
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert "\\input{" not in text and "\x1b" not in text and "\N{PILE OF POO}" not in text
    if shutil.which("pdflatex") is not None:
        compile_paper(tmp_path)


def test_special_signs_are_escaped() -> None:
    assert escape("a_b & 50% {x} \\n $1 #2 ~^") == (
        r"a\_b \& 50\% \{x\} \textbackslash{}n \$1 \#2 \textasciitilde{}\textasciicircum{}"
    )
    assert escape("pass@1 %") == r"pass@1~\%"
    assert escape("±5 \N{MINUS SIGN} 3 ≤ χ²") == r"$\pm$5 $-$ 3 $\le$ $\chi$\textsuperscript{2}"
    assert escape_breakable("a/b-c") == r"a/\allowbreak{}b-\allowbreak{}c"


def test_widths_are_those_of_the_font_or_more() -> None:
    # Points of these words in cmr8, as TeX measures them (\settowidth under \footnotesize).
    for text, points in {"0123456789": 42.5, "translation/java-csharp": 86.3, "qlora-together": 52.2}.items():
        assert points <= width_of(text) <= 1.1 * points
    assert longest_part("a summarization/java") == width_of("summarization/")


def test_long_tables_wrap_words_and_part_columns() -> None:
    words = "a cause that is told in very many words, for it is not easily told in few"
    columns = (*labels("trial"), Column(title="cause"), *(Column(title=f"figure {n}", group="all") for n in range(12)))
    row = (Cell(text="a"), Cell(text=words), *(Cell(text="1,234.5", value=1234.5) for _ in range(12)))
    text = render_long(Table(name="t", title="T", columns=columns, rows=(row,) * 3))
    blocks = text.split(r"\begin{longtable}")[1:]
    assert len(blocks) > 1
    assert r"p{" in blocks[0] and words in blocks[0]
    assert all("trial" in block for block in blocks)
    assert sum(block.count("1,234.5") for block in blocks) == 36


def test_room_is_that_of_the_narrowest_templates() -> None:
    assert (COLUMN, PAGE) == (219.0, 345.0)
