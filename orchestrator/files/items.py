"""Files of items to score: text, one item a line, `id TAB text`, or rows with a text and perhaps an id.

One decision: reading never stops at the first fault. What is wrong is collected, so that a person mends a
file once; no fault is ever mended silently, since a pair that slipped by a line scores like any other, and
how a file was understood is said in its notes.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from orchestrator.files.columns import Twice, id_column, is_table, read_columns
from orchestrator.files.plainfiles import Row, decode_lines, holds_json, read_bytes, read_rows, says_json, shorten

Role = Literal["predictions", "references"]
Form = Literal["auto", "text", "tab", "json"]
FORMS: tuple[Form, ...] = ("auto", "text", "tab", "json")

_SAMPLED = ("solution", "completion")
"""Texts of which a file may hold several for one problem, in whole or from where its prompt ends."""
TEXT_NAMES: Mapping[Role, tuple[str, ...]] = {
    "predictions": ("text", "prediction", *_SAMPLED, "response", "output", "code", "reference"),
    "references": ("text", "reference", "canonical_solution", *_SAMPLED, "code", "docstring", "output", "prediction"),
}
"""Where a row may hold its text, the first that it has; a problem's file serves as references."""
_TAB_LINE = re.compile(r"\d+(\t.*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The texts of a file, with their ids where the file has them, and what is wrong with it.

    `names` tell several items of one id apart; `numbers` says that the ids were written as numbers, and `notes`
    how the file was understood.
    """

    texts: tuple[str, ...] = ()
    ids: tuple[str, ...] | None = None
    faults: tuple[str, ...] = ()
    names: tuple[str, ...] | None = field(default=None, compare=False)
    numbers: bool | None = field(default=None, compare=False)
    blank: int = field(default=0, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Predictions with their references; ids are line numbers where the files have none."""

    ids: tuple[str, ...]
    predictions: tuple[str, ...]
    references: tuple[str, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)


def read_items(path: Path, *, role: Role = "predictions", form: Form = "auto", column: str | None = None) -> Items:
    """Read a file, gzipped or not, as what it is or as the form that is given; rows hold the text in `column`."""
    if form == "auto" and is_table(path):
        columns, faults = read_columns(path)
        if faults:
            return Items(faults=faults)
        twice = [name for name, values in columns.items() if isinstance(values, Twice)]
        if twice:
            return Items(
                faults=tuple(f"{path}: has the column {name!r} twice; name each column once" for name in twice)
            )
        names = list(columns)
        rows = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return _from_rows([(f"row {n}", row) for n, row in enumerate(rows, 1)], path, role=role, column=column)
    raw, fault = read_bytes(path)
    if fault or not raw:
        return Items(faults=(fault or f"{path}: is empty; it must hold one item a line",))
    lines, broken = decode_lines(raw, path)
    if broken:
        return Items(faults=broken)
    if form == "json" or (form == "auto" and (says_json(path) or _holds_json(lines, role))):
        items = _read_json(lines, path, role=role, column=column)
        if items.faults and form == "auto" and not says_json(path):
            return Items(faults=(*items.faults, f"{path}: looks like JSON; if it is text, say --format text"))
        return items
    if form == "tab" or (form == "auto" and _holds_tabs(lines)):
        return _read_tabs(lines, path)
    blank = sum(not line.strip() for line in lines)
    return Items(texts=tuple(lines), blank=blank)


def pair(predictions: Items, references: Items, *, names: tuple[Path, Path]) -> tuple[Pairs | None, tuple[str, ...]]:
    """Pair by id where the files have ids, else by line; None where they do not fit, with what is wrong."""
    ours, theirs = names
    faults = [*predictions.faults, *references.faults]
    if faults:
        return None, tuple(faults)
    notes = (*predictions.notes, *references.notes)
    if (predictions.ids is None) != (references.ids is None):
        has, lacks = (ours, theirs) if references.ids is None else (theirs, ours)
        return None, (f'{has} has ids and {lacks} has none: give every line of both an "id", or none',)
    if predictions.ids is None or references.ids is None:
        count, expected = len(predictions.texts), len(references.texts)
        if count != expected:
            blank = _tell_blank(((ours, predictions), (theirs, references)))
            return None, (f"{ours} has {count} items and {theirs} {expected}: line by line they must pair{blank}",)
        ids = tuple(str(number) for number in range(1, count + 1))
        return Pairs(ids=ids, predictions=predictions.texts, references=references.texts, notes=notes), ()
    by_id = dict(zip(references.ids, references.texts, strict=True))
    asked = set(predictions.ids)
    unknown = [
        f"{ours}: id {id_!r} is not in {theirs}{_near(id_, by_id)}"
        for id_ in dict.fromkeys(predictions.ids)
        if id_ not in by_id
    ]
    absent = [f"{ours}: has no item of id {id_!r}" for id_ in references.ids if id_ not in asked]
    if unknown or absent:
        return None, (*shorten(unknown), *shorten(absent))
    if predictions.numbers is not references.numbers:
        written = [f"{'numbers' if items.numbers else 'texts'} in {path}" for path, items in
                   ((ours, predictions), (theirs, references))]  # fmt: skip
        notes = (*notes, f"ids are {' and '.join(written)}; they were paired by what they read as")
    texts = tuple(by_id[id_] for id_ in predictions.ids)
    named = predictions.names or predictions.ids
    return Pairs(ids=named, predictions=predictions.texts, references=texts, notes=notes), ()


def _tell_blank(files: Sequence[tuple[Path, Items]]) -> str:
    told = [f"{items.blank} of {path} are blank" for path, items in files if items.blank]
    return f" ({', '.join(told)})" if told else ""


def _holds_json(lines: Sequence[str], role: Role) -> bool:
    return holds_json(lines, known=lambda row: _text_key(row, role) is not None)


def _text_key(row: Mapping[str, object], role: Role) -> str | None:
    return next((name for name in TEXT_NAMES[role] if name in row), None)


def _holds_tabs(lines: Sequence[str]) -> bool:
    """CodeXGLUE's form for summaries: a whole number, a tab and the text; an empty text may have lost its tab."""
    written = [line for line in lines if line.strip()]
    return any("\t" in line for line in written) and all(_TAB_LINE.fullmatch(line) for line in written)


def _read_tabs(lines: Sequence[str], path: Path) -> Items:
    faults, ids, texts = [], [], []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        id_, _, text = line.partition("\t")
        if seen.setdefault(id_, number) != number:
            faults.append(f"{path}: line {number}: id {id_!r} is already that of line {seen[id_]}")
        ids.append(id_)
        texts.append(text)
    if faults:
        return Items(faults=shorten(faults))
    return Items(texts=tuple(texts), ids=tuple(ids), numbers=True, notes=(f"{path}: read as `id TAB text`",))


def _read_json(lines: Sequence[str], path: Path, *, role: Role, column: str | None) -> Items:
    rows = read_rows(lines, path)
    if not rows.rows and not rows.faults:
        return Items(faults=(f"{path}: is empty; it must hold a JSON object a line",))
    items = _from_rows(rows.rows, path, role=role, column=column, before=rows.faults)
    if items.faults or not rows.blank:
        return items
    blank = f"{path}: {rows.blank} blank line{'s' if rows.blank > 1 else ''} between JSON lines left out"
    return Items(
        texts=items.texts, ids=items.ids, names=items.names, numbers=items.numbers, notes=(*items.notes, blank)
    )


def _from_rows(
    rows: Sequence[tuple[str, Row]], path: Path, *, role: Role, column: str | None, before: tuple[str, ...] = ()
) -> Items:
    """Items of rows, which must all have the same keys for their text and id."""
    if before and not rows:
        return Items(faults=before)
    key, unsaid = _choose_key(rows, path, role=role, column=column)
    if unsaid:
        return Items(faults=(*before, unsaid))
    texts, text_faults, null = _texts(rows, path, key=key, role=role)
    ids, numbers, id_faults = _ids(rows, path)
    names = None
    if ids is not None and not id_faults:
        id_faults = _repeated(ids, rows, path)
        sampled = key in _SAMPLED or all("sample" in row for _, row in rows)
        if id_faults and role == "predictions" and sampled:
            names, id_faults = _numbered(ids), []
    faults = (*before, *shorten(text_faults), *shorten(id_faults))
    if faults:
        return Items(faults=faults)
    notes = [f"{path}: the text is {key!r}"] if key != "text" else []
    if null:
        notes.append(f"{path}: {null} without a text (null), scored as empty")
    return Items(texts=tuple(texts), ids=ids, names=names, numbers=numbers, notes=tuple(notes))


def _choose_key(rows: Sequence[tuple[str, Row]], path: Path, *, role: Role, column: str | None) -> tuple[str, str]:
    """The key under which rows hold their text, or why it cannot be told."""
    first = next((row for _, row in rows if _text_key(row, role) is not None), {})
    key = column or _text_key(first, role)
    if key is None:
        holds = ", ".join(map(repr, rows[0][1])) if rows else "nothing"
        known = ", ".join(TEXT_NAMES[role])
        return "", f"{path}: holds {holds} and no text; say which it is with --{role}-key, or name it one of {known}"
    if column is None and key == "code" and "docstring" in first:
        return "", f"{path}: holds 'code' and 'docstring'; say which is the text with --{role}-key"
    return key, ""


def _texts(rows: Sequence[tuple[str, Row]], path: Path, *, key: str, role: Role) -> tuple[list[str], list[str], int]:
    texts, faults, null = [], [], 0
    for place, row in rows:
        # One completions file may hold both kinds, line by line.
        used = next((name for name in _SAMPLED if name in row), key) if key in _SAMPLED else key
        text = row.get(used, 0)
        if text is None and role == "predictions":
            text, null = "", null + 1
        if isinstance(text, str):
            texts.append(text)
        else:
            faults.append(f'{path}: {place}: must be an object with a string "{key}"')
    return texts, faults, null


def _ids(rows: Sequence[tuple[str, Row]], path: Path) -> tuple[tuple[str, ...] | None, bool | None, list[str]]:
    """The rows' ids as text, whether they are numbers, and what is wrong with them; None where no row has any."""
    key = next((key for _, row in rows if (key := id_column(row)) is not None), None)
    values = [(place, None if key is None else row.get(key)) for place, row in rows]
    if key is None or all(value is None for _, value in values):
        return None, None, []
    faults = [
        f'{path}: {place}: "{key}" must be a string or a whole number, got {value!r}'
        for place, value in values
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int))
    ]
    faults += [f'{path}: {place}: has no "{key}", as others have' for place, value in values if value is None]
    numbers = all(isinstance(value, int) for _, value in values)
    return tuple(str(value) for _, value in values), numbers, faults


def _repeated(ids: Sequence[str], rows: Sequence[tuple[str, Row]], path: Path) -> list[str]:
    seen: dict[str, str] = {}
    return [
        f"{path}: {place}: id {id_!r} is already that of {seen[id_]}"
        for id_, (place, _) in zip(ids, rows, strict=True)
        if seen.setdefault(id_, place) != place
    ]


def _numbered(ids: Sequence[str]) -> tuple[str, ...]:
    """Names for several items of an id: `ID#0`, `ID#1`, in the file's order."""
    count: Counter[str] = Counter()
    names = []
    for id_ in ids:
        names.append(f"{id_}#{count[id_]}")
        count[id_] += 1
    return tuple(names)


def _near(id_: str, known: Mapping[str, str]) -> str:
    # Looking for near names in a long list takes longer than scoring it.
    near = get_close_matches(id_, known, n=1) if len(known) <= 10_000 else []
    return f"; did you mean {near[0]!r}?" if near else ""


__all__ = ["FORMS", "Form", "Items", "Pairs", "Role", "pair", "read_items"]
