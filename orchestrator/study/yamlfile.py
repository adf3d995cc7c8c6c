"""Read YAML as people mean it: version 1.2's core schema, with lines, and refusing what would take for ever.

One decision: PyYAML parses and this module resolves. PyYAML resolves by version 1.1, where `no` is False, `010` is 8,
`1:30` is 90 and `1e-4` is a text; here each is what it looks like. Keys are names, read as they are written.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from orchestrator.errors import Fault

Path = tuple[str | int, ...]
# A study has some hundred values; this many are an alias that was multiplied by others.
_MOST_VALUES = 100_000
_TOO_DEEP = "nested too deeply to be a study"


class _Reader(yaml.SafeLoader):
    """PyYAML's parser with the resolvers of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own name)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
):
    _Reader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file holds, as plain data, and the line of each value, counted from 1."""

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)


class YamlError(ValueError):
    """Text that cannot be read as YAML; holds every fault."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults)
        self.faults = faults


def read_yaml(text: str) -> Document:
    """Read one document.

    Raises:
        YamlError: if it is no YAML, holds a key twice, or aliases that hold themselves or multiply beyond measure.
    """
    try:
        node = yaml.compose(text, Loader=_Reader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        message = f"no YAML: {getattr(error, 'problem', None) or error}"
        raise YamlError((Fault(where="", message=message, line=line),)) from None
    except RecursionError:
        raise YamlError((Fault(where="", message=_TOO_DEEP),)) from None
    if node is None:
        return Document(value=None)
    _refuse_bombs(node)
    faults: list[Fault] = []
    lines: dict[Path, int] = {}
    value = _value(node, (), lines, faults)
    if faults:
        raise YamlError(tuple(faults))
    return Document(value=value, lines=lines)


def _refuse_bombs(root: yaml.Node) -> None:
    """Count what aliases stand for before anything is built of them.

    Raises:
        YamlError: if one holds itself, or all together are too many.
    """
    sizes: dict[int, int] = {}
    open_: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        line = node.start_mark.line + 1
        if id(node) in open_:
            raise YamlError(
                (Fault(where="", message="an alias that holds itself; write out what is meant", line=line),)
            )
        open_.add(id(node))
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        total = 1 + (sum(map(size, inner)) if isinstance(node, yaml.CollectionNode) else 0)
        open_.discard(id(node))
        if total > _MOST_VALUES:
            message = f"aliases that stand for more than {_MOST_VALUES:,} values; write out what is meant"
            raise YamlError((Fault(where="", message=message, line=line),))
        sizes[id(node)] = total
        return total

    try:
        size(root)
    except RecursionError:
        raise YamlError((Fault(where="", message=_TOO_DEEP),)) from None


def _value(node: yaml.Node, path: Path, lines: dict[Path, int], faults: list[Fault]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines, faults)
    if isinstance(node, yaml.SequenceNode):
        found = []
        for index, inner in enumerate(node.value):
            lines[(*path, index)] = inner.start_mark.line + 1
            found.append(_value(inner, (*path, index), lines, faults))
        return found
    return _scalar(node, path, faults)


def _mapping(node: yaml.MappingNode, path: Path, lines: dict[Path, int], faults: list[Fault]) -> dict[str, Any]:
    """A mapping with its keys as they are written; `<<` takes over what its own keys leave out."""
    found: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key, inner in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            faults.append(Fault(where=_dotted(path), message="a key is a word, and this is none", line=line))
            continue
        here = (*path, key.value)
        if key.tag == "tag:yaml.org,2002:merge":
            for other in inner.value if isinstance(inner, yaml.SequenceNode) else [inner]:
                taken = _value(other, path, {}, faults)
                merged = {**(taken if isinstance(taken, dict) else {}), **merged}
            continue
        if here in lines:
            message = f"stands in line {lines[here]} already; keep one of the two"
            faults.append(Fault(where=_dotted(here), message=message, line=line))
            continue
        lines[here] = line
        found[key.value] = _value(inner, here, lines, faults)
    return {**merged, **found}


def _scalar(node: yaml.Node, path: Path, faults: list[Fault]) -> Any:
    tag, text = node.tag.rpartition(":")[2], node.value
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    if tag == "int":
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if tag == "float":
        return float(text.replace(".", "", 1) if text.lstrip("+-")[:2].lower() in (".i", ".n") else text)
    if tag != "str":
        message = f"the tag {node.tag} means nothing here; leave it out"
        faults.append(Fault(where=_dotted(path), message=message, line=node.start_mark.line + 1))
    return _whole(text, path, node, faults)


def _whole(text: str, path: Path, node: yaml.Node, faults: list[Fault]) -> str:
    """A text whose escaped surrogates, as JSON writes them, are put together to the characters that they stand for."""
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        return str(text)
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        message = "half a character: a surrogate without its other half"
        faults.append(Fault(where=_dotted(path), message=message, line=node.start_mark.line + 1))
        return ""


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)


__all__ = ["Document", "YamlError", "read_yaml"]
