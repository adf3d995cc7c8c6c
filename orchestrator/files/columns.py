"""Anybody's tables by column: CSV, TSV, Parquet, JSON lines and the verdict files of `execute`, gzipped or not.

One decision: a column that is named twice, in a header or as a key of a row, is never chosen between: whoever
asks for it is told. Names are taken without blanks around them.
"""

import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from orchestrator.files.plainfiles import decode_lines, read_bytes, read_rows, says_json, suffix_of

Columns = dict[str, list[object]]

ID_NAMES = (
    "id", "task_id", "problem_id", "instance_id", "question_id", "taskid", "_id", "ques_id", "example_id", "idx",
)  # fmt: skip
"""Usual names of what rows are paired by, as `plain_name` writes them, the first that a table has."""
_TABLES = (".csv", ".tsv", ".parquet")
_VERDICTS = frozenset({"task_id", "verdict"})


def plain_name(name: str) -> str:
    """A name in small letters with underscores: `Task ID` and `task-id` are `task_id`."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def is_table(path: Path) -> bool:
    """Whether a file's name says that it is a table."""
    return suffix_of(path) in _TABLES


def id_column(columns: Mapping[str, object]) -> str | None:
    """The column to pair by: the first usual name that a table has."""
    by_plain = {plain_name(name): name for name in reversed(list(columns))}
    return next((by_plain[name] for name in ID_NAMES if name in by_plain), None)


def is_verdicts(columns: Mapping[str, object]) -> bool:
    """Whether a table is what `polytune execute` writes."""
    return columns.keys() >= _VERDICTS


def read_columns(path: Path) -> tuple[Columns, tuple[str, ...]]:
    """The columns of a file, or what is wrong with it. Columns of one name are one, of `Twice` values."""
    raw, fault = read_bytes(path)
    if fault:
        return {}, (fault.partition(";")[0],)
    try:
        if suffix_of(path) == ".parquet":
            return _checked(_read_parquet(raw), path)
        lines, broken = decode_lines(raw, path)
        if broken:
            return {}, broken
        if says_json(path) or (not is_table(path) and raw.lstrip()[:1] in (b"{", b"[")):
            rows = read_rows(lines, path)
            return ({}, rows.faults) if rows.faults else _checked(_of_rows([row for _, row in rows.rows]), path)
        return _checked(_read_csv(lines, delimiter="\t" if suffix_of(path) == ".tsv" else ","), path)
    except (OSError, ValueError, csv.Error) as error:
        return {}, (f"{path}: cannot be read: {str(error).splitlines()[0]}",)


class Twice(list[object]):
    """The values of columns that share a name; asking for them is a fault."""


def _checked(columns: Columns, path: Path) -> tuple[Columns, tuple[str, ...]]:
    if not any(columns.values()):
        return {}, (f"{path}: holds no rows below a line of column names",)
    return columns, ()


def _read_csv(lines: Sequence[str], *, delimiter: str) -> Columns:
    csv.field_size_limit(sys.maxsize)
    read = csv.reader(io.StringIO("\n".join(lines) + "\n", newline=""), delimiter=delimiter)
    # A blank line is no row: rows are numbered as a spreadsheet without them would have it.
    rows = [row for row in read if row]
    if not rows:
        return {}
    head, *rows = rows
    if len(head) == 1 and ";" in head[0]:
        raise ValueError(f"the columns are parted by semicolons, {head[0]!r}; save it with commas")
    for number, row in enumerate(rows, 1):
        if len(row) != len(head):
            raise ValueError(f"row {number} has {len(row)} cells and the line of column names {len(head)}")
    return _named(head, [[row[index] for row in rows] for index in range(len(head))])


def _read_parquet(raw: bytes) -> Columns:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(io.BytesIO(raw)).read()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    return _named(list(map(str, table.column_names)), [column.to_pylist() for column in table.columns])


def _named(names: Sequence[str], values: Iterable[Iterable[object]]) -> Columns:
    columns: Columns = {}
    for name, column in zip(names, values, strict=True):
        plain = name.strip()
        columns[plain] = Twice(column) if plain in columns else list(column)
    return columns


def _of_rows(rows: Sequence[Mapping[str, object]]) -> Columns:
    """Rows side by side; what a row has not is absent there."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name.strip(): [row.get(name) for row in rows] for name in names}


__all__ = [
    "ID_NAMES", "Columns", "Twice", "id_column", "is_table", "is_verdicts", "plain_name",
    "read_columns",
]  # fmt: skip
