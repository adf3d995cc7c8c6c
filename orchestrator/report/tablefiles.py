"""Tables and per-instance rows as CSV, tables as LaTeX.

One decision: CSV gives a program full numbers and every row, LaTeX gives a paper what the page shows.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from orchestrator.report.findings import Findings
from orchestrator.report.layout import ABSENT, MINUS, Cell, Column, Table, list_headings, merge_alike, number_notes
from orchestrator.report.results import InstanceRow, StudyResults, TrialOutcome
from orchestrator.report.tables import build_tables

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    ABSENT: "--",
    MINUS: "$-$",
    "≤": r"$\le$",
    "·": r"$\cdot$",
    "χ": r"$\chi$",
    "²": r"\textsuperscript{2}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}
_ESCAPE = re.compile("|".join(map(re.escape, _SPECIAL)))


def export_csv(findings: Findings, *, folder: Path) -> tuple[Path, ...]:
    """Write `instances.csv`, `curves.csv` and a file per table; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    results = findings.results
    files = {"instances": _list_instances(results), "curves": _list_curves(results.trials)}
    files |= {table.name: _list_table(table) for table in build_tables(findings)}
    return tuple(_write_csv(folder / f"{name}.csv", lines) for name, lines in files.items())


def _write_csv(path: Path, lines: Iterable[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)
    return path


def _list_instances(results: StudyResults) -> list[list[object]]:
    trials = {trial.trial: trial for trial in results.trials}
    scores = sorted({name for row in results.rows for name in row.scores})
    counts = sorted({name for row in results.rows for name in row.counts})
    head: list[object] = [
        *("trial", "model", "method", "grouping", "seed", "track", "dataset", "problem_id", "sample"),
        *("empty", "parses", "verdict", "passed", "detail"),
        *scores,
        *counts,
    ]
    return [head, *(_list_instance(row, trials[row.trial], scores=scores, counts=counts) for row in results.rows)]


def _list_instance(
    row: InstanceRow, trial: TrialOutcome, *, scores: Sequence[str], counts: Sequence[str]
) -> list[object]:
    passed = "" if row.verdict in (None, "unjudged") else int(row.verdict == "passed")
    parses = "" if row.parses is None else int(row.parses)
    return [
        *(trial.trial, trial.model, trial.method, trial.grouping, trial.seed),
        *(row.track, row.dataset, row.problem_id, row.sample, int(row.empty), parses),
        *(row.verdict or "", passed, row.detail),
        *(row.scores.get(name, "") for name in scores),
        *(row.counts.get(name, "") for name in counts),
    ]


def _list_curves(trials: Iterable[TrialOutcome]) -> list[list[object]]:
    kept = [(trial.trial, point) for trial in trials for point in trial.curve]
    names = sorted({name for _, point in kept for name in point} - {"step"})
    rows: list[list[object]] = [
        [trial, point.get("step", ""), *(point.get(name, "") for name in names)] for trial, point in kept
    ]
    return [["trial", "step", *names], *rows]


def _list_table(table: Table) -> list[list[object]]:
    """A table with full numbers; intervals and words beside a number go to columns of their own."""
    head: list[object] = []
    body: list[list[object]] = [[] for _ in table.rows]
    for index, column in enumerate(table.columns):
        cells = [row[index] for row in table.rows]
        for suffix, read in _FIELDS.items():
            fields = [read(cell) for cell in cells]
            if not suffix or any(field != "" for field in fields):
                head.append(column.full_title + suffix)
                for line, field in zip(body, fields, strict=True):
                    line.append(field)
    return [head, *body]


_FIELDS: Mapping[str, Callable[[Cell], object]] = {
    "": lambda cell: cell.text if cell.value is None else cell.value,
    " (low)": lambda cell: cell.interval.low if cell.interval else "",
    " (high)": lambda cell: cell.interval.high if cell.interval else "",
    " (note)": lambda cell: "; ".join(part for part in (cell.detail, cell.note) if part),
}
"""The CSV columns that a column of a table becomes, by what is added to its title."""


def export_latex(findings: Findings, *, folder: Path) -> tuple[Path, ...]:
    r"""Write a booktabs table per file, to be read with `\input`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for table in build_tables(findings):
        path = folder / f"{table.name}.tex"
        path.write_text(render_latex(table), encoding="utf-8")
        paths.append(path)
    return tuple(paths)


def render_latex(table: Table) -> str:
    """A table in booktabs with its notes below it, every character of its texts escaped."""
    table = number_notes(table)
    places = "".join("l" if column.is_label else "r" for column in table.columns)
    body = "\n".join(_write_row(row) for row in table.rows)
    return "\n".join(
        (
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "\\centering\\small",
            f"\\caption{{{escape_latex(f'{table.title}. {table.caption}'.strip())}}}",
            f"\\label{{tab:{table.name}}}",
            f"\\begin{{tabular}}{{{places}}}",
            "\\toprule",
            *_write_heads(table.columns),
            "\\midrule",
            body,
            "\\bottomrule",
            "\\end{tabular}",
            *(
                f"\\par{{\\footnotesize {_mark(n)} {escape_latex(note)}}}"
                for n, note in enumerate(table.notes, start=1)
            ),
            "\\end{table}",
            "",
        )
    )


def escape_latex(text: str) -> str:
    """Text that LaTeX sets as it stands."""
    return _ESCAPE.sub(lambda found: _SPECIAL[found[0]], " ".join(text.split()))


def _write_heads(columns: Sequence[Column]) -> list[str]:
    titles = _join_row([escape_latex(column.title) for column in columns])
    if not any(column.group for column in columns):
        return [titles]
    groups, rules, position = [], [], 1
    for heading in list_headings(columns):
        width = len(heading.titles)
        groups.append(f"\\multicolumn{{{width}}}{{c}}{{{escape_latex(heading.group)}}}")
        if heading.group:
            rules.append(f"\\cmidrule(lr){{{position}-{position + width - 1}}}")
        position += width
    return [_join_row(groups), " ".join(rules), titles]


def _write_row(row: Sequence[Cell]) -> str:
    return _join_row([_write_cell(cell, width) for cell, width in merge_alike(row)])


def _write_cell(cell: Cell, width: int) -> str:
    text = escape_latex(cell.text) + (_mark(cell.mark) if cell.mark else "")
    if cell.lines:
        text += f" {{\\scriptsize ({escape_latex('; '.join(cell.lines))})}}"
    return f"\\multicolumn{{{width}}}{{c}}{{\\emph{{{text}}}}}" if width > 1 else text


def _mark(number: int) -> str:
    return f"\\textsuperscript{{{number}}}"


def _join_row(fields: Sequence[str]) -> str:
    return " & ".join(fields) + r" \\"
