"""Files of rows in the forms that people have them: JSON, JSON Lines, CSV, Parquet and Arrow, some gzipped.

One decision: they are read here and not by `datasets`, which says "an error occurred" where a person needs
the file and the line, guesses types (an answer `None` in a CSV file becomes nothing, `007` the number 7)
and keeps a copy of everything. A CSV cell is text, and an empty one is absent.
"""

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from tasks.readers.columns import CHAT
from tasks.readers.files import Fault, refuse_faults, undecodable, unreadable
from tasks.readers.source import SUFFIXES, DataError

_GZIP_MAGIC = b"\x1f\x8b"
# A cell may hold a whole file of code; Python's own limit is 128 KiB.
_MAX_CELL = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: its values by column, and where it stands in its file, as in `line 7`."""

    values: Mapping[str, Any]
    place: str


def suffix_of(path: Path) -> str:
    """What a file's name says that it is, without a gzip's ending: `.jsonl` for `a.JSONL.gz`, empty for none."""
    name = path.name.lower().removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def read_table(path: Path, *, first: int | None = None) -> tuple[Row, ...]:
    """The rows of a file, in its order; with `first`, no more than so many, and no more is read than they need.

    Raises:
        DataError: if the file is of no known form or cannot be read, or naming each broken line.
    """
    suffix = suffix_of(path)
    if not suffix:
        raise DataError(str(path), "its name says no form that can be read", f"a name ends in {', '.join(SUFFIXES)}")
    faults: list[Fault] = []
    try:
        rows = tuple(islice(_READ[suffix](path, faults), first))
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error=error) from error
    refuse_faults(path, faults=faults, remedy="mend or remove what is named")
    return rows


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        start = stream.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise DataError(str(path), "is UTF-16, as some spreadsheets export text", "save it as UTF-8")
    zipped = start == _GZIP_MAGIC
    return gzip.open(path) if zipped else path.open("rb")  # type: ignore[return-value]


def _read_json(path: Path, faults: list[Fault]) -> Iterator[Row]:
    """An array of objects, an object that holds nothing but one, or lines: the file's content says which."""
    yield from (_read_array if _is_one_value(path) else _read_lines)(path, faults)


def _is_one_value(path: Path) -> bool:
    with _open(path) as stream:
        line = stream.readline().removeprefix(codecs.BOM_UTF8).lstrip()
        more = bool(stream.read(4096).strip())
    if not line.startswith(b"{") or suffix_of(path) != ".json":
        return line.startswith(b"[") and not (more and _is_json(line))
    return bool(_rows_within(json.loads(line))) and not more if _is_json(line) else more


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _parsed(text: str) -> Any:
    """A JSON value in which no key stands twice: Python would keep the last and say nothing."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"names {next(name for name in names if names.count(name) > 1)!r} twice")
    return found


def _rows_within(value: object) -> list[Any]:
    """The array that a file's one value is or holds; empty where there is none."""
    if isinstance(value, dict) and len(value) == 1:
        ((name, value),) = value.items()
        # One row with one column that lists texts, or turns of a conversation, is no array of rows.
        listed = isinstance(value, list) and all(isinstance(item, dict) for item in value)
        value = value if listed and name not in CHAT else None
    return value if isinstance(value, list) else []


