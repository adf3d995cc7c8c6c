"""Where base models lie and what identifies them, without loading anything.

One decision: planning hashes files and reads presets; it never imports torch.
"""

import hashlib
import json
import re
from functools import cache
from pathlib import Path

from models.spec import ModelSpec
from tasks.templates import is_text

_BUILTIN = {"builtin:micro": Path(__file__).parent / "micro" / "base"}
# What hub models with quantised weights put into their names.
_QUANTISED = re.compile(r"[-_.](bnb-4bit|4bit|int4|int8|8bit|awq|gptq|gguf|nf4)(?![a-z0-9])", re.IGNORECASE)
_IDENTITY = (".safetensors", ".json", ".jinja", ".model", ".txt", ".bin", ".pt", ".pth", ".py")


class ModelError(ValueError):
    """A base model that cannot be used; the message names it and the remedy."""


def location_of(model: ModelSpec) -> str:
    """The folder or hub id to load from.

    Raises:
        ModelError: if the name is no built-in model, although it says so.
    """
    if not model.name.startswith("builtin:"):
        return model.name
    if model.name not in _BUILTIN:
        raise ModelError(f"unknown built-in model {model.name!r}; there is: {', '.join(_BUILTIN)}")
    return str(_BUILTIN[model.name])


def template_text(model: ModelSpec) -> str | None:
    """The template that a study gives a model, read where it gives a file; None if it gives none.

    Raises:
        ModelError: if the file cannot be read.
    """
    given = model.chat_template
    if given is None or is_text(given):
        return given
    try:
        return Path(given).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"chat_template of {model.name!r} is {given!r}, which cannot be read ({error}); give the path of a Jinja "
            "template, or the template itself"
        ) from error


def identified(model: ModelSpec) -> ModelSpec:
    """A model with all that its identity needs: the digest of its files, and its template as text.

    Raises:
        ModelError: if a local path is named and no model lies there, or the template cannot be read.
    """
    return model.model_copy(update={"digest": local_digest(model), "chat_template": template_text(model)})


def local_digest(model: ModelSpec) -> str | None:
    """Hash of a built-in or local model's files; None for a hub model, which its revision pins.

    Raises:
        ModelError: if a local path is named and no model lies there.
    """
    folder = Path(location_of(model))
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(f"model {model.name!r} is a folder without a config.json; give the folder that holds one")
        return _hash_files([p for p in sorted(folder.iterdir()) if p.suffix in _IDENTITY])
    if model.name.startswith((".", "/", "~", "builtin:")) or model.name.count("/") != 1:
        raise ModelError(
            f"unknown model {model.name!r}; give a hub id such as Qwen/Qwen2.5-Coder-0.5B-Instruct, "
            "a folder that exists, or builtin:micro"
        )
    return None


def quantised(model: ModelSpec) -> str:
    """Why a model's stored weights are known to be quantised, as a clause; nothing if they are not known to be.

    Raises:
        ModelError: if the name is no built-in model, although it says so.
    """
    config = Path(location_of(model)) / "config.json"
    if config.is_file():
        found = json.loads(config.read_text(encoding="utf-8")).get("quantization_config")
        return f"{config} says {found.get('quant_method', 'quantised')}" if found else ""
    named = _QUANTISED.search(model.name)
    return f"the name {model.name} says {named[1]}" if named else ""


def _hash_files(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        now = path.stat()
        digest.update(path.name.encode() + b"\0" + _hash_file(path.resolve(), now.st_size, now.st_mtime_ns))
    return digest.hexdigest()


@cache
def _hash_file(path: Path, size: int, mtime_ns: int) -> bytes:
    """A file as it was at that time: a plan with a search asks for the same model some hundred times."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
