"""Paths in a study as a shell would read them: `~` and `$VARIABLES`.

One decision: they are written out when the file is read, for the environment decides where things lie and no number.
A variable that is not set is a fault: a folder that is called `$DATA` is nobody's wish.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import Fault

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def with_places(plain: dict[str, Any]) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """A study's plain form with its paths written out, and a fault for each variable that is not set."""
    faults: list[Fault] = []
    found = dict(plain)
    for place, holder, key in _paths(found):
        holder[key] = _written_out(holder[key], where=place, faults=faults)
    return found, tuple(faults)


def _paths(plain: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Where a study holds paths: each one's dotted place, its mapping (copied, so that it may be changed), its key."""
    if isinstance(plain.get("storage"), str):
        yield "storage", plain, "storage"
    for name in ("data",):
        if isinstance(plain.get(name), dict) and isinstance(plain[name].get("root"), str):
            plain[name] = dict(plain[name])
            yield f"{name}.root", plain[name], "root"
    if isinstance(plain.get("models"), list):
        plain["models"] = [dict(model) if isinstance(model, dict) else model for model in plain["models"]]
        for index, model in enumerate(plain["models"]):
            if isinstance(model, dict) and isinstance(model.get("name"), str):
                yield f"models.{index}.name", model, "name"
    yield from _source_paths(plain)


def _source_paths(plain: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    if not isinstance(plain.get("tasks"), dict):
        return
    for track, entry in plain["tasks"].items():
        for role, sources in entry.items() if isinstance(entry, dict) else ():
            for index, source in enumerate(sources if isinstance(sources, list) else ()):
                if isinstance(source, dict) and isinstance(source.get("path"), str):
                    yield f"tasks.{track}.{role}.{index}.path", source, "path"


def _written_out(text: str, *, where: str, faults: list[Fault], environment: Mapping[str, str] = os.environ) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in environment:
            faults.append(
                Fault(where=where, message=f"${name} is not set, got {text!r}; set it, or write the path out")
            )
        return environment.get(name, match[0])

    found = _VARIABLE.sub(value, text)
    return str(Path(found).expanduser()) if found.startswith("~") else found


__all__ = ["with_places"]