def _read_array(path: Path, faults: list[Fault]) -> Iterator[Row]:
    with _open(path) as stream:
        data = stream.read().removeprefix(codecs.BOM_UTF8)
    try:
        value = _parsed(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        faults.append(Fault(place=f"line {number}", said=f"byte 0x{data[error.start]:02x} is not UTF-8"))
        return
    except json.JSONDecodeError as error:
        faults.append(Fault(place=f"line {error.lineno}", said=f"not JSON: {error.msg} at column {error.colno}"))
        return
    except ValueError as error:
        raise DataError(str(path), str(error), "mend it, or write one row a line to see which it is") from None
    except RecursionError:
        raise DataError(str(path), "is nested too deeply to be read", "write one row a line") from None
    rows = _rows_within(value)
    if not rows and value != []:
        raise DataError(str(path), "is one JSON value that holds no rows", "write an array of objects, or one a line")
    yield from _objects(((f"item {number}", row) for number, row in enumerate(rows, start=1)), faults)


def _read_lines(path: Path, faults: list[Fault]) -> Iterator[Row]:
    def parsed() -> Iterator[tuple[str, object]]:
        with _open(path) as stream:
            for number, raw in enumerate(stream, start=1):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                place = f"line {number}"
                try:
                    text = line.decode("utf-8")
                    if text.strip():
                        yield place, _parsed(text.rstrip())
                except UnicodeDecodeError as error:
                    faults.append(Fault(place=place, said=undecodable(error)))
                except json.JSONDecodeError as error:
                    faults.append(Fault(place=place, said=f"not JSON: {error.msg} at column {error.colno}"))
                except RecursionError:
                    faults.append(Fault(place=place, said="nested too deeply"))
                except ValueError as error:
                    faults.append(Fault(place=place, said=str(error)))

    yield from _objects(parsed(), faults)


def _objects(found: Iterator[tuple[str, object]], faults: list[Fault]) -> Iterator[Row]:
    for place, value in found:
        if isinstance(value, dict):
            yield Row(values=value, place=place)
        else:
            faults.append(Fault(place=place, said=f"of type {type(value).__name__}, not an object with columns"))


def _read_csv(path: Path, faults: list[Fault]) -> Iterator[Row]:
    csv.field_size_limit(_MAX_CELL)
    # What is not UTF-8 comes through as half characters, so that each line that holds some can be named.
    with _open(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="") as stream:
        head = stream.readline()
        stream.seek(0)
        reader = csv.reader(stream, delimiter=_delimiter(path, head), strict=True)
        started = 1
        header: list[str] = []
        try:
            for cells in reader:
                place, started = f"line {started}", reader.line_num + 1
                if not cells:
                    continue
                if not header:
                    header = _checked_header(cells, path)
                    continue
                if fault := _fault_of_cells(cells, header):
                    faults.append(Fault(place=place, said=fault))
                    continue
                yield Row(values={n: c or None for n, c in zip(header, cells, strict=True)}, place=place)
        except csv.Error as error:
            faults.append(Fault(place=f"line {started}", said=f"not CSV from here on: {error}"))


def _delimiter(path: Path, head: str) -> str:
    # Spreadsheets write semicolons wherever a comma is the decimal point.
    if suffix_of(path) == ".tsv" or ("," not in head and "\t" in head):
        return "\t"
    return ";" if "," not in head and ";" in head else ","


def _checked_header(cells: list[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    if any(_is_undecoded(name) for name in names):
        raise DataError(f"{path}, line 1", "is not UTF-8", "save the file as UTF-8")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}, line 1", f"names the column {twice[0]!r} twice", "give each column a name of its own")
    return names


def _fault_of_cells(cells: list[str], header: list[str]) -> str:
    if len(cells) != len(header):
        return f"{len(cells)} cells where the header has {len(header)}"
    for name, cell in zip(header, cells, strict=True):
        if _is_undecoded(cell):
            return f"column {name!r} is not UTF-8"
    return ""


def _is_undecoded(cell: str) -> bool:
    return any("\udc80" <= char <= "\udcff" for char in cell)


def _read_parquet(path: Path, faults: list[Fault]) -> Iterator[Row]:
    # Imported here: reading text files does not need it.
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    try:
        with pq.ParquetFile(path) as file:
            yield from _arrow_rows(file.iter_batches(batch_size=1024))
    except pa.ArrowException as error:
        raise unreadable(path, error=error) from error


def _read_arrow(path: Path, faults: list[Fault]) -> Iterator[Row]:
    """Both of Arrow's forms: the stream, which `save_to_disk` writes, and the file (Feather)."""
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]

    try:
        with pa.memory_map(str(path)) as mapped:
            is_file = mapped.read(6) == b"ARROW1"
            mapped.seek(0)
            if is_file:
                opened = pa.ipc.open_file(mapped)
                yield from _arrow_rows(opened.get_batch(number) for number in range(opened.num_record_batches))
            else:
                yield from _arrow_rows(iter(pa.ipc.open_stream(mapped)))
    except pa.ArrowException as error:
        raise unreadable(path, error=error) from error


def _arrow_rows(batches: Iterator[Any]) -> Iterator[Row]:
    number = 0
    for batch in batches:
        for values in batch.to_pylist():
            number += 1
            yield Row(values=values, place=f"row {number}")


_READ: Mapping[str, Callable[[Path, list[Fault]], Iterator[Row]]] = {
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".arrow": _read_arrow,
    ".feather": _read_arrow,
}

__all__ = ["Row", "read_table", "suffix_of"]
