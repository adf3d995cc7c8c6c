"""A study's figures as plain rows: what CSV, Parquet and JSON files hold.

One decision: a sheet's columns are fixed and each says what it means. A column of numbers holds numbers or nothing;
why there is nothing stands in a column of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

Kind = Literal["text", "number", "count", "flag"]
Value = str | float | int | bool | None
Row = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column: a `number` is a float, a `count` a whole number, a `flag` true or false."""

    name: str
    kind: Kind
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Rows under fixed columns, which `list_rows` makes when they are asked for.

    A row may leave out what it has not; an empty text is nothing.
    """

    name: str
    title: str
    fields: tuple[Field, ...]
    list_rows: Callable[[], Iterable[Row]]

    def read(self) -> Iterator[tuple[Value, ...]]:
        """The rows as values in the columns' order.

        Raises:
            ValueError: if a row has a value that no column is named for.
        """
        names = [field.name for field in self.fields]
        known = set(names)
        for row in self.list_rows():
            if not row.keys() <= known:
                raise ValueError(f"sheet {self.name} has no column {sorted(row.keys() - known)}")
            yield tuple(None if (value := row.get(name)) == "" else value for name in names)


def once(list_rows: Callable[[], Iterable[Row]]) -> Callable[[], tuple[Row, ...]]:
    """Rows that are made the first time they are asked for and then kept; for sheets that take long to make."""
    return cache(lambda: tuple(list_rows()))


def texts(**meanings: str) -> tuple[Field, ...]:
    """Columns of text, by name and meaning."""
    return _fields("text", meanings)


def numbers(**meanings: str) -> tuple[Field, ...]:
    """Columns of numbers."""
    return _fields("number", meanings)


def counts(**meanings: str) -> tuple[Field, ...]:
    """Columns of whole numbers."""
    return _fields("count", meanings)


def flags(**meanings: str) -> tuple[Field, ...]:
    """Columns of true and false."""
    return _fields("flag", meanings)


def _fields(kind: Kind, meanings: Mapping[str, str]) -> tuple[Field, ...]:
    return tuple(Field(name=name, kind=kind, meaning=meaning) for name, meaning in meanings.items())


TRIAL = (
    *texts(
        trial="the trial's name, as `plan`, `status` and MLflow write it",
        model="its model",
        method="its method",
        grouping="`together` or `apart`",
    ),
    *counts(seed="its seed"),
)
PLACE = texts(track="the track", dataset="the test set")


def describe(sheets: Sequence[Sheet]) -> str:
    """What every column means, as Markdown."""
    lines: list[str] = []
    for sheet in sheets:
        lines += [f"### `{sheet.name}`: {sheet.title}", "", "| column | kind | meaning |", "|---|---|---|"]
        lines += [f"| `{field.name}` | {field.kind} | {field.meaning} |" for field in sheet.fields]
        lines.append("")
    return "\n".join(lines)


__all__ = [
    "PLACE",
    "TRIAL",
    "Field",
    "Kind",
    "Row",
    "Sheet",
    "Value",
    "counts",
    "describe",
    "flags",
    "numbers",
    "texts",
]
