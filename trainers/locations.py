"""Where base models lie and what identifies them, without loading anything.

One decision: planning hashes files and reads presets; it never imports torch.
"""

import hashlib
from pathlib import Path

from trainers.spec import ModelSpec

_BUILTIN = {"builtin:micro": Path(__file__).parent / "micro" / "base"}
_IDENTITY = (".safetensors", ".json", ".jinja", ".model", ".txt")


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


def _hash_files(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
