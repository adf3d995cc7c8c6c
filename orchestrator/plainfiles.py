"""Anybody's files to text and JSON rows, gzipped or not, before anything is made of them.

One decision: what looks like JSON is read as JSON or refused. A file is JSON where its name says so, where
all of it is JSON objects (a line each, an array, or one after another), or where any line is an object that
holds a known text; taken as text, such a file scores its own braces.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

Row = dict[str, object]

_GZIP = b"\x1f\x8b"
_SHOWN = 5
"""Faults of one kind that are told one by one."""
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
    values = _stream("\n".join(lines)) if lines and lines[0].lstrip()[:1] in ("{", "[", "") else None
    if values is not None:
        rows = values[0] if len(values) == 1 and isinstance(values[0], list) else values
        return bool(rows) and all(isinstance(row, dict) for row in rows)
    return any(line.lstrip().startswith("{") and known(_object(line)) for line in lines)


def read_rows(lines: Sequence[str], path: Path) -> Rows:
    """Rows of JSON lines, of one array, or of objects one after another over several lines."""
    text = "\n".join(lines)
    values = None if _is_json_lines(lines) else _stream(text)
    if values is not None:
        items = values[0] if len(values) == 1 and isinstance(values[0], list) else values
        return _checked([(f"item {number}", value) for number, value in enumerate(items, 1)], path, blank=0)
    found: list[tuple[str, object]] = []
    faults = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append((f"line {number}", json.loads(line, object_pairs_hook=_once)))
        except (ValueError, RecursionError) as error:
            faults.append(f"{path}: line {number}: is not JSON ({error})")
    checked = _checked(found, path, blank=sum(not line.strip() for line in lines))
    return Rows(rows=checked.rows, blank=checked.blank, faults=(*shorten(faults), *checked.faults))


def _checked(found: Sequence[tuple[str, object]], path: Path, *, blank: int) -> Rows:
    faults = [
        f"{path}: {place}: must be an object, got {type(value).__name__}"
        for place, value in found
        if not isinstance(value, dict)
    ]
    rows = tuple((place, value) for place, value in found if isinstance(value, dict))
    return Rows(rows=rows, blank=blank, faults=shorten(faults))


class _Twice(ValueError):
    """A key that an object has twice, of which JSON's readers silently take the last."""


def _once(pairs: Sequence[tuple[str, object]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Twice(f"the key {twice!r} is there twice; a key must name one value")
    return row


def _is_json_lines(lines: Sequence[str]) -> bool:
    """Whether some line is an object by itself, so that a broken one has a line number."""
    return any(_object(line) for line in lines if line.lstrip().startswith("{"))


def _object(line: str) -> Row:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _stream(text: str) -> list[object] | None:
    """JSON values one after another, None where something else is among them."""
    decoder = json.JSONDecoder(object_pairs_hook=_once)
    values: list[object] = []
    place, end = 0, len(text)
    while True:
        while place < end and text[place].isspace():
            place += 1
        if place == end:
            return values
        try:
            value, place = decoder.raw_decode(text, place)
        except _Twice:
            value, place = json.JSONDecoder().raw_decode(text, place)
        except (ValueError, RecursionError):
            return None
        values.append(value)


def _undecodable(line: bytes, number: int, path: Path) -> str | None:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        return f"{path}: line {number}: byte 0x{byte:02x} at column {error.start + 1} is not UTF-8; save it as UTF-8"
    return None


__all__ = ["Row", "Rows", "decode_lines", "holds_json", "read_bytes", "read_rows", "says_json", "shorten", "suffix_of"]
