"""A study in its plain form: short forms written out, shared settings merged into each method.

One decision: this is done on plain data before validation, which alone judges it; what is of a wrong type is passed
on as it is, so that every fault of a file is found by one validation and placed by one look at its lines.
"""

from typing import Any

from orchestrator.errors import Fault
from orchestrator.study.schema import Study
from tasks.readers.source import written_out
from trainers.methods.table import METHODS, traits_of

# How long a training is of which a study says nothing; how fast it learns is said by the table of methods.
EPOCHS = 3
# Blocks at the top of a file that hold for all methods.
SHARED = ("training", "lora")
_ROLES = ("train", "validation", "test")
# Settings that say one thing in two ways.
_SAID_ONCE = ({"epochs", "max_steps"}, {"batch_size", "batch_tokens"}, {"warmup_steps", "warmup_ratio"})
# What was a setting once, by the block that it stood in, and what took its place.
_REPLACED: dict[tuple[str, ...], str] = {
    ("training", "packing"): "rows hold as many whole examples as fit resources.micro_tokens, which changes no number; "
    "leave it out, and say training.batch_tokens if batch_size counted packed rows",
    ("resources", "micro_batch"): "say in resources.micro_tokens how many tokens a forward pass holds, or leave it out "
    "for auto",
}


def plain_form(raw: dict[str, Any]) -> dict[str, Any]:
    """Write out a file's short forms: model names, source names, shared training settings, limits.

    Values of a wrong type are passed on as they are, for validation to name.
    """
    plain = {key: value for key, value in raw.items() if key not in SHARED}
    if isinstance(raw.get("question"), str):
        plain["question"] = {"text": raw["question"]}
    if isinstance(raw.get("models"), list):
        plain["models"] = [{"name": model} if isinstance(model, str) else model for model in raw["models"]]
    data = raw.get("data") if isinstance(raw.get("data"), dict) else {}
    if isinstance(raw.get("tasks"), dict):
        plain["tasks"] = {str(track): _plain_task(entry, data or {}) for track, entry in raw["tasks"].items()}
    if isinstance(raw.get("methods"), dict):
        plain["methods"] = {str(name): _plain_method(entry, raw) for name, entry in raw["methods"].items()}
    return plain


def without_replaced(raw: dict[str, Any]) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """A study's raw form without settings that are none any more, and what takes the place of each."""
    found: list[Fault] = []

    def cleaned(value: Any, place: tuple[str, ...]) -> Any:
        if not isinstance(value, dict):
            return value
        kept = {}
        for key, inner in value.items():
            here = (*place, str(key))
            if instead := _REPLACED.get(here[-2:]):
                found.append(Fault(where=".".join(here), message=f"is no setting any more: {instead}"))
            else:
                kept[key] = cleaned(inner, here)
        return kept

    return cleaned(raw, ()), tuple(found)


def _plain_task(entry: Any, data: dict[str, Any]) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {
        role: _plain_sources(value, role=role, data=data) if role in _ROLES else value for role, value in entry.items()
    }


def _plain_sources(value: Any, *, role: str, data: dict[str, Any]) -> Any:
    sources, limit = value if isinstance(value, list) else [value], data.get(f"{role}_limit")
    plain = []
    for source in sources:
        source = written_out(source, root=str(data.get("root", ".")))
        if isinstance(source, dict):
            source = {"split": role, **({"limit": limit} if limit is not None else {}), **source}
        plain.append(source)
    return plain


def _plain_method(entry: Any, raw: dict[str, Any]) -> Any:
    if not isinstance(entry, dict):
        return entry
    plain = dict(entry)
    # A wrong kind is left for validation to name.
    kind = entry.get("kind")
    traits = traits_of(kind) if isinstance(kind, str) and kind in METHODS else None
    if traits is not None and traits.is_trained:
        plain["training"] = _merged(raw.get("training"), entry.get("training"))
        if plain["training"] is None:
            plain["training"] = {"epochs": EPOCHS, "learning_rate": traits.learning_rate}
    if traits is not None and traits.has_adapter:
        plain["lora"] = _merged(raw.get("lora"), entry.get("lora")) or {}
    if isinstance(entry.get("search"), dict):
        plain["search"] = _plain_search(entry["search"], plain)
    return plain


def _plain_search(search: dict[str, Any], method: dict[str, Any]) -> dict[str, Any]:
    """A search with a word on each setting that the study fixes besides; validation refuses those."""
    if not isinstance(search.get("space"), dict):
        return search
    space = dict(search["space"])
    for key, entry in space.items():
        room, _, name = str(key).partition(".")
        block = method.get(room)
        if isinstance(block, dict) and name in block and isinstance(entry, dict):
            space[key] = {**entry, "fixed": block[name]}
    return {**search, "space": space}


def stored_form(study: Study) -> dict[str, Any]:
    """A study as it is kept under its name: what a search looks for has no other value there."""
    plain: dict[str, Any] = study.model_dump(mode="json")
    for method in plain["methods"].values():
        if method["search"] is None:
            continue
        method["search"]["chosen"] = {}
        for key in method["search"]["space"]:
            room, _, name = key.partition(".")
            if method[room] is not None:
                method[room].pop(name)
    return plain


def _merged(shared: Any, own: Any) -> Any:
    """A method's own settings over the shared ones; what is no mapping is left for validation to name."""
    for block in (own, shared):
        if block is not None and not isinstance(block, dict):
            return block
    if shared is None or own is None:
        return shared if own is None else own
    merged = {**shared, **own}
    for ways in _SAID_ONCE:
        if own.keys() & ways:
            # A method that says how long, or how large a batch, replaces the shared wording, whichever that is.
            merged = {key: value for key, value in merged.items() if key in own or key not in ways}
    return merged


__all__ = ["EPOCHS", "SHARED", "plain_form", "stored_form", "without_replaced"]
