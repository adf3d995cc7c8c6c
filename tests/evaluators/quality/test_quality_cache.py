"""The cache: the same outcomes, and no way for a stale or damaged one to pass."""

from pathlib import Path

import pytest

from evaluators.quality import analyze
from evaluators.quality.cache import Cache
from evaluators.quality.outcome import Measured
from tasks.records import Language

SOURCE = "import os\n"


def make_cache(folder: Path, *, version: str = "1", language: Language = Language.PYTHON) -> Cache:
    return Cache(folder=folder, tool="pylint", version=version, language=language)


def test_what_is_read_from_the_cache_is_what_was_measured(tmp_path: Path) -> None:
    sources = [SOURCE, "def f(x):\n    return eval(x)\n", "def f(:"]
    measured = analyze(sources, language=Language.PYTHON, cache=tmp_path)
    assert analyze(sources, language=Language.PYTHON, cache=tmp_path) == measured
    assert analyze(sources, language=Language.PYTHON) == measured


def test_entry_is_only_found_for_the_same_tool_version_language_and_source(tmp_path: Path) -> None:
    cache, outcome = make_cache(tmp_path), Measured(counts={"error": 1})
    cache.put(SOURCE, outcome)
    assert cache.get(SOURCE) == outcome
    assert cache.get(SOURCE + " ") is None
    assert make_cache(tmp_path, version="2").get(SOURCE) is None
    assert make_cache(tmp_path, language=Language.JAVA).get(SOURCE) is None


def test_damaged_entry_is_measured_again(tmp_path: Path) -> None:
    before = analyze([SOURCE], language=Language.PYTHON, cache=tmp_path)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            file.write_text('{"counts": {"error"')
    assert analyze([SOURCE], language=Language.PYTHON, cache=tmp_path) == before


def test_cache_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert analyze([SOURCE], language=Language.PYTHON, cache=blocked) == analyze([SOURCE], language=Language.PYTHON)


def test_breakdown_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = "x = [" + "1, " * 200_000 + "]\n"
    report = analyze([large], language=Language.PYTHON, cache=tmp_path)
    assert "600,007 characters" in report.files[0].failed["pylint"]
    assert not list(tmp_path.rglob("*"))
