"""The corpus of answers is well formed: what it expects of the extraction is tested elsewhere.

One decision: this test reads the files alone, so that a slip in the corpus is never mistaken for a
fault of the code.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tasks.records import Language, Track

FOLDER = Path(__file__).parent / "answers"
FILES = sorted(FOLDER.glob("*.json"))
REQUIRED = {"id", "form", "source", "track", "preamble", "entry_point", "input", "text", "expected"}
OPTIONAL = {"parses", "note"}
LINES = ("preamble", "text", "expected")


def entries_of(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf-8")))


ENTRIES = [entry for path in FILES for entry in entries_of(path)]


def compiles(code: str) -> bool:
    try:
        compile(code, "<expected>", "exec")
    except SyntaxError:
        return False
    return True


def test_there_are_as_many_answers_and_forms_as_promised() -> None:
    assert len(ENTRIES) >= 110
    assert len({entry["form"] for entry in ENTRIES}) >= 45
    assert {Track.parse(entry["track"]).target for entry in ENTRIES} == set(Language)


def test_every_id_is_unique() -> None:
    assert [name for name, count in Counter(entry["id"] for entry in ENTRIES).items() if count > 1] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_entry_is_well_formed(entry: dict[str, Any]) -> None:
    assert set(entry) >= REQUIRED
    assert set(entry) <= REQUIRED | OPTIONAL
    assert all(entry[name] for name in ("id", "form", "source", "entry_point", "input", "text"))
    for name in LINES:
        assert all(isinstance(line, str) and "\n" not in line for line in entry[name])
    assert not entry["preamble"] or not entry["preamble"][-1].strip(), "a preamble ends with a line break"
    assert str(Track.parse(entry["track"])) == entry["track"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_python_says_whether_it_parses_and_does(entry: dict[str, Any]) -> None:
    is_python = Track.parse(entry["track"]).target is Language.PYTHON
    assert ("parses" in entry) == is_python
    if is_python:
        assert compiles("\n".join(entry["expected"])) == entry["parses"]


def test_readme_counts_every_form() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    counts = Counter(entry["form"] for entry in ENTRIES)
    told = [line.split(" | ")[:2] for line in text.splitlines() if line.startswith("| `") and line.count(" | ") == 3]
    assert {name.strip("| `"): int(count) for name, count in told} == counts
