"""Anybody's rows, from a file, a folder or the hub, as examples and problems: the reader of the short form.

One decision: what a row means is told by its columns and by the study's track, never guessed from its
text; and a row that lacks something is a fault with its file and line, never left out.
"""

import ast
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tasks.readers import hubload
from tasks.readers.chats import is_chat, two_sides
from tasks.readers.columns import ALPACA, columns_said, recognise
from tasks.readers.files import Fault, content_digest, refuse_faults
from tasks.readers.folders import parts_of
from tasks.readers.owntests import tests_of
from tasks.readers.reader import FirstRows, Reader
from tasks.readers.source import Columns, DataError, Source
from tasks.readers.tables import Row, read_table
from tasks.records import Example, Language, Problem, Track

_Made = TypeVar("_Made", Example, Problem)
_FIRST = 50
# How many columns that nothing reads are named in a line.
_NAMED = 5
_SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The rows of one file, with its name in ids and errors, and the number of rows before it."""

    place: str
    rows: Sequence[Row]
    before: int

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for row in self.rows for name in row.values))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What turns the rows of one table into records of the data set `name`; `alpaca` is its second input column."""

    name: str
    track: Track
    columns: Columns
    alpaca: str

    def of_track(self, row: Row) -> bool:
        """Whether a row is of the track that is read; all are where no column says."""
        if self.columns.track is None:
            return True
        value = cell(row.values, self.columns.track)
        return str(Track.parse(str(value))) == str(self.track)

    def id_of(self, row: Row, number: int) -> str:
        """A row's id under its data's name."""
        if self.columns.id is None:
            return f"{self.name}/{number}"
        value = cell(row.values, self.columns.id)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # pandas makes floats of a column of numbers with a gap
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise ValueError(f"id (column {self.columns.id!r}) is {_kind(value)}, not text or a whole number")
        return f"{self.name}/{value}"

    def input_of(self, row: Row) -> str:
        """What the model reads."""
        assert self.columns.input is not None
        value = cell(row.values, self.columns.input)
        if is_chat(value):
            return two_sides(value)[0]
        text = self._text(row, "input")
        about = cell(row.values, self.alpaca) if self.alpaca else None
        return f"{text}\n\n{about}" if isinstance(about, str) and about.strip() else text

    def output_of(self, row: Row) -> str:
        """What it should write."""
        assert self.columns.output is not None
        value = cell(row.values, self.columns.output)
        return two_sides(value)[1] if is_chat(value) else self._text(row, "output")

    def example(self, row: Row, id_: str) -> Example:
        """A row as a training pair."""
        return Example(id=id_, track=str(self.track), input=self.input_of(row), output=self.output_of(row))

    def problem(self, row: Row, id_: str) -> Problem:
        """A row as a test problem; with tests it needs no reference."""
        entry_point, setup = self._optional(row, "entry_point"), self._optional(row, "setup")
        text, tests = self.input_of(row), None
        if self.columns.tests is not None:
            held = cell(row.values, self.columns.tests)
            if self.track.target is None:
                raise ValueError(f"tests (column {self.columns.tests!r}) judge code, and {self.track} writes none")
            if _absent(held):
                raise ValueError(f"tests (column {self.columns.tests!r}) is empty")
            tests = tests_of(held, entry_point=entry_point or None, setup=setup, language=self.track.target)
        reference = self._optional(row, "output") if tests else self.output_of(row)
        preamble = self._optional(row, "preamble") or _stub(text, entry_point, self.track.target)
        if _goes_on(reference, entry_point, self.track.target) and preamble:
            reference = preamble + reference
        return Problem(
            id=id_,
            track=str(self.track),
            dataset=self.name,
            input=text,
            reference=reference,
            preamble=preamble,
            tests=tests,
        )

    def _text(self, row: Row, role: str) -> str:
        column = getattr(self.columns, role)
        value = cell(row.values, column)
        if _absent(value):
            raise ValueError(f"{role} (column {column!r}) is empty")
        if not isinstance(value, str):
            raise ValueError(f"{role} (column {column!r}) is {_kind(value)}, not text")
        return _clean(value, column)

    def _optional(self, row: Row, role: str) -> str:
        column = getattr(self.columns, role)
        value = cell(row.values, column) if column else None
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return "\n".join(value)  # MBPP+'s imports
        if value is not None and is_chat(value):
            return two_sides(value)[1]
        return "" if column is None or _absent(value) else self._text(row, role)


def cell(values: Mapping[str, Any], column: str) -> Any:
    """A row's value in a column; dots lead into objects where no column has the whole name. None if absent."""
    if column in values:
        return values[column]
    head, dot, rest = column.partition(".")
    inner = values.get(head)
    return cell(inner, rest) if dot and isinstance(inner, Mapping) else None


def dataset_of(source: Source) -> str:
    """What data is called in ids and tables: the last part of its path that says more than a split."""
    if source.repository is not None:
        return f"{source.repository}/{source.configuration}" if source.configuration else source.repository
    names = [part.partition(".")[0] or part for part in Path(source.path or "").parts if part not in ("/", "..")]
    return next((name for name in reversed(names) if name.lower() not in _SPLIT_NAMES), names[-1] if names else "own")


def _first(source: Source, *, track: Track, root: Path, training: bool) -> FirstRows:
    """Read no more than the first rows of each file of a source, as a whole reading would.

    Raises:
        DataError: if they, or the columns, are what a whole reading would refuse.
    """
    made = 0
    said: list[str] = []
    for table in _tables(source, root=root, first=_FIRST):
        reading = _reading(table, source=source, track=track, problems=not training)
        said.append(columns_said(reading.columns) + _left_unread(table, reading, problems=not training))
        records = _records(table, reading, reading.example) if training else _records(table, reading, reading.problem)
        made += len(records)
    return FirstRows(count=made, columns="; ".join(dict.fromkeys(said)))


