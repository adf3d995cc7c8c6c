"""The reference of study files as a page: every key with its type, its default, what it means and an example.

One decision: the page is made from the JSON Schema alone, block by block in the order of a file, so the page and
what an editor says are one and the same.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from orchestrator.study.plainform import EPOCHS
from orchestrator.study.reference import JsonSchema, tracks
from trainers.methods.table import METHODS

_HEAD = """\
<!-- Made by `polytune schema --markdown`; do not edit. -->

# The study file

A study is one YAML file. This page lists every key. `polytune plan STUDY` reads a file, names every fault with its
line, and says what would run.

    study: two-adapters
    question: Is an adapter of rank 16 better than one of rank 4?
    models: [builtin:micro]
    seeds: [0, 1]
    data: {train_limit: 300, test_limit: 100}
    tasks:
      generation/python: {train: micro, test: micro}
      translation/java-csharp: {train: micro, test: micro}
    training: {learning_rate: 5.0e-3, epochs: 1.2}
    methods:
      frozen: {kind: frozen}
      rank4: {kind: qlora, lora: {rank: 4}}
      rank16: {kind: qlora, lora: {rank: 16}}

What stands once for several, and what may be written short:

- `training` and `lora` at the top hold for every method that they suit; a method's own blocks change single settings.
  A method that gives one of `epochs` and `max_steps` replaces whichever stands at the top.
- A method that trains and finds no `training` anywhere takes @EPOCHS@ epochs, at a learning rate of its kind
  (@RATES@).
- A model may be its name: `models: [builtin:micro]` is `models: [{name: builtin:micro}]`.
- A source may be a text: the name of a reader that needs no settings (`test: micro`), a file or folder of your own
  (`test: problems.jsonl`), or a data set of the hub (`test: hub:OWNER/NAME@COMMIT`). The last two are read by their
  columns; [data.md](data.md) tells how. One source needs no list around it.
- A source without `split` takes the one called like its role, and a source without `limit` the limit that `data`
  gives for that role.
- YAML's own anchors (`&name`, `*name`) work, and keys at the top that begin with `x-` are a place for them; nothing
  else reads those.
- `~` and `$VARIABLE` are written out in paths: `storage`, `data.root`, a model's `name` and a source's `path`.
- `--set KEY=VALUE` changes a setting from the command line, as in `--set data.root=../data`.
- The file is read as YAML 1.2: `1e-3` is a number, `no` and `on` are texts, and only `true` and `false` are truth
  values.

Editors that know JSON Schema complete and check a file whose first line is

    # yaml-language-server: $schema=study.schema.json

with the path of [study.schema.json](study.schema.json), or of what `polytune schema > study.schema.json` writes. The
schema knows keys, types and choices; what two settings may not mean together `polytune plan` tells.
"""


def page(schema: JsonSchema) -> str:
    """The page of a schema."""
    blocks = list(_blocks(schema))
    places = {name: place for place, name, _ in blocks}
    rates = ", ".join(f"{traits.learning_rate:g} for `{kind}`" for kind, traits in METHODS.items() if traits.is_trained)
    head = _HEAD.replace("@EPOCHS@", str(EPOCHS)).replace("@RATES@", rates)
    return "\n".join([head, *(_section(place, block, places) for place, _, block in blocks)])


def _blocks(schema: JsonSchema) -> Iterator[tuple[str, str, JsonSchema]]:
    """Each block once, with the place where it first stands and its name: the file's own, then what its keys hold."""
    waiting: list[tuple[str, str, JsonSchema]] = [("", "", schema)]
    seen: set[str] = set()
    while waiting:
        place, name, block = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        yield place, name, block
        inner = [
            (f"{place}.{key}".lstrip(".") + _inside(entry), held, schema["$defs"][held])
            for key, entry in block["properties"].items()
            for held in _held(entry)
        ]
        waiting = inner + waiting


def _inside(entry: JsonSchema) -> str:
    """What stands between a key and its block: a name of one's own, or one that is known."""
    names = list(entry.get("properties", ()))
    if names:
        return ".TRACK" if names[0] in tracks() else ".SETTING"
    return ".NAME" if isinstance(entry.get("additionalProperties"), dict) else ""


def _held(part: Any) -> Iterator[str]:
    """Names of the blocks that a key's schema holds."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"].rsplit("/", 1)[1]
        for name, inner in part.items():
            if name not in ("default", "examples"):
                yield from _held(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _held(inner)


def _section(place: str, block: JsonSchema, places: dict[str, str]) -> str:
    rows = [_row(name, key, block, places) for name, key in block["properties"].items()]
    return "\n".join(
        [
            f"## {_title(place)}\n",
            f"{block['description']}\n",
            "| key | type | default | meaning | example |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _title(place: str) -> str:
    return f"`{place}`" if place else "Keys of a study"


def _row(name: str, key: JsonSchema, block: JsonSchema, places: dict[str, str]) -> str:
    default = "required" if name in block.get("required", ()) else _default(key)
    example = f"`{name}: {_flow(key['examples'][0])}`"
    cells = (f"`{name}`", _type(key, places), default, key["description"], example)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(key: JsonSchema) -> str:
    value = key.get("default")
    if value is None or value == "" or value == []:
        return "none"
    return "its keys' own" if value == {} else f"`{_flow(value)}`"


def _flow(value: Any) -> str:
    """A value as one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _type(key: JsonSchema, places: dict[str, str]) -> str:
    if "$ref" in key:
        return _link(key["$ref"].rsplit("/", 1)[1], places)
    if "anyOf" in key:
        return " or ".join(_type(part, places) for part in key["anyOf"] if part.get("type") != "null")
    if "enum" in key or "const" in key:
        return _choices(key.get("enum") or [key["const"]])
    return _plain_type(key, places)


def _plain_type(key: JsonSchema, places: dict[str, str]) -> str:
    kind = key.get("type")
    if kind == "array":
        return _list_type(key, places)
    if kind == "object":
        inner: JsonSchema = key["additionalProperties"] or next(iter(key.get("properties", {}).values()), {})
        return f"mapping of {_keys_of(key)} to {_type(inner, places)}"
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", None: "value"}
    return ", ".join([names[kind], *_bounds(key)])


def _list_type(key: JsonSchema, places: dict[str, str]) -> str:
    if "prefixItems" in key:
        noun = "texts" if key["prefixItems"][0].get("type") == "string" else "numbers"
        return f"list of {len(key['prefixItems'])} {noun}"
    item = _type(key["items"], places)
    if "anyOf" in key["items"]:
        return f"list of ({item})"
    return f"list of {item}s" if item in ("whole number", "number", "value") else f"list of {item}"


def _keys_of(key: JsonSchema) -> str:
    names = key.get("properties", ())
    return _choices(list(names)) if names else "names"


def _choices(values: list[Any]) -> str:
    said = [f"`{value if isinstance(value, str) else json.dumps(value)}`" for value in values]
    return " or ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else said[0]


def _bounds(key: JsonSchema) -> Iterator[str]:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    # The ends of 64 bits tell nobody anything.
    return (f"{words[name]} {key[name]:g}" for name in words if abs(key.get(name, 2**63)) < 2**63)


def _link(name: str, places: dict[str, str]) -> str:
    anchor = re.sub(r"[^a-z0-9 -]", "", places[name].lower()).replace(" ", "-")
    return f"[block](#{anchor})"


__all__ = ["page"]
