"""What the files of a local model tell of it before any of it is loaded: faults, and what a person ought to know.

One decision: everything here is read from headers and settings by the standard library, so `plan` can say at once, and
without PyTorch, what would otherwise end a study after its data was read and its weights were loaded. Of a model that
lies on a hub nothing is read, and so nothing is refused.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from models.locations import ModelError, location_of, template_text
from models.spec import ModelSpec

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tokenizer_config.json")
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
# A header of more bytes than this is none.
_LONGEST_HEADER = 100_000_000
_CAUSAL = ("CausalLM", "LMHeadModel")
_CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length")


def settings_of(model: ModelSpec) -> dict[str, Any] | None:
    """A local model's config.json, of its text model where it has several; None for a model that is not here.

    Raises:
        ModelError: if it is no JSON object.
    """
    path = Path(location_of(model)) / "config.json"
    if not path.is_file():
        return None
    raw = _json(path)
    return raw["text_config"] if isinstance(raw.get("text_config"), dict) else raw


def context_of(settings: Mapping[str, Any]) -> int | None:
    """The longest input in tokens that a text model's settings tell of; None where nothing bounds it."""
    for name in _CONTEXT:
        value = settings.get(name)
        if isinstance(value, int) and value > 0:
            return value
    return None


def faults_of_files(model: ModelSpec) -> tuple[str, ...]:
    """What is wrong with a local model's files, each with the remedy; nothing if all is well or none lies here.

    Raises:
        ModelError: if a file of settings is no JSON object.
    """
    folder = Path(location_of(model))
    settings = settings_of(model)
    return () if settings is None else tuple(_faults(model, folder, settings))


def notes_on_files(model: ModelSpec) -> tuple[str, ...]:
    """What a person ought to know of a local model before it is trained or asked, a sentence each."""
    folder = Path(location_of(model))
    return tuple(_notes(model, folder)) if (folder / "config.json").is_file() else ()


def _faults(model: ModelSpec, folder: Path, settings: Mapping[str, Any]) -> Iterator[str]:
    for path in sorted(folder.glob("*.safetensors")):
        damage = _damage(path)
        if damage:
            yield f"{path.name} of {model.name} is damaged: {damage}; copy the model again"
    for index in sorted(folder.glob("*.index.json")):
        named = set(_json(index).get("weight_map", {}).values())
        absent = sorted(name for name in named if not (folder / name).is_file())
        if absent:
            yield f"{model.name} lacks {', '.join(absent)}, which {index.name} names; copy the model again"
    if not any(path.suffix in _WEIGHTS for path in folder.iterdir()):
        yield f"{model.name} has no weights, no file {' or '.join(_WEIGHTS)}; copy the model again"
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        yield f"{model.name} has no tokenizer; put the one that it was trained with into its folder"
    highest, vocabulary = _highest_token(folder), settings.get("vocab_size")
    if highest is not None and isinstance(vocabulary, int) and highest >= vocabulary:
        yield (
            f"the tokenizer of {model.name} has tokens up to number {highest}, and the model has embeddings for "
            f"{vocabulary}; use the model's own tokenizer, or enlarge the embeddings and save the model so"
        )


def _notes(model: ModelSpec, folder: Path) -> Iterator[str]:
    told = _json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    template = template_text(model) or _template(folder, told)
    if template is None:
        yield (
            f"{model.name} has no chat template, so prompts are plain: the system line, the text, `Answer:`; set "
            "models[].chat_template for another form"
        )
    elif "system" not in template or "System role not supported" in template:
        yield f"the chat template of {model.name} has no system role, so the system line stands before the text"
    ends, pads = _token(told.get("eos_token")), _token(told.get("pad_token"))
    if ends is not None and ends == pads:
        yield (
            f"the tokenizer of {model.name} pads with its end of text, {ends}; its end is trained all the same, since "
            "no token is left out for what it is"
        )
    named = [str(name) for name in _json(folder / "config.json").get("architectures") or ()]
    if named and not any(name.endswith(_CAUSAL) for name in named):
        yield (
            f"{model.name} is a {named[0]}, which may be no causal language model; `polytune plan --probe` tells, and "
            "a run refuses it before anything is trained"
        )


def _damage(path: Path) -> str | None:
    """What is wrong with a file of weights by its header and size; None if nothing is."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            return f"it has {size} bytes"
        (length,) = struct.unpack("<Q", start)
        if length > min(size - 8, _LONGEST_HEADER):
            return f"its header would have {length} bytes, and the file has {size}"
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return "its header cannot be read"
    due = 8 + length + max(ends, default=0)
    return None if due == size else f"it has {size} bytes, and its header tells of {due}"


def _highest_token(folder: Path) -> int | None:
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    raw = _json(path)
    listed = raw.get("model", {}).get("vocab")
    plain = max(listed.values(), default=-1) if isinstance(listed, dict) else len(listed or ()) - 1
    added = max((int(entry["id"]) for entry in raw.get("added_tokens") or ()), default=-1)
    return max(int(plain), added)


def _template(folder: Path, told: Mapping[str, Any]) -> str | None:
    for name in ("chat_template.jinja", "chat_template.json"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    found = told.get("chat_template")
    return None if not found else found if isinstance(found, str) else json.dumps(found)


def _token(value: Any) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    return str(text) if text else None


def _json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} is no JSON ({error}); copy the model again") from error
    if not isinstance(raw, dict):
        raise ModelError(f"{path} holds no settings; copy the model again")
    return raw


__all__ = ["context_of", "faults_of_files", "notes_on_files", "settings_of"]
