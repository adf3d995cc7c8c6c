"""Read a study file: YAML with lines, `--set` changes, and every fault reported at once.

One decision: a fault is found by validation and placed by the lines that reading noted, so that a message
names the line a person has to change, with the nearest name for a typo.
"""

import difflib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from evaluators.generation.settings import GenerationSettings
from evaluators.sandbox.records import Limits
from models.spec import ModelSpec
from orchestrator.errors import Fault, StudyError
from orchestrator.study.conflicts import conflicts
from orchestrator.study.places import with_places
from orchestrator.study.plainform import SHARED, plain_form, without_replaced
from orchestrator.study.question import Question
from orchestrator.study.resources import Resources
from orchestrator.study.schema import DataSettings, Evaluation, Method, Study, TaskData, validate
from orchestrator.study.space import Range, Search
from orchestrator.study.yamlfile import Document, YamlError, read_yaml
from tasks.readers import Source
from tasks.readers.source import Columns
from trainers.spec import LoraSettings, TrainingSettings

_Path = tuple[str | int, ...]
_LONGEST_SHOWN = 80


def load_study(path: Path, *, changes: Sequence[str] = ()) -> Study:
    """Read, change and validate a study file, YAML or (`.json`) as a ledger stores it.

    `changes` are `KEY=VALUE` with a dotted key and a YAML value, as `--set` takes them.

    Raises:
        StudyError: with every fault of the file.
    """
    return read_study(_read(path), source=str(path), changes=changes, as_json=path.suffix == ".json")


def read_study(text: str, *, source: str, changes: Sequence[str] = (), as_json: bool = False) -> Study:
    """A study from its text; `source` is what errors call it.

    Raises:
        StudyError: with every fault of the text.
    """
    raw, lines = _parse(text, source=source, as_json=as_json)
    for change in changes:
        _apply(raw, change, source=source)
    raw, replaced = without_replaced(raw)
    plain, unset = with_places(plain_form(raw))
    # What a ledger stored stays readable; whoever would run it is told.
    if wrong := (*unset, *(() if as_json else replaced)):
        raise StudyError(source, tuple(_with_line(fault, lines) for fault in wrong))
    try:
        study = validate(plain)
    except ValidationError as error:
        entries = [dict(entry) for entry in error.errors()]
        # A list whose only entry is at fault is not empty besides.
        told = [e for e in entries if not (e["type"] == "too_short" and any(_is_within(o, e) for o in entries))]
        faults = tuple(_fault(entry, lines) for entry in told)
        raise StudyError(source, tuple(dict.fromkeys(faults))) from None
    found = tuple(_with_line(fault, lines) for fault in conflicts(study))
    if found:
        raise StudyError(source, tuple(dict.fromkeys(found)))
    study._replaced = tuple(f"{fault.where} {fault.message}" for fault in replaced)
    return study


def _is_within(inner: dict[str, Any], outer: dict[str, Any]) -> bool:
    return len(inner["loc"]) > len(outer["loc"]) and inner["loc"][: len(outer["loc"])] == outer["loc"]


