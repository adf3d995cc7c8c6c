"""`polytune compare`: whether columns differ between tables, paired by id.

One decision: of one comparison the answer is a few sentences, of several a table.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.errors import InputError

if TYPE_CHECKING:
    from orchestrator.files.comparing import Outcome
    from orchestrator.report.statistics import Comparison, Equivalence

EPILOG = "Example: polytune compare A.parquet B.parquet --metric codebleu"
_SHOWN = ("n", "dropped", "test", "statistic", "p_value", "effect", "effect_size", "ci", "paired_effect")
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
    margin: Annotated[
        float | None,
        typer.Option(
            "--margin",
            help="Test as well whether they are equally good: the largest difference of means that still counts as "
            "equal, in points of 100 for right and wrong, else in the column's unit.",
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")] = False,
) -> None:
    """Test whether tables differ, paired by id: McNemar for right and wrong, Wilcoxon for scores and counts."""
    from orchestrator.files.comparing import compare_tables

    if study is not None:
        from orchestrator.commands.comparestudy import compare_study

        compare_study(study, [str(name) for name in files], metrics or [], margin=margin, json_=json_)
        return
    if not metrics:
        raise InputError("compare needs --metric COLUMN, the column to compare")
    outcomes = compare_tables(files, metrics, by=id_, test=test, adjust=adjust, margin=margin)
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
    left_out = f"{found.untested}; left out of the family" if found.untested else found.note
    rest = {"form": found.form, "p_adjusted": outcome.p_adjusted, "note": left_out}
    return head | _figures(found) | rest | _equivalence(outcome)


def _figures(found: "Comparison") -> dict[str, Any]:
    """The figures of a comparison; a p-value that means nothing is none."""
    shown = {name: getattr(found, name) for name in _SHOWN}
    return shown | {"p_value": None} if found.untested else shown


def _equivalence(outcome: "Outcome") -> dict[str, Any]:
    """What there is to say of a margin, where one was given."""
    from orchestrator.report.statistics import Comparison

    found = outcome.found
    if not isinstance(found, Comparison) or outcome.request.margin is None:
        return {}
    margin = {"margin": outcome.request.margin, "equal": outcome.is_equal, "p_adjusted": outcome.p_equal}
    figures = asdict(found.equivalence) if found.equivalence and not found.untested else {}
    return {"equivalence": margin | figures}


def _write_one(outcome: "Outcome", *, json_: bool) -> None:
    from orchestrator.report.statistics import Comparison

    request, found = outcome.request, outcome.found
    assert isinstance(found, Comparison)  # what cannot be compared alone was refused
    if json_:
        sys.stdout.write(json.dumps(_figures(found) | _equivalence(outcome), indent=1) + "\n")
        sys.stderr.write(f"{request.metric}: {_test_in_words(found)}\n")
    else:
        sys.stdout.write("\n".join(_in_words(outcome, found)) + "\n")


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
    margin = outcomes[0].request.margin
    if margin is not None:
        table.add_column(f"equal within {margin:g}")
    for outcome in outcomes:
        table.add_row(*_row(outcome), *([_say_equal(outcome)] if margin is not None else []))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _row(outcome: "Outcome") -> tuple[str, ...]:
    from orchestrator.report.statistics import Comparison

    request, found = outcome.request, outcome.found
    head = (request.metric, str(request.a), str(request.b))
    if not isinstance(found, Comparison):
        return (*head, "0", "-", found.reason, "-", "-", "-")
    effect = f"{found.effect} {found.effect_size:.3g}"
    figures = (str(found.n), f"{found.difference:.4g}")
    if found.untested:
        return (*head, *figures, found.untested, "-", "-", effect)
    corrected = "-" if outcome.p_adjusted is None else f"{outcome.p_adjusted:.4g}"
    return (*head, *figures, _test_in_words(found), f"{found.p_value:.4g}", corrected, effect)


def _say_equal(outcome: "Outcome") -> str:
    from orchestrator.report.statistics import Comparison

    found = outcome.found
    if outcome.is_equal is None or not isinstance(found, Comparison) or found.equivalence is None:
        return "-"
    p = found.equivalence.p_equivalence if outcome.p_equal is None else outcome.p_equal
    return f"{'yes' if outcome.is_equal else 'not shown'}, p = {p:.4g}"


def _test_in_words(found: "Comparison") -> str:
    return f"{found.test} ({_FORMS[found.form]})"


def _in_words(outcome: "Outcome", found: "Comparison") -> "Iterator[str]":
    from orchestrator.report.layout import count_nouns

    request = outcome.request
    higher = {True: "A is higher", False: "B is higher"}.get(found.difference > 0) if found.difference else "A equals B"
    magnitude = f", {found.magnitude}" if found.magnitude else ""
    equal = (
        f"{count_nouns(found.zeros, 'pair')} equal and left out, " if found.zeros and "wilcoxon" in found.test else ""
    )
    yield f"A = {request.a}, B = {request.b}, {request.metric}"
    dropped = f"{count_nouns(found.dropped, 'id')} dropped for want of a value on both sides"
    yield f"{count_nouns(found.n, 'pair')}, {dropped}"
    yield f"mean difference A - B: {found.difference:.4g}{_interval(found.difference_ci)}: {higher}"
    if found.untested:
        yield f"no test: {found.untested}"
        return
    yield f"{_test_in_words(found)}: {equal}statistic {found.statistic:.4g}, p = {found.p_value:.4g}"
    yield f"{found.effect}: {found.effect_size:.4g}{_interval(found.ci)}{magnitude}"
    yield f"A is higher in the pairs by {100 * found.paired_effect:.3g} % of them (Cliff's delta within pairs)"
    if found.note:
        yield found.note
    if found.equivalence is not None:
        yield from _margin_in_words(outcome, found.equivalence, unit="points" if "mcnemar" in found.test else "")


def _interval(value: "Sequence[float] | None") -> str:
    return f" (95 % interval {value[0]:.4g} to {value[1]:.4g})" if value else ""


def _margin_in_words(outcome: "Outcome", found: "Equivalence", *, unit: str) -> "Iterator[str]":
    within, p = f"{found.margin:g} {unit}".strip(), f"two one-sided tests, p = {found.p_equivalence:.4g}"
    if outcome.is_equal:
        yield f"A is as good as B: their means differ by less than {within} ({p})"
        return
    yield f"not shown that A is as good as B within {within} ({p})"
    yield f"A is not lower than B by {within} or more: p = {found.p_not_worse:.4g}"
    if found.needed is not None:
        yield f"about {found.needed:,} pairs would decide"
    yield f"the smallest difference that these pairs would show in 4 of 5 cases: {found.detectable:.3g} {unit}".rstrip()


__all__ = ["EPILOG", "compare"]
