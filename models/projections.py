"""Which linear layers a model has, for adapters that go on all of them.

One decision: a study that says `all-linear` and one that lists the same layers are the same study, so the word is
turned into names before a trial is named, by the table here, which needs neither weights nor PyTorch. A family that the
table does not know keeps the word; its layers are read off the model when it is loaded, and the adapter's file lists
them.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from models.locations import location_of
from models.shapes import has_preset
from models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

ALL_LINEAR: Literal["all-linear"] = "all-linear"

_LLAMA = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_NEOX = ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")
# By `model_type` of config.json, each checked against transformers' own modules by a test.
_NAMES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "granite", "cohere", "cohere2",
            "olmo", "olmo2", "olmo3", "stablelm", "exaone4", "ministral", "seed_oss", "helium", "ernie4_5", "smollm3",
        ),
        _LLAMA,
    ),
    **dict.fromkeys(("gpt_neox", "bloom", "falcon", "persimmon"), _NEOX),
    "gpt_bigcode": ("c_attn", "c_proj", "c_fc"),
    "phi": ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"),
    "phi3": ("o_proj", "qkv_proj", "gate_up_proj", "down_proj"),
    "starcoder2": ("q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"),
}  # fmt: skip
# Layers whose weights a fused kernel reads past the layer itself, so that an adapter on them would do nothing.
_BYPASSED = {
    "mamba": ("out_proj",), "mamba2": ("out_proj",), "falcon_mamba": ("out_proj",), "falcon_h1": ("out_proj",),
}  # fmt: skip


def names_known(model: ModelSpec) -> tuple[str, ...] | None:
    """The linear layers of a model's family, or None where only the model itself can tell."""
    config = Path(location_of(model)) / "config.json"
    if config.is_file():
        return _NAMES.get(json.loads(config.read_text(encoding="utf-8")).get("model_type", ""))
    return _NAMES["qwen2"] if has_preset(model) else None


def linear_names(model: "torch.nn.Module") -> tuple[str, ...]:
    """The last parts of the names of a model's linear layers, in the model's order, without its output layer.

    Experts that are held as one tensor for all of them are no linear layers, and get no adapters. On a model that has
    adapters already, the layers under them count and theirs do not.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    kind = getattr(getattr(model, "config", None), "model_type", "")
    own_head: Any = getattr(model, "get_output_embeddings", None)
    head = own_head() if own_head is not None else None
    found = [
        name.removesuffix(".base_layer").rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head and ".lora_" not in name
    ]
    return tuple(name for name in dict.fromkeys(found) if name not in _BYPASSED.get(kind, ()))