def _with_line(fault: Fault, lines: dict[_Path, int]) -> Fault:
    place = tuple(int(part) if part.isdecimal() else part for part in fault.where.split("."))
    return replace(fault, line=_line(place, lines))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        nearby = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, nearby, n=1)
        hint = f"did you mean {path.parent / close[0]}?" if close else "give the path of a study file"
        raise StudyError(str(path), (Fault(where="", message=f"no such file; {hint}"),)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(str(path), (Fault(where="", message=f"cannot be read: {error}"),)) from None


def _parse(text: str, *, source: str, as_json: bool) -> tuple[dict[str, Any], dict[_Path, int]]:
    try:
        document = Document(value=json.loads(text)) if as_json else read_yaml(text)
    except YamlError as error:
        raise StudyError(source, error.faults) from None
    except ValueError as error:
        raise StudyError(source, (Fault(where="", message=f"no JSON: {error}"),)) from None
    raw = document.value
    if not isinstance(raw, dict):
        raise StudyError(source, (Fault(where="", message="a study is a mapping of settings, and this is none"),))
    # A place for anchors: what begins with x- is for the file's author alone.
    return {key: value for key, value in raw.items() if not str(key).startswith("x-")}, document.lines


def _apply(raw: dict[str, Any], change: str, *, source: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise StudyError(
            source, (Fault(where=f"--set {change}", message="a change reads KEY=VALUE, as in data.root=../data"),)
        )
    try:
        parsed = read_yaml(value).value
    except YamlError as error:
        message = f"the value cannot be read: {error.faults[0].message}"
        raise StudyError(source, (Fault(where=f"--set {change}", message=message),)) from None
    *parents, last = key.split(".")
    target = raw
    for parent in parents:
        inner = target.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise StudyError(source, (Fault(where=f"--set {key}", message=f"{parent} holds no settings to change"),))
        target = inner
    target[last] = parsed


def _fault(error: dict[str, Any], lines: dict[_Path, int]) -> Fault:
    # pydantic marks a mapping's key that is at fault so.
    location: _Path = tuple(part for part in error["loc"] if part != "[key]")
    where = ".".join(str(part) for part in _as_written(location, lines))
    kind, message = error["type"], str(error["msg"])
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(location[-1]), _known_keys(location[:-1]), n=1)
        known = ", ".join(_known_keys(location[:-1]))
        message = f"unknown key; did you mean {close[0]}?" if close else f"unknown key; known here: {known}"
    elif kind == "missing":
        message = "required and missing"
    elif kind in ("tuple_type", "list_type") and not isinstance(error["input"], dict):
        message = f"give a list, as in [{error['input']}]"
    elif kind == "value_error":
        message = message.removeprefix("Value error, ")
    elif "input" in error and not isinstance(error["input"], dict | list):
        message = f"{message}, got {_shown(error['input'])}"
    return Fault(where=where, message=message, line=_line(location, lines))


def _as_written(location: _Path, lines: dict[_Path, int]) -> _Path:
    """A path without the list that the plain form makes of a single source, where the file has none."""
    listed = len(location) > 3 and location[0] == "tasks" and isinstance(location[3], int)
    return (*location[:3], *location[4:]) if listed and location[:4] not in lines else location


def _line(location: _Path, lines: dict[_Path, int]) -> int | None:
    """The line to change: the path itself, the shared block it came from, or the nearest parent."""
    shared: list[_Path] = []
    if len(location) > 2 and location[0] == "methods":
        shared = [location[2:]]
    if len(location) > 3 and location[0] == "tasks" and isinstance(location[3], int):
        shared = [_as_written(location, lines)]
    for candidate in (location, *shared):
        if candidate in lines:
            return lines[candidate]
    for end in range(len(location) - 1, 0, -1):
        if location[:end] in lines:
            return lines[location[:end]]
    return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _known_keys(location: _Path) -> list[str]:
    """The keys that the schema knows at a place."""
    model: type[BaseModel] = Study
    by_place: dict[str, type[BaseModel]] = {
        "columns": Columns,
        "question": Question,
        "data": DataSettings,
        "evaluation": Evaluation,
        "resources": Resources,
        "generation": GenerationSettings,
        "limits": Limits,
        "training": TrainingSettings,
        "lora": LoraSettings,
        "search": Search,
    }
    if location[:1] == ("tasks",):
        model = Source if len(location) > 2 else TaskData
    elif location[:1] == ("methods",):
        model = Method
    elif location[:1] == ("models",):
        model = ModelSpec
    for part in location:
        model = by_place.get(str(part), model)
    if "space" in location:
        model = Range
    # What methods share stands at the top of a file, and in no plain form.
    shared = () if location else SHARED
    return sorted((*model.model_fields, *shared))
