"""`polytune compare`: whether a column differs between two tables, paired by id.

One decision: nothing is paired by row number. Two tables of the same length may hold other problems or
another order, so an id is always asked for, and what only one side has is counted and said.
"""

import csv
import json
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from orchestrator.report.statistics import Comparison

EPILOG = "Example: polytune compare A.parquet B.parquet --metric codebleu"
_IDS = ("id", "task_id", "problem_id")
_SHOWN = ("n", "dropped", "test", "statistic", "p_value", "effect", "effect_size", "ci")
_TRUTHS = {"true": 1.0, "false": 0.0}


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A table, CSV or Parquet, with an id and the metric a row.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The table to compare it with.")],
    metric: Annotated[str, typer.Option("--metric", metavar="COLUMN", help="The column to compare.")],
    id_: Annotated[
        str | None,
        typer.Option("--id", metavar="COLUMN", help="The column to pair by. Default: id, task_id or problem_id."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")] = False,
) -> None:
    """Test whether A and B differ: McNemar for columns of 0 and 1 (or 0 and 100), else Wilcoxon, paired by id."""
    from orchestrator.errors import InputError
    from orchestrator.report import statistics

    left, right = _Table(a), _Table(b)
    faults = [*left.faults, *right.faults]
    if not faults:
        paired_by = id_ or next((name for name in _IDS if left.has(name) and right.has(name)), _IDS[0])
        columns = [table.column(metric, by=paired_by) for table in (left, right)]
        faults = [fault for _, found in columns for fault in found]
    if faults:
        raise InputError("\n".join([f"{len(faults)} faults", *(f"  {f}" for f in faults)]) if faults[1:] else faults[0])
    found = statistics.compare(*_as_shares(columns[0][0], columns[1][0]))
    if isinstance(found, statistics.NotComparable):
        raise InputError(f"{a} and {b} cannot be compared: {found.reason} ({found.dropped} ids)")
    if json_:
        sys.stdout.write(json.dumps({name: getattr(found, name) for name in _SHOWN}, indent=1) + "\n")
    else:
        sys.stdout.write(_in_words(found, metric, a, b))


class _Table:
    """A table's rows as text or numbers, and what is wrong with its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[str] = []
        self._columns: dict[str, list[object]] = {}
        try:
            self._columns = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
        except FileNotFoundError:
            self.faults.append(f"{path}: no such file")
        except UnicodeDecodeError as error:
            self.faults.append(f"{path}: byte {error.start + 1} is not UTF-8; save it as UTF-8")
        except (OSError, ValueError, csv.Error) as error:
            self.faults.append(f"{path}: cannot be read: {str(error).splitlines()[0]}")
        if not self.faults and not any(self._columns.values()):
            self.faults.append(f"{path}: holds no rows below a line of column names")

    def has(self, name: str) -> bool:
        return name in self._columns

    def column(self, metric: str, *, by: str) -> tuple[dict[str, float], list[str]]:
        """The metric by id, and what is wrong with either column. Values that are absent are not a number."""
        from orchestrator.files.items import shorten

        absent = [self._no_column(name) for name in dict.fromkeys((by, metric)) if not self.has(name)]
        if absent:
            return {}, absent
        values: dict[str, float] = {}
        unread, twice = [], []
        for number, (id_, cell) in enumerate(zip(self._columns[by], self._columns[metric], strict=True), 1):
            value = _number(cell)
            if value is None:
                unread.append(f"{self.path}: row {number}: {metric} must be a number, got {cell!r}")
            elif str(id_) in values:
                twice.append(f"{self.path}: row {number}: {by} {id_!r} is there twice; an id must name one row")
            else:
                values[str(id_)] = value
        return values, [*shorten(unread), *shorten(twice)]

    def _no_column(self, name: str) -> str:
        near = get_close_matches(name, self._columns, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{self.path}: has no column {name!r}; {hint}its columns are {', '.join(self._columns)}"


def _read_csv(path: Path) -> dict[str, list[object]]:
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    rows = [row for row in rows if row]
    if not rows:
        return {}
    head = rows[0]
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(head):
            raise ValueError(f"row {number} has {len(row)} cells and the line of column names {len(head)}")
    return {name: [row[index] for row in rows[1:]] for index, name in enumerate(head)}


def _read_parquet(path: Path) -> dict[str, list[object]]:
    from pyarrow import parquet

    return {str(name): values for name, values in parquet.read_table(path).to_pydict().items()}


def _number(cell: object) -> float | None:
    """A cell's value; not a number where it is empty, None where it is something else."""
    if cell is None or cell == "":
        return float("nan")
    if isinstance(cell, bool | int | float):
        return float(cell)
    text = str(cell).strip().lower()
    try:
        return _TRUTHS[text] if text in _TRUTHS else float(text)
    except ValueError:
        return None


def _as_shares(a: dict[str, float], b: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Columns of 0 and 100, as exact matches are written, as 0 and 1."""
    present = {value for column in (a, b) for value in column.values() if value == value}
    if 100.0 not in present or not present <= {0.0, 100.0}:
        return a, b
    return {key: value / 100 for key, value in a.items()}, {key: value / 100 for key, value in b.items()}


def _in_words(found: "Comparison", metric: str, a: Path, b: Path) -> str:
    def interval(value: Sequence[float] | None) -> str:
        return f" (95 % interval {value[0]:.4g} to {value[1]:.4g})" if value else ""

    higher = {True: "A is higher", False: "B is higher"}.get(found.difference > 0) if found.difference else "A equals B"
    magnitude = f", {found.magnitude}" if found.magnitude else ""
    lines = [
        f"A = {a}, B = {b}, {metric}",
        f"{found.n} pairs, {found.dropped} ids dropped for want of a value on both sides",
        f"mean difference A - B: {found.difference:.4g}{interval(found.difference_ci)}: {higher}",
        f"{found.test}: statistic {found.statistic:.4g}, p = {found.p_value:.4g}",
        f"{found.effect}: {found.effect_size:.4g}{interval(found.ci)}{magnitude}",
        *([found.note] if found.note else []),
    ]
    return "\n".join(lines) + "\n"


__all__ = ["EPILOG", "compare"]
