"""Files of items to score: text, one item a line, or JSON lines with "text" and "id".

One decision: reading never stops at the first fault. What is wrong is collected, so that a person mends a
file once; no fault is ever mended silently, since a pair that slipped by a line scores like any other.
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

_SHOWN = 5
"""Faults of one kind that are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The texts of a file, with their ids where the file has them, and what is wrong with it."""

    texts: tuple[str, ...] = ()
    ids: tuple[str, ...] | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Predictions with their references; ids are line numbers where the files have none."""

    ids: tuple[str, ...]
    predictions: tuple[str, ...]
    references: tuple[str, ...]


def read_items(path: Path) -> Items:
    """Read a file, gzipped or not. It is JSON lines if its first line is an object with "text"."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError:
        near = get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=1)
        return Items(faults=(f"{path}: no such file" + (f"; did you mean {near[0]}?" if near else ""),))
    except (OSError, EOFError) as error:
        return Items(faults=(f"{path}: cannot be read: {error}",))
    if not raw.strip(b"\r\n"):
        return Items(faults=(f"{path}: is empty; it must hold one item a line",))
    lines = raw.removesuffix(b"\n").split(b"\n")
    broken = [fault for number, line in enumerate(lines, 1) if (fault := _undecodable(line, number, path))]
    if broken:
        return Items(faults=shorten(broken))
    texts = [line.removesuffix(b"\r").decode("utf-8") for line in lines]
    texts[0] = texts[0].removeprefix("\ufeff")
    return _read_json_lines(texts, path) if _is_object(texts[0]) else Items(texts=tuple(texts))


def pair(predictions: Items, references: Items, *, names: tuple[Path, Path]) -> tuple[Pairs | None, tuple[str, ...]]:
    """Pair by id where the files have ids, else by line; None where they do not fit, with what is wrong."""
    ours, theirs = names
    faults = [*predictions.faults, *references.faults]
    if faults:
        return None, tuple(faults)
    if (predictions.ids is None) != (references.ids is None):
        has, lacks = (ours, theirs) if references.ids is None else (theirs, ours)
        return None, (f'{has} has ids and {lacks} has none: give every line of both an "id", or none',)
    if predictions.ids is None or references.ids is None:
        count, expected = len(predictions.texts), len(references.texts)
        if count != expected:
            return None, (f"{ours} has {count} items and {theirs} {expected}: line by line they must pair",)
        ids = tuple(str(number) for number in range(1, count + 1))
        return Pairs(ids=ids, predictions=predictions.texts, references=references.texts), ()
    by_id = dict(zip(references.ids, references.texts, strict=True))
    unknown = [
        f"{ours}: id {id_!r} is not in {theirs}{_near(id_, by_id)}" for id_ in predictions.ids if id_ not in by_id
    ]
    absent = [f"{ours}: has no item of id {id_!r}" for id_ in references.ids if id_ not in set(predictions.ids)]
    if unknown or absent:
        return None, (*shorten(unknown), *shorten(absent))
    texts = tuple(by_id[id_] for id_ in predictions.ids)
    return Pairs(ids=predictions.ids, predictions=predictions.texts, references=texts), ()


def shorten(faults: Sequence[str]) -> tuple[str, ...]:
    """The first faults of a kind, and how many more there are."""
    more = len(faults) - _SHOWN
    return (*faults[:_SHOWN], f"... and {more} more of this kind") if more > 0 else tuple(faults)


def _undecodable(line: bytes, number: int, path: Path) -> str | None:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        return f"{path}: line {number}: byte 0x{byte:02x} at column {error.start + 1} is not UTF-8; save it as UTF-8"
    return None


def _is_object(line: str) -> bool:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "text" in value


def _read_json_lines(lines: Sequence[str], path: Path) -> Items:
    faults, texts, ids = [], [], []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            faults.append(f"{path}: line {number}: is not JSON ({error})")
            continue
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            faults.append(f'{path}: line {number}: must be an object with a string "text"')
            continue
        id_ = row.get("id")
        if id_ is not None and (isinstance(id_, bool) or not isinstance(id_, str | int)):
            faults.append(f'{path}: line {number}: "id" must be a string or a whole number, got {id_!r}')
        texts.append(row["text"])
        ids.append(None if id_ is None else str(id_))
    if any(ids):
        faults += [
            f'{path}: line {number}: has no "id", as others have' for number, id_ in enumerate(ids, 1) if id_ is None
        ]
        seen: dict[str | None, int] = {}
        for number, id_ in enumerate(ids, 1):
            if id_ is not None and seen.setdefault(id_, number) != number:
                faults.append(f"{path}: line {number}: id {id_!r} is already that of line {seen[id_]}")
    if faults:
        return Items(faults=shorten(faults))
    return Items(texts=tuple(texts), ids=tuple(id_ for id_ in ids if id_ is not None) if any(ids) else None)


def _near(id_: str, known: dict[str, str]) -> str:
    # Looking for near names in a long list takes longer than scoring it.
    near = get_close_matches(id_, known, n=1) if len(known) <= 10_000 else []
    return f"; did you mean {near[0]!r}?" if near else ""


__all__ = ["Items", "Pairs", "pair", "read_items", "shorten"]
