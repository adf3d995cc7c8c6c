"""Anybody's files to text and JSON rows, gzipped or not, before anything is made of them.

One decision: what looks like JSON is read as JSON or refused. A file is JSON where its name says so, where
all of it is JSON objects (a line each, an array, or one after another), or where any line is an object that
holds a known text; taken as text, such a file scores its own braces.
"""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

Row = dict[str, object]

_GZIP = b"\x1f\x8b"
_SHOWN = 5
"""Faults of one kind that are told one by one."""
_NOT_BLANK = re.compile(r"\S")
_JSON_NAMES = (".json", ".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The JSON objects of a file, each with where it stands (`line 3`, `item 3`), and what is wrong with it."""

    rows: tuple[tuple[str, Row], ...] = ()
    blank: int = 0
    faults: tuple[str, ...] = ()


def suffix_of(path: Path) -> str:
    """The name's ending in small letters, without `.gz`."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def says_json(path: Path) -> bool:
    """Whether a file's name says that it holds JSON."""
    return suffix_of(path) in _JSON_NAMES


def read_bytes(path: Path) -> tuple[bytes, str | None]:
    """A file's bytes, unzipped if they are gzipped whatever its name, or what is wrong with it."""
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if raw.startswith(_GZIP) else raw), None
    except FileNotFoundError:
        near = get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=1)
        return b"", f"{path}: no such file" + (f"; did you mean {near[0]}?" if near else "")
    except (OSError, EOFError, zlib.error) as error:
        return b"", f"{path}: cannot be read: {error}"


def decode_lines(raw: bytes, path: Path) -> tuple[list[str], tuple[str, ...]]:
    """Lines between line feeds, without a mark of byte order, and each that is not UTF-8."""
    lines = raw.removesuffix(b"\n").split(b"\n")
    broken = [fault for number, line in enumerate(lines, 1) if (fault := _undecodable(line, number, path))]
    if broken:
        return [], shorten(broken)
    texts = [line.removesuffix(b"\r").decode("utf-8") for line in lines]
    texts[0] = texts[0].removeprefix("\ufeff")
    return texts, ()


def shorten(faults: Sequence[str]) -> tuple[str, ...]:
    """The first faults of a kind, and how many more there are."""
    more = len(faults) - _SHOWN
    return (*faults[:_SHOWN], f"... and {more} more of this kind") if more > 0 else tuple(faults)


def holds_json(lines: Sequence[str], *, known: Callable[[Mapping[str, object]], bool]) -> bool:
    """Whether a file whose name does not say so is JSON all the same; `known` tells a row that holds a text."""
    try:
        values = _values("\n".join(lines))
    except TwiceError:
        return True
    if values:
        return all(isinstance(value, dict) for _, value in values)
    return any(line.lstrip().startswith("{") and known(_object(line)) for line in lines)


def read_rows(lines: Sequence[str], path: Path) -> Rows:
    """Rows of JSON lines, of one array, or of objects one after another over several lines."""
    try:
        values = _values("\n".join(lines))
    except TwiceError as error:
        values = None
        if not any(map(_object, lines)):
            return Rows(faults=(f"{path}: {error}",))
    blank = sum(not line.strip() for line in lines)
    if values is not None:
        by_line = len(values) == len(lines) - blank
        return _checked(values, path, blank=blank if by_line else 0)
    found: list[tuple[str, object]] = []
    faults = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append((f"line {number}", json.loads(line, object_pairs_hook=_once)))
        except (ValueError, RecursionError) as error:
            faults.append(f"{path}: line {number}: is not JSON ({error})")
    checked = _checked(found, path, blank=blank)
    return Rows(rows=checked.rows, blank=checked.blank, faults=(*shorten(faults), *checked.faults))


def _checked(found: Sequence[tuple[str, object]], path: Path, *, blank: int) -> Rows:
    faults = [
        f"{path}: {place}: must be an object, got {type(value).__name__}"
        for place, value in found
        if not isinstance(value, dict)
    ]
    rows = tuple((place, value) for place, value in found if isinstance(value, dict))
    return Rows(rows=rows, blank=blank, faults=shorten(faults))


class TwiceError(ValueError):
    """A key that an object has twice, of which JSON's readers silently take the last."""


def _once(pairs: Sequence[tuple[str, object]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise TwiceError(f"the key {twice!r} is there twice; a key must name one value")
    return row


def _object(line: str) -> Row:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _values(text: str) -> list[tuple[str, object]] | None:
    """JSON values one after another, or those of the one array, with their places; None where anything else is there.

    Raises:
        TwiceError: if an object has a key twice.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_once)
    values: list[tuple[str, object]] = []
    place, line = 0, 1
    while (start := _NOT_BLANK.search(text, place)) is not None:
        line += text.count("\n", place, start.start())
        try:
            value, place = decoder.raw_decode(text, start.start())
        except TwiceError:
            raise
        except (ValueError, RecursionError):
            return None
        values.append((f"line {line}", value))
        line += text.count("\n", start.start(), place)
    if len(values) == 1 and isinstance(values[0][1], list):
        return [(f"item {number}", item) for number, item in enumerate(values[0][1], 1)]
    return values


def _undecodable(line: bytes, number: int, path: Path) -> str | None:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        return f"{path}: line {number}: byte 0x{byte:02x} at column {error.start + 1} is not UTF-8; save it as UTF-8"
    return None


__all__ = ["Row", "Rows", "decode_lines", "holds_json", "read_bytes", "read_rows", "says_json", "shorten", "suffix_of"]
