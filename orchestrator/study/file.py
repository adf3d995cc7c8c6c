"""Read a study file: YAML with lines, `--set` changes, and every fault reported at once.

One decision: a fault is found by validation and placed by a second look at the YAML's own nodes, so
that a message names the line a person has to change, with the nearest name for a typo.
"""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from evaluators.generation.settings import GenerationSettings
from evaluators.sandbox.records import Limits
from models.spec import ModelSpec
from orchestrator.errors import Fault, StudyError
from orchestrator.study.conflicts import conflicts
from orchestrator.study.plainform import plain_form
from orchestrator.study.resources import Resources
from orchestrator.study.schema import DataSettings, Evaluation, Method, Study, TaskData, validate
from orchestrator.study.space import Range, Search
from tasks.readers import Source
from trainers.spec import LoraSettings, TrainingSettings

_Path = tuple[str | int, ...]


def load_study(path: Path, *, changes: Sequence[str] = ()) -> Study:
    """Read, change and validate a study file.

    `changes` are `KEY=VALUE` with a dotted key and a YAML value, as `--set` takes them.

    Raises:
        StudyError: with every fault of the file.
    """
    text = _read(path)
    raw, lines = _parse(text, source=str(path))
    for change in changes:
        _apply(raw, change, source=str(path))
    try:
        study = validate(plain_form(raw))
    except ValidationError as error:
        faults = tuple(_fault(dict(entry), lines) for entry in error.errors())
        raise StudyError(str(path), tuple(dict.fromkeys(faults))) from None
    found = tuple(replace(fault, line=_line(tuple(fault.where.split(".")), lines)) for fault in conflicts(study))
    if found:
        raise StudyError(str(path), tuple(dict.fromkeys(found)))
    return study


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


def _parse(text: str, *, source: str) -> tuple[dict[str, Any], dict[_Path, int]]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        message = f"no YAML: {getattr(error, 'problem', None) or error}"
        raise StudyError(source, (Fault(where="", message=message, line=line),)) from None
    if not isinstance(raw, dict):
        raise StudyError(source, (Fault(where="", message="a study is a mapping of settings, and this is none"),))
    lines: dict[_Path, int] = {}
    twice: list[Fault] = []
    _note_lines(node, (), lines, twice)
    if twice:
        raise StudyError(source, tuple(twice))
    return raw, lines


def _note_lines(node: Any, path: _Path, lines: dict[_Path, int], twice: list[Fault]) -> None:
    """Note where everything stands, and what stands twice: YAML would keep the last and say nothing."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here, line = (*path, key.value), key.start_mark.line + 1
            if here in lines:
                where = ".".join(str(part) for part in here)
                message = f"stands in line {lines[here]} already; keep one of the two"
                twice.append(Fault(where=where, message=message, line=line))
                continue
            lines[here] = line
            _note_lines(value, here, lines, twice)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*path, index)] = value.start_mark.line + 1
            _note_lines(value, (*path, index), lines, twice)


def _apply(raw: dict[str, Any], change: str, *, source: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise StudyError(
            source, (Fault(where=f"--set {change}", message="a change reads KEY=VALUE, as in data.root=../data"),)
        )
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        message = f"the value is no YAML: {getattr(error, 'problem', None) or error}"
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
    where = ".".join(str(part) for part in location)
    kind, message = error["type"], str(error["msg"])
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(location[-1]), _known_keys(location[:-1]), n=1)
        known = ", ".join(_known_keys(location[:-1]))
        message = f"unknown key; did you mean {close[0]}?" if close else f"unknown key; known here: {known}"
    elif kind == "missing":
        message = "required and missing"
    elif kind == "value_error":
        message = message.removeprefix("Value error, ")
    elif "input" in error and not isinstance(error["input"], dict | list):
        message = f"{message}, got {error['input']!r}"
    return Fault(where=where, message=message, line=_line(location, lines))


def _line(location: _Path, lines: dict[_Path, int]) -> int | None:
    """The line to change: the path itself, the shared block it came from, or the nearest parent."""
    shared: list[_Path] = []
    if len(location) > 2 and location[0] == "methods":
        shared = [location[2:]]
    if len(location) > 3 and location[0] == "tasks" and isinstance(location[3], int):
        # A single source stands in the file without the list that the plain form makes of it.
        shared = [(*location[:3], *location[4:])]
    for candidate in (location, *shared):
        if candidate in lines:
            return lines[candidate]
    for end in range(len(location) - 1, 0, -1):
        if location[:end] in lines:
            return lines[location[:end]]
    return None


def _known_keys(location: _Path) -> list[str]:
    """The keys that the schema knows at a place."""
    model: type[BaseModel] = Study
    by_place: dict[str, type[BaseModel]] = {
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
    return sorted(model.model_fields)
