"""Local files to lines and rows, with every fault of a file in one error.

One decision: files are cut at line feeds alone and decoded line by line, because `str.splitlines` also
cuts at characters that code may hold (form feeds, U+2028), which shifts every later line of a pair of
files, and because a line's number is what a person needs to find a bad byte.
"""

import codecs
import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tasks.readers.source import DataError, Source

MAX_FAULTS = 20
_ALIKE_SHOWN = 3
_GZIP_MAGIC = b"\x1f\x8b"

Row = TypeVar("Row", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong at one place of a file, as in `line 7`."""

    place: str
    said: str

    def __str__(self) -> str:
        return f"{self.place}: {self.said}"


def place_of(source: Source, *, root: Path) -> Path:
    """Where a source's path leads: below the data root unless it is absolute; `~` and `$NAMES` are filled in."""
    return root / os.path.expanduser(os.path.expandvars(source.path or ""))


def locate(source: Source, *, root: Path, name: str) -> Path:
    """The file that a source means: its path, or in the folder that its path is, `name` or `name`.gz.

    Raises:
        DataError: if there is no such file.
    """
    place = place_of(source, root=root)
    candidates = (place / name, place / f"{name}.gz") if place.is_dir() else (place,)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{source.name}, looked for at {' and '.join(str(candidate) for candidate in candidates)}",
        "no such file",
        "put the file there, or correct the source's path or the study's data root",
    )


def locate_folder(source: Source, *, root: Path) -> Path:
    """The folder that a source means.

    Raises:
        DataError: if there is no such folder.
    """
    place = place_of(source, root=root)
    if not place.is_dir():
        raise DataError(
            f"{source.name}, looked for at {place}",
            "no such folder",
            "name the folder that holds the data set's files, or correct the study's data root",
        )
    return place


def read_lines(path: Path) -> tuple[str, ...]:
    """The lines of a text file, plain or gzipped, without their ends.

    Raises:
        DataError: if the file cannot be read, or holds bytes that are not UTF-8.
    """
    lines, faults = [], []
    for number, raw in enumerate(_raw_lines(path), start=1):
        try:
            lines.append(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            faults.append(Fault(place=f"line {number}", said=undecodable(error)))
    refuse_faults(path, faults=faults, remedy="save the file as UTF-8")
    return tuple(lines)


def read_rows(
    path: Path, *, row: type[Row], fault: Callable[[Row], str] = lambda _: "", first: int | None = None
) -> tuple[Row, ...]:
    """The rows of a JSON Lines file, plain or gzipped, each checked against `row`; blank lines are skipped.

    Args:
        path: the file.
        row: what a line must be.
        fault: what else is wrong with a row, empty where nothing is.
        first: how many lines to read; None for all.

    Raises:
        DataError: if the file cannot be read, or naming each line that is not UTF-8, not JSON, not a `row`
            or at fault (up to `MAX_FAULTS` of them).
    """
    rows: list[Row] = []
    faults = []
    for number, raw in enumerate(_raw_lines(path)[:first], start=1):
        place = f"line {number}"
        try:
            text = raw.decode("utf-8")
            if text.strip():
                rows.append(row.model_validate_json(text))
                said = fault(rows[-1])
                faults += [Fault(place=place, said=said)] if said else []
        except UnicodeDecodeError as error:
            faults.append(Fault(place=place, said=undecodable(error)))
        except ValidationError as error:
            faults.append(Fault(place=place, said=validation_said(error)))
    refuse_faults(path, faults=faults, remedy=f"each line must be one {row.__name__} as JSON, in UTF-8")
    return tuple(rows)


def refuse_faults(place: Path | str, *, faults: Sequence[Fault], remedy: str) -> None:
    """Raise one error for all faults of one file, if there are any.

    Raises:
        DataError: if `faults` is not empty; it shows at most `MAX_FAULTS`, and of those that are alike the
            first three, with the count and the places of the others.
    """
    if not faults:
        return
    told = _folded(faults)
    shown = told[:MAX_FAULTS]
    if len(told) > MAX_FAULTS:
        shown.append(f"and {len(told) - MAX_FAULTS} more")
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise DataError(str(place), "\n  ".join([count, *shown]), remedy)


def _folded(faults: Sequence[Fault]) -> list[str]:
    """A line for each of the first faults of a kind, then one for the others of it."""
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        # Numbers and quoted values are what differs between faults of one kind.
        kinds.setdefault(re.sub(r"'[^']*'|\d+", "#", fault.said), []).append(fault)
    told = []
    for alike in kinds.values():
        told += [str(fault) for fault in alike[:_ALIKE_SHOWN]]
        if others := alike[_ALIKE_SHOWN:]:
            places = ", ".join(fault.place for fault in others[:_ALIKE_SHOWN])
            more = ", ..." if len(others) > _ALIKE_SHOWN else ""
            told.append(f"and {len(others)} more like these: {places}{more}")
    return told


def content_digest(files: Iterable[tuple[str, Path]]) -> str:
    """Hash of files' bytes as they lie on the disk, each under the part that it plays in its data set.

    Where the files lie does not enter, so data that moves keeps its identity.

    Raises:
        DataError: if a file cannot be read.
    """
    total = hashlib.sha256()
    for part, path in files:
        try:
            now = path.stat()
            content = _hash_file(path.resolve(), now.st_size, now.st_mtime_ns)
        except OSError as error:
            raise unreadable(path, error=error) from error
        total.update(f"{part}\0{content}\n".encode())
    return f"sha256={total.hexdigest()}"


@cache
def _hash_file(path: Path, size: int, mtime_ns: int) -> str:
    """A file as it was at that time: one run asks for the same file for each stage that reads it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _raw_lines(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP_MAGIC):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error=error) from error
    lines = data.removeprefix(codecs.BOM_UTF8).split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def unreadable(path: Path, *, error: Exception) -> DataError:
    """The error for a file that the machine or its form does not let be read."""
    return DataError(str(path), f"cannot be read ({error})", "check its permissions, or fetch the file again")


def undecodable(error: UnicodeDecodeError) -> str:
    """What to say of a line that is not UTF-8."""
    return f"byte {error.start + 1} (0x{error.object[error.start]:02x}) is not UTF-8"


def validation_said(error: ValidationError) -> str:
    """What to say of a row that is not what it must be: each fault with the field that it is in."""
    parts = []
    for fault in error.errors(include_url=False):
        where = ".".join(str(step) for step in fault["loc"])
        # Each line is parsed alone, so the parser's own line number is always 1 and would mislead.
        message = re.sub(r"at line 1 column", "at column", fault["msg"])
        parts.append(f"{where}: {message}" if where else message)
    return ", ".join(parts)


__all__ = [
    "MAX_FAULTS",
    "Fault",
    "content_digest",
    "locate",
    "locate_folder",
    "place_of",
    "read_lines",
    "read_rows",
    "refuse_faults",
    "undecodable",
    "unreadable",
    "validation_said",
]
