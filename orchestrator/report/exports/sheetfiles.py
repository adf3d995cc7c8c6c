"""Sheets as CSV and Parquet files.

One decision: both are written row by row from the same sheet, so that they agree, and a sheet of any length fits
in memory. In CSV true and false are 1 and 0, as spreadsheets and R read them, and nothing is nothing.
"""

import csv
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.report.exports.sheets import Kind, Sheet, Value

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 20_000
"""Rows of a group in a Parquet file, which are held at once."""


def write_csv(sheet: Sheet, folder: Path) -> Path:
    """Write a sheet as `NAME.csv`, a row a line; returns its path."""
    path = folder / f"{sheet.name}.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(field.name for field in sheet.fields)
        writer.writerows([_plain(value) for value in row] for row in sheet.read())
    return path


def _plain(value: Value) -> Value:
    if isinstance(value, bool):
        return int(value)
    return "" if value is None else value


def write_parquet(sheet: Sheet, folder: Path) -> Path:
    """Write a sheet as `NAME.parquet`, with the columns' meanings in its metadata; returns its path."""
    import pyarrow as pa
    from pyarrow import parquet

    path = folder / f"{sheet.name}.parquet"
    schema = _schema(sheet)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in _groups(sheet):
            columns = list(zip(*rows, strict=True))
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return path


def _schema(sheet: Sheet) -> "pa.Schema":
    import pyarrow as pa

    types: Mapping[Kind, pa.DataType] = {
        "text": pa.string(),
        "number": pa.float64(),
        "count": pa.int64(),
        "flag": pa.bool_(),
    }
    return pa.schema([pa.field(f.name, types[f.kind], metadata={"meaning": f.meaning}) for f in sheet.fields])


def _groups(sheet: Sheet) -> Iterator[list[tuple[Value, ...]]]:
    rows = sheet.read()
    while group := list(islice(rows, _ROWS)):
        yield group


__all__ = ["write_csv", "write_parquet"]
