"""One column of results by id, ready to be compared: what kind of figure it is, and what is wrong with it.

One decision: the kind comes from what a figure is (the table of metrics, the name of a count, a column of
true and false), never from the values that happen to be there: a score that is 0 and 1 in a small sample is
still a score.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from evaluators.similarity import METRICS, Kind
from orchestrator.files.columns import ID_NAMES, Columns, Twice, id_column, is_verdicts, plain_name, read_columns
from orchestrator.files.plainfiles import shorten

PASSED = "passed"
_TRUTHS = {"true": 1.0, "false": 0.0}
_KINDS: Mapping[str, Kind] = {PASSED: Kind.SHARE, "parses": Kind.SHARE, "empty": Kind.SHARE}
"""Figures of ours that are no similarity metric, by name."""
_COUNTERS = ("pylint.", "radon.", "complexipy.", "bandit.", "lizard.", "pmd.", "mcs.")
"""How the counts of quality tools begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A column's values by id; what is absent is not a number.

    `kind` is None where nothing says it. `averaged` says that a problem has several samples, whose mean stands for
    it. `id_type` is `number` or `text`, as the file had it.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    kind: Kind | None = None
    averaged: bool = False
    id_type: str = "text"
    faults: tuple[str, ...] = ()

    @property
    def present(self) -> set[float]:
        """The values that there are."""
        return {value for value in self.values.values() if math.isfinite(value)}

    def as_shares(self) -> "Measured | None":
        """Right and wrong as 1 and 0, also where they are written 100 and 0; None where other values are there."""
        if self.present <= {0.0, 1.0}:
            return self
        if not self.present <= {0.0, 100.0}:
            return None
        values = {key: value / 100 for key, value in self.values.items()}
        return Measured(values=values, kind=self.kind, averaged=self.averaged, id_type=self.id_type)


class ResultTable:
    """A file of results, read once; `faults` say why it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns, self.faults = read_columns(path)
        if is_verdicts(self._columns) and PASSED not in self._columns:
            self._columns = _with_passed(self._columns)

    def measured(self, metric: str, *, by: str | None) -> Measured:
        """The metric's values by the ids of a column, by default a usual one, with what is wrong with either."""
        key = by if by is not None else id_column(self._columns)
        if key is None:
            names = ", ".join(ID_NAMES[:4])
            holds = ", ".join(self._columns)
            told = f"{self.path}: has none of the usual id columns ({names}, ...); name one with --id, of {holds}"
            return Measured(faults=(told, *([] if metric in self._columns else [self._no_column(metric)])))
        absent = [self._no_column(name) for name in dict.fromkeys((key, metric)) if name not in self._columns]
        twice = [name for name in dict.fromkeys((key, metric)) if isinstance(self._columns.get(name), Twice)]
        absent += [f"{self.path}: has the column {name!r} twice; name each column once" for name in twice]
        if absent:
            return Measured(faults=tuple(absent))
        return self._read(metric, key=key)

    def _read(self, metric: str, *, key: str) -> Measured:
        cells, ids = self._columns[metric], [id_text(cell) for cell in self._columns[key]]
        rows = list(zip(ids, map(number_of, cells), cells, strict=True))
        faults = shorten([
            f"{self.path}: row {number}: {metric} must be a number, got {cell!r}"
            for number, (_, value, cell) in enumerate(rows, 1) if value is None
        ])  # fmt: skip
        faults += shorten([
            f"{self.path}: row {number}: has no {key}" for number, (id_, _, _) in enumerate(rows, 1) if not id_
        ])  # fmt: skip
        sampled = self._is_sampled(ids)
        if not sampled:
            faults += shorten([
                f"{self.path}: row {number}: {key} {id_!r} is there twice; an id must name one row"
                for number, (id_, _, _) in _repeated(rows)
            ])  # fmt: skip
        by_id: dict[str, list[float]] = {}
        for id_, value, _ in rows:
            by_id.setdefault(id_, []).append(math.nan if value is None else value)
        return Measured(
            values={id_: _mean(values) for id_, values in by_id.items()},
            kind=kind_of(metric, cells),
            averaged=sampled,
            id_type="number" if all(isinstance(cell, int | float) for cell in self._columns[key]) else "text",
            faults=faults,
        )

    def _is_sampled(self, ids: Sequence[str]) -> bool:
        """Whether ids repeat because a problem has several samples, which have numbers of their own."""
        samples = self._columns.get("sample")
        if samples is None or isinstance(samples, Twice) or len(set(ids)) == len(ids):
            return False
        return len({(id_, str(sample)) for id_, sample in zip(ids, samples, strict=True)}) == len(ids)

    def _no_column(self, name: str) -> str:
        near = get_close_matches(name, self._columns, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{self.path}: has no column {name!r}; {hint}its columns are {', '.join(self._columns)}"


def kind_of(metric: str, cells: Sequence[object] = ()) -> Kind | None:
    """What a column's name, or its being of true and false, says of its values."""
    plain = plain_name(metric)
    known = METRICS.get(plain)
    if known is not None or plain in _KINDS:
        return known.kind if known is not None else _KINDS[plain]
    if plain.startswith(_COUNTERS):
        return Kind.COUNT
    written = [cell for cell in cells if cell is not None and str(cell).strip()]
    truths = written and all(str(cell).strip().lower() in _TRUTHS for cell in written)
    return Kind.SHARE if truths else None


def unpaired_spellings(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[str, str, int] | None:
    """An id of either side that only differ in how they are written (`7` and `7.0`, `X/1` and `x/1`), and how many."""
    ours = {_spelling(id_): id_ for id_ in a.keys() - b.keys()}
    theirs = {_spelling(id_): id_ for id_ in b.keys() - a.keys()}
    both = sorted(ours.keys() & theirs.keys())
    return (ours[both[0]], theirs[both[0]], len(both)) if both else None


def _spelling(id_: str) -> str:
    text = id_.strip().lower()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if math.isfinite(number) and number.is_integer() else text


def _with_passed(columns: Columns) -> Columns:
    """Verdicts with a column that says whether each passed, empty where it was not judged."""
    passed: list[object] = [None if verdict == "unjudged" else verdict == "passed" for verdict in columns["verdict"]]
    return columns | {PASSED: passed}


def id_text(cell: object) -> str:
    """A cell as an id."""
    # A column of whole numbers with a gap is one of floats in pandas.
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)


def _repeated(rows: Sequence[tuple[str, float | None, object]]) -> list[tuple[int, tuple[str, float | None, object]]]:
    seen: Counter[str] = Counter()
    found = []
    for number, row in enumerate(rows, 1):
        if row[0] and row[1] is not None:
            seen[row[0]] += 1
            if seen[row[0]] > 1:
                found.append((number, row))
    return found


def _mean(values: Sequence[float]) -> float:
    """The mean of the values that there are."""
    present = [value for value in values if math.isfinite(value)]
    return math.fsum(present) / len(present) if present else math.nan


def number_of(cell: object) -> float | None:
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


__all__ = ["Measured", "ResultTable", "id_text", "kind_of", "number_of", "unpaired_spellings"]
