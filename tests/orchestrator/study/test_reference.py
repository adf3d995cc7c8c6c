"""The reference of study files: complete, fresh, and at one with what the loader takes."""

import re
import textwrap
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.errors import StudyError
from orchestrator.study.file import load_study
from orchestrator.study.reference import json_schema, tracks
from orchestrator.study.yamlfile import read_yaml
from tasks.records import Track

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = ("README.md", "docs/study-file.md")
SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def blocks() -> dict[str, dict[str, Any]]:
    return {"study": SCHEMA} | {name: block for name, block in SCHEMA["$defs"].items() if "properties" in block}


KEYS = [(name, key) for name, block in blocks().items() for key in block["properties"]]


def written_studies() -> Iterator[tuple[str, str]]:
    """Whole studies: the shipped ones, and those that documents show."""
    for path in sorted((ROOT / "studies").glob("*.yaml")):
        yield path.name, path.read_text(encoding="utf-8")
    for name in DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        for block in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE):
            if block.startswith("    study:"):
                yield name, textwrap.dedent(block)


STUDIES = list(written_studies())


@pytest.mark.parametrize(
    ("document", "options"),
    [("docs/study.schema.json", []), ("docs/study-file.md", ["--markdown"])],
)
def test_document_is_what_the_command_prints(document: str, options: list[str]) -> None:
    printed = CliRunner().invoke(app, ["schema", *options])
    assert printed.exit_code == 0
    if (ROOT / document).read_text(encoding="utf-8") != printed.stdout:
        pytest.fail(f"{document} is stale; write it with: polytune {' '.join(['schema', *options])} > {document}")


@pytest.mark.parametrize(("block", "key"), KEYS, ids=[".".join(pair) for pair in KEYS])
def test_key_has_a_description_a_type_a_default_and_examples_that_are_allowed(block: str, key: str) -> None:
    schema = blocks()[block]
    entry = schema["properties"][key]
    assert entry["description"].rstrip().endswith("."), "write it below the field"
    assert {"type", "anyOf", "enum", "const", "$ref"} & entry.keys()
    # A study's role and limits stand in for these two, so no one value is their default.
    if key not in schema.get("required", ()) and (block, key) not in {("Source", "split"), ("Source", "limit")}:
        assert "default" in entry
    assert entry["examples"]
    for example in entry["examples"]:
        Draft202012Validator(entry | {"$defs": SCHEMA["$defs"]}).validate(example)


@pytest.mark.parametrize(("name", "text"), STUDIES, ids=[name for name, _ in STUDIES])
def test_written_study_is_valid_and_loads(name: str, text: str, tmp_path: Path) -> None:
    VALIDATOR.validate(read_yaml(text).value)
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    load_study(tmp_path / "study.yaml")


def test_studies_of_the_documents_are_found() -> None:
    assert set(DOCUMENTS) <= {name for name, _ in STUDIES}


def small() -> dict[str, Any]:
    return {
        "study": "small",
        "models": ["builtin:micro"],
        "tasks": {"generation/python": {"train": "micro", "test": "micro"}},
        "training": {"max_steps": 4},
        "methods": {"frozen": {"kind": "frozen"}, "qlora": {"kind": "qlora"}},
    }


def changed(place: str, value: Any) -> dict[str, Any]:
    """The small study with a value put in a place, its last key new or not; None takes the key out."""
    study = deepcopy(small())
    *parents, last = place.split(" ")
    target: Any = study
    for parent in parents:
        target = target.setdefault(parent, {})
    if value is None:
        del target[last]
    else:
        target[last] = value
    return study


SHORT_FORMS = [
    ("models", [{"name": "builtin:micro"}, "Qwen/Qwen2.5-Coder-0.5B"]),
    ("tasks generation/python test", ["micro", {"reader": "mbpp", "path": "mbpp.jsonl"}]),
    ("tasks generation/python test", {"reader": "mbpp", "path": "mbpp.jsonl", "limit": 5}),
    ("tasks generation/python test", "problems.jsonl"),
    ("tasks generation/python test", "hub:OWNER/NAME@COMMIT"),
    ("tasks generation/python test", {"path": "problems.jsonl", "columns": {"input": "question"}}),
    ("data", {"train_limit": 5, "root": ".."}),
    ("x-pairs", {"reader": "micro"}),
    ("lora", {"rank": 4}),
    ("methods qlora", {"kind": "qlora", "lora": {"alpha": 4}, "training": {"batch_size": 2}}),
    ("methods qlora training", {"epochs": 0.5}),
    ("resources trial_gpus", 1),
    ("resources price_per_hour", 2),
]


@pytest.mark.parametrize(("place", "value"), SHORT_FORMS, ids=[place for place, _ in SHORT_FORMS])
def test_short_form_is_valid_and_loads(place: str, value: Any, tmp_path: Path) -> None:
    study = changed(place, value)
    VALIDATOR.validate(study)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    load_study(tmp_path / "study.yaml")


WRONG = [
    ("trainin", {"max_steps": 4}),
    ("study", None),
    ("study", "two words"),
    ("models", "builtin:micro"),
    ("models", []),
    ("seeds", 3),
    ("tasks generation/cobol", {"test": "micro"}),
    ("tasks generation/python test", None),
    ("tasks generation/python test", "mbpp"),
    ("tasks generation/python test", {"limit": 5}),
    ("tasks generation/python test", {"reader": "mbp", "path": "mbpp.jsonl"}),
    ("training learning_rate", "fast"),
    ("training batch_size", 0),
    ("lora ranks", 8),
    ("methods qlora kind", "qlorra"),
    ("methods qlora grouping", "alone"),
    ("methods qlora search", {"space": {"training.max_steps": {"choice": [1, 2]}}}),
    ("methods qlora search", {"space": {"lora.rank": {"choice": [4], "grid": [8]}}}),
    ("evaluation generation temperature", -1),
    ("evaluation limits memory_mb", 1),
    ("evaluation metrics", ["blue"]),
    ("resources zero_stage", 4),
    ("y-pairs", {"reader": "micro"}),
    ("training batch_size", True),
]


@pytest.mark.parametrize(("place", "value"), WRONG, ids=[f"{place}={value}" for place, value in WRONG])
def test_wrong_study_is_not_valid_and_does_not_load(place: str, value: Any, tmp_path: Path) -> None:
    study = changed(place, value)
    assert list(VALIDATOR.iter_errors(study))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    with pytest.raises(StudyError):
        load_study(tmp_path / "study.yaml")


def test_every_named_track_is_one() -> None:
    assert [str(Track.parse(track)) for track in tracks()] == list(tracks())


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_study_names_the_schema_for_editors(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert named != first
    assert (path.parent / named).resolve() == ROOT / "docs" / "study.schema.json"
