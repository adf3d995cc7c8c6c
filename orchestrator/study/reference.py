"""The JSON Schema of study files as people write them, made from the models that validate a study.

One decision: what a key means is the text below its field, and it is read here, when a document is made. So it is
written once, beside what it describes, and no import of a model pays for it.

The schema says what may stand where. Rules between settings (a search needs validation) remain validation's.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise, permutations
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from evaluators.similarity.table import METRICS
from orchestrator.study.schema import Evaluation, Study, TaskData
from orchestrator.study.space import KEYS
from tasks.readers import ReaderName, Source
from tasks.readers.source import OWN
from tasks.records import Language, Task

JsonSchema = dict[str, Any]

_SHARED = {
    "lora": "Adapter settings of every method that trains adapters; a method's own `lora` block changes single ones.",
    "training": "Training settings of every method that trains; a method's own `training` block changes single ones.",
}


def json_schema() -> JsonSchema:
    """The JSON Schema (2020-12) of a study file. Every key has a description and examples, and a default or none."""
    schema = Study.model_json_schema(schema_generator=_WithoutTitles)
    blocks = {name: block for name, block in schema["$defs"].items() if "properties" in block}
    written: JsonSchema = _written_out(schema | {"$defs": blocks}, choices=schema["$defs"])
    for model in _blocks_of(Study):
        _describe(model, _block(written, model.__name__))
    _add_short_forms(written)
    _name_keys(written)
    _name_metrics(written)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A study of Polytune"}
    return head | written


def _written_out(part: Any, *, choices: JsonSchema) -> Any:
    """A schema in which what is no block of its own (choices, any value) stands where it is meant."""
    if isinstance(part, list):
        return [_written_out(inner, choices=choices) for inner in part]
    if not isinstance(part, dict):
        return part
    meant = choices.get(part.get("$ref", "").removeprefix("#/$defs/"))
    if meant is not None and "properties" not in meant:
        kept = {name: value for name, value in meant.items() if name not in ("title", "description")}
        part = {name: value for name, value in part.items() if name != "$ref"} | kept
    return {name: _written_out(inner, choices=choices) for name, inner in part.items()}


class _WithoutTitles(GenerateJsonSchema):
    """Titles would repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _block(schema: JsonSchema, name: str) -> JsonSchema:
    found: JsonSchema = schema if name == Study.__name__ else schema["$defs"][name]
    return found


def _blocks_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and those that its fields hold, each once."""
    seen: dict[type[BaseModel], None] = {}
    waiting = [model]
    while waiting:
        block = waiting.pop()
        if block not in seen:
            seen[block] = None
            waiting += [held for field in block.model_fields.values() for held in _held(field.annotation)]
    return iter(seen)


def _held(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _held(part)


def _describe(model: type[BaseModel], block: JsonSchema) -> None:
    """Give a block's keys their descriptions and examples."""
    texts = described(model)
    block.pop("title", None)
    block["description"] = " ".join((model.__doc__ or "").split())
    for name, key in block["properties"].items():
        key["description"] = texts.get(name, "")
        key["examples"] = model.model_fields[name].examples or _examples(key, model.model_fields[name])
        if isinstance(key.get("default"), dict):
            key["default"] = {}


def described(model: type[BaseModel]) -> dict[str, str]:
    """The text below each field of a model, by the field's name."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(tree, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(tree.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _examples(key: JsonSchema, field: FieldInfo) -> list[Any]:
    """Choices other than the default, for a key whose choices are few and known."""
    if key.get("type") == "boolean":
        return [not field.default]
    choices = [choice for part in (key, *key.get("anyOf", ())) for choice in part.get("enum", _constant(part))]
    return [choice for choice in choices if choice != field.default]


def _constant(part: JsonSchema) -> list[Any]:
    return [part["const"]] if "const" in part else []


def _add_short_forms(schema: JsonSchema) -> None:
    """What `plain_form` writes out: a name for a block, one source for a list, blocks that methods share."""
    properties = schema["properties"]
    properties["models"]["items"] = {"anyOf": [{"type": "string"}, properties["models"]["items"]]}
    properties["question"] = {"anyOf": [{"type": "string"}, {"$ref": properties["question"].pop("$ref")}]} | properties[
        "question"
    ]
    # Of a text alone it can be told that it names a reader that needs more; not whether there is such a file.
    text = {"type": "string", "not": {"enum": _readers_with_settings()}}
    for role in TaskData.model_fields:
        key = schema["$defs"][TaskData.__name__]["properties"][role]
        one = {"anyOf": [text, key.pop("items")]}
        several = {"type": key.pop("type"), "items": one, **({"minItems": n} if (n := key.pop("minItems", 0)) else {})}
        key["anyOf"] = [*one["anyOf"], several]
    source: JsonSchema = schema["$defs"][Source.__name__]
    # What leaves these two out has the role, and `data`'s limit of the role.
    for name in ("split", "limit"):
        source["properties"][name].pop("default", None)
    # A path or a repository without a reader is one's own.
    source["required"].remove("reader")
    source["anyOf"] = [{"required": [name]} for name in ("reader", "path", "repository")]
    source["properties"]["reader"]["default"] = OWN
    for name, meaning in _SHARED.items():
        own = schema["$defs"]["Method"]["properties"][name]
        properties[name] = {**own, "description": meaning}
    schema["properties"] = {name: properties[name] for name in _order(properties)}
    schema["patternProperties"] = {"^x-": {"description": "A place for anchors, read by nothing else."}}


def _readers_with_settings() -> list[str]:
    """Readers whose name alone is no source."""
    return [name for name in get_args(ReaderName) if not _is_source({"reader": name})]


def _is_source(plain: dict[str, Any]) -> bool:
    try:
        Source.model_validate(plain)
    except ValidationError:
        return False
    return True


def _order(properties: JsonSchema) -> list[str]:
    """The keys of a study with the shared blocks before the methods."""
    own = [name for name in properties if name not in _SHARED]
    place = own.index("methods")
    return [*own[:place], *_SHARED, *own[place:]]


def _name_keys(schema: JsonSchema) -> None:
    """Mappings whose keys are known get them one by one, so that an editor offers them and marks others."""
    tasks, space = schema["properties"]["tasks"], schema["$defs"]["Search"]["properties"]["space"]
    for mapping, keys in ((tasks, tracks()), (space, KEYS)):
        mapping["properties"] = dict.fromkeys(keys, mapping["additionalProperties"])
        mapping["additionalProperties"] = False
    schema["$defs"]["Range"] |= {"minProperties": 1, "maxProperties": 1}


def _name_metrics(schema: JsonSchema) -> None:
    names = [name for name, metric in METRICS.items() if metric.suits_studies]
    (several, _) = schema["$defs"][Evaluation.__name__]["properties"]["metrics"]["anyOf"]
    several["items"] = {"enum": names}


def tracks() -> tuple[str, ...]:
    """Every track that a study may name."""
    one = [f"{task}/{language}" for task in (Task.GENERATION, Task.SUMMARIZATION) for language in Language]
    return (*one, *(f"{Task.TRANSLATION}/{source}-{target}" for source, target in permutations(Language, 2)))


__all__ = ["JsonSchema", "described", "json_schema", "tracks"]
