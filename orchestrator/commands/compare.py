"""`polytune compare`: whether columns differ between tables, paired by id.

One decision: nothing is paired by row number. Two tables of the same length may hold other problems or
another order, so an id is always asked for, and what only one side has is counted and said. Several tests in
one call are one family, and their p-values are corrected for it.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.files.measured import Measured, ResultTable
    from orchestrator.report.statistics import Comparison, NotComparable, Test

EPILOG = "Example: polytune compare A.parquet B.parquet --metric codebleu"
_SHOWN = ("n", "dropped", "test", "statistic", "p_value", "effect", "effect_size", "ci")
_TESTS = ("auto", "mcnemar", "wilcoxon", "wilcoxon-normal")
_CORRECTIONS = ("holm", "bh", "none")
_FORMS = {"exact": "exact", "normal": "normal approximation", "chi2": "chi-square, continuity corrected"}


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B ...",
            help="Tables with an id and the metric a row: CSV, TSV, Parquet, JSON lines or execute's verdicts, "
            "gzipped or not. Of several each is compared with each.",
        ),
    ],
    metrics: Annotated[
        list[str], typer.Option("--metric", metavar="COLUMN", help="The column to compare; may be given repeatedly.")
    ],
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
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")] = False,
) -> None:
    """Test whether tables differ, paired by id: McNemar for right and wrong, Wilcoxon for scores and counts."""
    from orchestrator.errors import InputError

    metrics = list(dict.fromkeys(metrics))
    requests, faults = _requests(files, metrics, by=id_, test=test, adjust=adjust)
    if faults:
        raise InputError("\n".join([f"{len(faults)} faults", *(f"  {f}" for f in faults)]) if faults[1:] else faults[0])
    outcomes = _corrected([request.run() for request in requests], adjust=adjust)
    if len(outcomes) == 1:
        _write_one(outcomes[0], json_=json_)
    else:
        _write_many(outcomes, adjust=adjust, json_=json_)
    for outcome in outcomes:
        sys.stderr.write("".join(f"{outcome.request.title}: {note}\n" for note in outcome.notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One test to make."""

    a: Path
    b: Path
    metric: str
    left: "Measured"
    right: "Measured"
    test: "Test"
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.metric}, {self.a} and {self.b}"

    def run(self) -> "_Outcome":
        from orchestrator.report.statistics import compare

        found = compare(self.left.values, self.right.values, test=self.test)
        return _Outcome(request=self, found=found, notes=self.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a test showed; `p_adjusted` is None where it is alone or not of the family."""

    request: _Request
    found: "Comparison | NotComparable"
    notes: tuple[str, ...]
    p_adjusted: float | None = None

    @property
    def in_family(self) -> bool:
        from orchestrator.report.statistics import Comparison

        return isinstance(self.found, Comparison) and not self.found.constant

    def as_json(self) -> dict[str, Any]:
        from orchestrator.report.statistics import Comparison

        head = {"metric": self.request.metric, "a": str(self.request.a), "b": str(self.request.b)}
        if not isinstance(self.found, Comparison):
            return head | {"n": 0, "dropped": self.found.dropped, "note": self.found.reason}
        shown = {name: getattr(self.found, name) for name in _SHOWN}
        left_out = "constant, left out of the family" if self.found.constant else self.found.note
        return head | shown | {"form": self.found.form, "p_adjusted": self.p_adjusted, "note": left_out}


def _requests(
    files: Sequence[Path], metrics: Sequence[str], *, by: str | None, test: str, adjust: str
) -> tuple[list[_Request], list[str]]:
    """The tests to make, or every fault of the request."""
    from orchestrator.files.measured import ResultTable

    faults = [] if test in _TESTS else [f"--test {test!r}: is unknown; the tests are {', '.join(_TESTS)}"]
    faults += [] if adjust in _CORRECTIONS else [f"--adjust {adjust!r}: is unknown; give {', '.join(_CORRECTIONS)}"]
    faults += [] if files[1:] else [f"compare needs two tables or more, got {len(files)}"]
    tables = [ResultTable(path) for path in files]
    faults += [fault for table in tables for fault in table.faults]
    if faults:
        return [], faults
    measured = {(t.path, metric): t.measured(metric, by=by) for t in tables for metric in metrics}
    faults += dict.fromkeys(fault for column in measured.values() for fault in column.faults)
    requests = []
    for metric in metrics if not faults else []:
        chosen, unsaid = _choose_test(metric, tables, measured, test=test)
        faults += unsaid
        if chosen is not None:
            columns = {t.path: _scaled(measured[t.path, metric], chosen) for t in tables}
            requests += [_request(a.path, b.path, metric, columns, chosen) for a, b in combinations(tables, 2)]
    return requests, faults


def _choose_test(
    metric: str, tables: "Sequence[ResultTable]", measured: "Mapping[tuple[Path, str], Measured]", *, test: str
) -> "tuple[Test | None, list[str]]":
    """The test for a metric over all tables, by its kind unless it is given; or why there is none."""
    from evaluators.similarity import Kind

    columns = [(table.path, measured[table.path, metric]) for table in tables]
    averaged = any(column.averaged for _, column in columns)
    if test == "auto":
        kinds = {column.kind for _, column in columns} - {None}
        if not kinds:
            return None, [
                f"--metric {metric}: nothing says what it is (no metric of ours, no column of true and false); "
                "give --test mcnemar if it is right or wrong, --test wilcoxon if it is a score or a count"
            ]
        # A mean over samples is a share of each problem, and so a score of it.
        test = "mcnemar" if Kind.SHARE in kinds and not averaged else "wilcoxon"
    if test != "mcnemar":
        return ("wilcoxon-normal" if test == "wilcoxon-normal" else "wilcoxon"), []
    wrong = [
        f"{path}: {metric} is to be right or wrong, 1 or 0 (or 100 or 0), but has {_odd(column)}; "
        "give --test wilcoxon for scores"
        for path, column in columns
        if column.as_shares() is None
    ]
    return (None if wrong else "mcnemar"), wrong


def _odd(column: "Measured") -> str:
    return f"{next(value for value in sorted(column.present) if value not in (0.0, 1.0, 100.0) or value == 1.0):g}"


def _scaled(column: "Measured", test: "Test") -> "Measured":
    return (column.as_shares() or column) if test == "mcnemar" else column


def _request(a: Path, b: Path, metric: str, columns: "Mapping[Path, Measured]", test: "Test") -> _Request:
    from orchestrator.files.measured import unpaired_spellings

    left, right = columns[a], columns[b]
    notes = []
    if left.averaged or right.averaged:
        notes.append("several samples of a problem are one value, their mean")
    spelt = unpaired_spellings(left.values, right.values)
    if spelt is not None:
        mine, other, count = spelt
        notes.append(f"{count} ids differ only in how they are written, as {mine!r} and {other!r}; they are not paired")
    if left.id_type != right.id_type and {a.suffix, b.suffix}.isdisjoint({".csv", ".tsv"}):
        notes.append(
            f"ids are {left.id_type}s in {a} and {right.id_type}s in {b}; they are paired by what they read as"
        )
    highest = sorted(max(column.present, default=0.0) for column in (left, right))
    if test != "mcnemar" and _is_percent(metric) and 0 < highest[0] <= 1 < highest[1]:
        notes.append(f"one table has no value above {highest[0]:g}, the other up to {highest[1]:g}: one scale or two?")
    return _Request(a=a, b=b, metric=metric, left=left, right=right, test=test, notes=tuple(notes))


def _is_percent(metric: str) -> bool:
    from evaluators.similarity import METRICS

    return metric in METRICS and METRICS[metric].scale[1] == 100


def _corrected(outcomes: Sequence[_Outcome], *, adjust: str) -> list[_Outcome]:
    """The outcomes with p-values corrected for the family of those that could have shown a difference."""
    from dataclasses import replace

    from orchestrator.report.statistics import Comparison, benjamini_hochberg, holm

    if adjust == "none" or len(outcomes) == 1:
        return list(outcomes)
    family = [o.found.p_value for o in outcomes if o.in_family and isinstance(o.found, Comparison)]
    adjusted = iter((holm if adjust == "holm" else benjamini_hochberg)(family))
    return [replace(o, p_adjusted=next(adjusted)) if o.in_family else o for o in outcomes]


def _write_one(outcome: _Outcome, *, json_: bool) -> None:
    from orchestrator.errors import InputError
    from orchestrator.report.statistics import NotComparable

    request, found = outcome.request, outcome.found
    if isinstance(found, NotComparable):
        notes = "".join(f"; {note}" for note in outcome.notes)
        raise InputError(f"{request.a} and {request.b} cannot be compared: {found.reason} ({found.dropped} ids){notes}")
    if json_:
        sys.stdout.write(json.dumps({name: getattr(found, name) for name in _SHOWN}, indent=1) + "\n")
        sys.stderr.write(f"{request.metric}: {_test_in_words(found)}\n")
    else:
        sys.stdout.write(_in_words(found, request.metric, request.a, request.b))


def _write_many(outcomes: Sequence[_Outcome], *, adjust: str, json_: bool) -> None:
    family = sum(outcome.in_family for outcome in outcomes)
    if json_:
        rows = [outcome.as_json() for outcome in outcomes]
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


def _row(outcome: _Outcome) -> tuple[str, ...]:
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
    def interval(value: Sequence[float] | None) -> str:
        return f" (95 % interval {value[0]:.4g} to {value[1]:.4g})" if value else ""

    higher = {True: "A is higher", False: "B is higher"}.get(found.difference > 0) if found.difference else "A equals B"
    magnitude = f", {found.magnitude}" if found.magnitude else ""
    lines = [
        f"A = {a}, B = {b}, {metric}",
        f"{found.n} pairs, {found.dropped} ids dropped for want of a value on both sides",
        f"mean difference A - B: {found.difference:.4g}{interval(found.difference_ci)}: {higher}",
        f"{_test_in_words(found)}: statistic {found.statistic:.4g}, p = {found.p_value:.4g}",
        f"{found.effect}: {found.effect_size:.4g}{interval(found.ci)}{magnitude}",
        *([found.note] if found.note else []),
    ]
    return "\n".join(lines) + "\n"


__all__ = ["EPILOG", "compare"]
