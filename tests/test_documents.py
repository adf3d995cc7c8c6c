"""Documents keep their word: the drawings are the contracts, and what they name is there."""

import re
import tomllib
from os.path import commonpath
from pathlib import Path

import pytest
import typer

from orchestrator.cli import app
from orchestrator.study.reference import json_schema, tracks
from tasks.readers import READERS
from tasks.readers.formats import FORMATS
from trainers.methods.table import MethodKind

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
LAYERS = [contract for contract in CONTRACTS if contract["type"] == "layers"]
OTHERS = [contract for contract in CONTRACTS if contract["type"] != "layers"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")
# Where the files lie that documents name without their package.
ROOMS = ("", "orchestrator/")


def drawn(name: str) -> list[set[str]]:
    """The lines of the drawing below a contract's name, each with the rooms that stand on it."""
    _, found, rest = ARCHITECTURE.partition(f"<!-- {name} -->")
    if not found:
        pytest.fail(f"docs/architecture.md draws no contract <!-- {name} -->; draw it as pyproject.toml has it")
    block = re.match(r"\s*\n((?: {4}.*\n)+)", rest)
    assert block
    return [{room.strip() for room in re.split(r" {2,}", line.strip())[0].split("|")} for line in block[1].splitlines()]


def agreed(contract: dict[str, list[str]]) -> list[set[str]]:
    """The layers of a contract, each with its rooms, without what all of them begin with."""
    layers = [[room.strip() for room in layer.split("|")] for layer in contract["layers"]]
    shared = commonpath([room.replace(".", "/") for layer in layers for room in layer]).replace("/", ".")
    return [{room.removeprefix(f"{shared}.") for room in layer} for layer in layers]


@pytest.mark.parametrize("contract", LAYERS, ids=[contract["name"] for contract in LAYERS])
def test_drawing_is_the_contract(contract: dict[str, list[str]]) -> None:
    assert drawn(str(contract["name"])) == agreed(contract)


@pytest.mark.parametrize("name", [contract["name"] for contract in OTHERS])
def test_contract_is_told_in_the_architecture(name: str) -> None:
    assert f"\n- {name}\n" in ARCHITECTURE


def test_words_are_sorted_and_none_stands_twice() -> None:
    words = re.findall(r"^\*\*(.+?)\*\*", (DOCS / "words.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(words) > 30
    assert words == sorted(set(words), key=str.lower)


@pytest.mark.parametrize("document", ["docs/architecture.md", "docs/words.md", "docs/extend.md", "CONTRIBUTING.md"])
def test_files_that_a_document_names_are_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"`((?!\.\.)[\w./-]+/[\w./-]*|[\w./-]+\.(?:py|toml|md|json))(?::[\w, .]+)?`", text)
    # A part in capitals stands for a name of one's own, and a track is no file.
    own = re.compile(r"(?:^|[/_])[A-Z]+(?:[/.]|$)")
    real = [name for name in named if name not in tracks() and (not own.search(name) or name.endswith(".md"))]
    assert real
    absent = [name for name in real if not any((ROOT / room / name).exists() for room in ROOMS)]
    assert absent == []


def test_tests_that_recipes_name_are_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "extend.md").read_text(encoding="utf-8")))
    files = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    there = {name for text in files for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    assert named and named - there == set()


def test_every_command_is_told_in_the_readme() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert commands.keys() - set(re.findall(r"^    polytune ([a-z]+)", README, re.MULTILINE)) == set()


def test_every_format_is_told_in_the_readme() -> None:
    assert [name for name in FORMATS if f"`{name}`" not in README] == []


def test_every_kind_of_method_is_told_in_the_reference() -> None:
    told = json_schema()["$defs"]["Method"]["properties"]["kind"]["description"]
    assert [kind for kind in MethodKind if f"`{kind}`" not in told] == []


def test_every_reader_is_read_by_a_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "tasks").glob("test_*.py"))
    assert [name for name in READERS if f'"{name}"' not in tests] == []