def _left_unread(table: _Table, reading: _Reading, *, problems: bool) -> str:
    """What a person who named a column otherwise than we know would look for: tests, and columns that nothing reads."""
    chosen = set(reading.columns.model_dump(exclude_none=True).values())
    read = {*chosen, *(column.partition(".")[0] for column in chosen - set(table.columns)), reading.alpaca}
    unread = [column for column in table.columns if column not in read]
    writes_code = reading.track.target is not None
    without = problems and writes_code and reading.columns.tests is None
    more = f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else ""
    return ("; no tests, so answers are not run, only compared with the reference" if without else "") + (
        "; leaves unread " + ", ".join(unread[:_NAMED]) + more if unread else ""
    )


def _examples(source: Source, *, track: Track, root: Path) -> tuple[Example, ...]:
    return tuple(
        example
        for table in _tables(source, root=root)
        for reading in [_reading(table, source=source, track=track, problems=False)]
        for example in _records(table, reading, reading.example)
    )


def _problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    return tuple(
        problem
        for table in _tables(source, root=root)
        for reading in [_reading(table, source=source, track=track, problems=True)]
        for problem in _records(table, reading, reading.problem)
    )


def _tables(source: Source, *, root: Path, first: int | None = None) -> Iterator[_Table]:
    before = 0
    for place, rows in _files(source, root=root, first=first):
        if not rows:
            raise DataError(place, "holds no row", "remove the empty file, or write its rows again")
        yield _Table(place=place, rows=rows, before=before)
        before += len(rows)


def _files(source: Source, *, root: Path, first: int | None) -> Iterator[tuple[str, Sequence[Row]]]:
    if source.repository is not None:
        data = hubload.load(source)
        chosen = range(len(data) if first is None else min(first, len(data)))
        yield source.name, [Row(values=row, place=f"row {n}") for n, row in enumerate(data.select(chosen), start=1)]
        return
    for part in parts_of(source, root=root):
        yield str(part.path), read_table(part.path, first=first)


def _reading(table: _Table, *, source: Source, track: Track, problems: bool) -> _Reading:
    present = table.columns
    columns = recognise(present, given=source.columns, track=track, problems=problems, name=table.place)
    request, about = ALPACA
    both = (source.columns is None or source.columns.input is None) and columns.input is not None
    second = next((name for name in present if name.strip().lower() == about), "")
    alpaca = second if both and columns.input and columns.input.strip().lower() == request else ""
    return _Reading(name=dataset_of(source), track=track, columns=columns, alpaca=alpaca)


def _records(table: _Table, reading: _Reading, make: Callable[[Row, str], _Made]) -> tuple[_Made, ...]:
    """A table's records, or one error that names each row at fault."""
    made: dict[str, tuple[_Made, str]] = {}
    faults = []
    for number, row in enumerate(table.rows, start=table.before):
        try:
            if not reading.of_track(row):
                continue
            id_ = reading.id_of(row, number)
            if id_ in made:
                raise ValueError(f"id {id_!r} is already that of {made[id_][1]}")
            made[id_] = (make(row, id_), row.place)
        except ValueError as error:
            faults.append(Fault(place=row.place, said=str(error)))
    remedy = f"mend the rows, or name other columns; what was read: {columns_said(reading.columns)}"
    refuse_faults(table.place, faults=faults, remedy=remedy)
    return tuple(record for record, _ in made.values())


def _absent(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value)) or value in ([], {})


def _kind(value: Any) -> str:
    return "absent" if _absent(value) else f"of type {type(value).__name__}"


def _clean(text: str, column: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"column {column!r} holds half of a character (a lone surrogate)") from None
    return text.replace("\r\n", "\n")


# Languages whose bodies are told by their indentation; in all others braces tell.
_INDENTED = frozenset({Language.PYTHON})


def _stub(text: str, entry_point: str, target: Language | None) -> str:
    """A prompt that is itself the head of a Python function, for the answer to go on from; else nothing."""
    if target not in _INDENTED or not entry_point:
        return ""
    try:
        tree = ast.parse(f"{text.rstrip()}\n    pass\n")
    except (SyntaxError, ValueError, RecursionError):
        return ""
    last = tree.body[-1] if tree.body else None
    return text if isinstance(last, ast.FunctionDef) and last.name == entry_point else ""


def _goes_on(reference: str, entry_point: str, target: Language | None) -> bool:
    """Whether a reference is the rest of a program rather than a whole one."""
    if not reference.strip() or target is None:
        return False
    if target not in _INDENTED:
        return reference.count("}") > reference.count("{")
    try:
        tree = ast.parse(reference)
    except (SyntaxError, ValueError, RecursionError):
        return True  # an indented body
    return not any(isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Assign) for n in tree.body)


def _content(source: Source, root: Path) -> str | None:
    if source.repository is not None:
        return hubload.pinned(source)
    # Ids begin with the data's name, so a file under another name is other data; its folder is not asked.
    parts: Iterable[tuple[str, Path]] = ((part.name, part.path) for part in parts_of(source, root=root))
    return f"{dataset_of(source)} {content_digest(parts)}"


READER = Reader(version=1, examples=_examples, problems=_problems, content=_content, first=_first)

__all__ = ["READER", "cell", "dataset_of"]
