"""`polytune compare`: whether columns differ between tables, paired by id.

One decision: of one comparison the answer is a few sentences, of several a table.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.errors import InputError

if TYPE_CHECKING:
    from orchestrator.files.comparing import Outcome
    from orchestrator.report.statistics import Comparison

EPILOG = "Example: polytune compare A.parquet B.parquet --metric codebleu"
_SHOWN = ("n", "dropped", "test", "statistic", "p_value", "effect", "effect_size", "ci")
_FORMS = {"exact": "exact", "normal": "normal approximation", "chi2": "chi-square, continuity corrected"}


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B ...",
            help="Tables with an id and the metric a row: CSV, TSV, Parquet, JSON lines or execute's verdicts, "
            "gzipped or not. Of several each is compared with each. With --study two of its methods or trials.",
        ),
    ],
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="COLUMN", help="The column to compare; may be given repeatedly."),
    ] = None,
    id_: Annotated[
        str | None,
        typer.Option("--id", metavar="COLUMN", help="The column to pair by. Default: id, task_id, Task ID, ..."),
    ] = None,
    test: Annotated[
        str,
        typer.Option(
            "--test",
            help="auto, mcnemar (right or wrong), wilcoxon (scores, counts; exact for few pairs) or wilcoxon-normal. "
            "auto goes by what the metric is, or a column of true and false.",
        ),
    ] = "auto",
    adjust: Annotated[
        str, typer.Option("--adjust", help="Over several comparisons: holm, bh (Benjamini-Hochberg) or none.")
    ] = "holm",
    study: Annotated[
        str | None,
        typer.Option("--study", metavar="STUDY", help="Compare two methods or trials of a study that was run."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")] = False,
) -> None:
    """Test whether tables differ, paired by id: McNemar for right and wrong, Wilcoxon for scores and counts."""
    from orchestrator.files.comparing import compare_tables

    if study is not None:
        from orchestrator.commands.comparestudy import compare_study

        compare_study(study, [str(name) for name in files], metrics or [], json_=json_)
        return
    if not metrics:
        raise InputError("compare needs --metric COLUMN, the column to compare")
    outcomes = compare_tables(files, metrics, by=id_, test=test, adjust=adjust)
    if len(outcomes) == 1:
        _write_one(outcomes[0], json_=json_)
    else:
        _write_many(outcomes, adjust=adjust, json_=json_)
    for outcome in outcomes:
        sys.stderr.write("".join(f"{outcome.request.title}: {note}\n" for note in outcome.notes))


def _as_json(outcome: "Outcome") -> dict[str, Any]:
    from orchestrator.report.statistics import Comparison

    request, found = outcome.request, outcome.found
    head = {"metric": request.metric, "a": str(request.a), "b": str(request.b)}
    if not isinstance(found, Comparison):
        return head | {"n": 0, "dropped": found.dropped, "note": found.reason}
    shown = {name: getattr(found, name) for name in _SHOWN}
    left_out = "constant, left out of the family" if found.constant else found.note
    return head | shown | {"form": found.form, "p_adjusted": outcome.p_adjusted, "note": left_out}


def _write_one(outcome: "Outcome", *, json_: bool) -> None:
    from orchestrator.report.statistics import Comparison

    request, found = outcome.request, outcome.found
    assert isinstance(found, Comparison)  # what cannot be compared alone was refused
    if json_:
        sys.stdout.write(json.dumps({name: getattr(found, name) for name in _SHOWN}, indent=1) + "\n")
        sys.stderr.write(f"{request.metric}: {_test_in_words(found)}\n")
    else:
        sys.stdout.write(_in_words(found, request.metric, request.a, request.b))


def _write_many(outcomes: "Sequence[Outcome]", *, adjust: str, json_: bool) -> None:
    family = sum(outcome.in_family for outcome in outcomes)
    if json_:
        rows = [_as_json(outcome) for outcome in outcomes]
        sys.stdout.write(json.dumps({"adjust": adjust, "family": family, "comparisons": rows}, indent=1) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    names = {"holm": "Holm", "bh": "Benjamini-Hochberg", "none": "not corrected"}
    caption = f"p corrected by {names[adjust]} over {family} comparisons" if adjust != "none" else "p not corrected"
    table = Table("metric", "A", "B", "n", "A - B", "test", "p", "p corrected", "effect", box=None, caption=caption)
    for outcome in outcomes:
        table.add_row(*_row(outcome))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _row(outcome: "Outcome") -> tuple[str, ...]:
    from orchestrator.report.statistics import Comparison

    request, found = outcome.request, outcome.found
    head = (request.metric, str(request.a), str(request.b))
    if not isinstance(found, Comparison):
        return (*head, "0", "-", found.reason, "-", "-", "-")
    corrected = "constant" if found.constant else "-" if outcome.p_adjusted is None else f"{outcome.p_adjusted:.4g}"
    effect = f"{found.effect} {found.effect_size:.3g}"
    figures = (str(found.n), f"{found.difference:.4g}", _test_in_words(found), f"{found.p_value:.4g}")
    return (*head, *figures, corrected, effect)


def _test_in_words(found: "Comparison") -> str:
    return f"{found.test} ({_FORMS[found.form]})"


def _in_words(found: "Comparison", metric: str, a: Path, b: Path) -> str:
    from orchestrator.report.layout import count_nouns

    def interval(value: Sequence[float] | None) -> str:
        return f" (95 % interval {value[0]:.4g} to {value[1]:.4g})" if value else ""

    higher = {True: "A is higher", False: "B is higher"}.get(found.difference > 0) if found.difference else "A equals B"
    magnitude = f", {found.magnitude}" if found.magnitude else ""
    lines = [
        f"A = {a}, B = {b}, {metric}",
        f"{count_nouns(found.n, 'pair')}, {count_nouns(found.dropped, 'id')} dropped for want of a value on both sides",
        f"mean difference A - B: {found.difference:.4g}{interval(found.difference_ci)}: {higher}",
        f"{_test_in_words(found)}: statistic {found.statistic:.4g}, p = {found.p_value:.4g}",
        f"{found.effect}: {found.effect_size:.4g}{interval(found.ci)}{magnitude}",
        *([found.note] if found.note else []),
    ]
    return "\n".join(lines) + "\n"


__all__ = ["EPILOG", "compare"]
