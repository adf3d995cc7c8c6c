"""A small copy of an architecture: every kind of layer that it has, in a few layers of small matrices, random weights.

What a model computes does not depend on how wide it is, so whether two ways of computing it agree is seen on a copy of
a hundred thousand weights in less than a second, without the model's own.

One decision: sizes are found by the names that configurations give them, and what came of it is compared with the
whole model, laid out without memory: a copy that lacks a kind of layer of the whole is no copy.
"""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

WINDOW = 16
_HIDDEN, _HEADS, _HEAD = 64, 4, 16
_VOCABULARY = 512
_MOST_WEIGHTS = 30_000_000
# Weights this far from zero make wrong arithmetic show; with the usual 0.02 it hardly does.
_RANGE = 0.12
_SIZES: dict[str, int] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "lru_width", "mamba_d_ssm"), _HIDDEN),
    **dict.fromkeys(("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", "shared_intermediate_size"), 128),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "intermediate_size_mlp"), 64),
    **dict.fromkeys(("block_dim", "block_ff_dim", "conv_dim", "conv_dim_out"), _HIDDEN),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "linear_num_value_heads"), _HEADS),
    **dict.fromkeys(("linear_num_key_heads",), 2),
    **dict.fromkeys(("head_dim", "v_head_dim", "linear_key_head_dim", "linear_value_head_dim", "mamba_d_head"), _HEAD),
    **dict.fromkeys(("attention_head_dim", "global_head_dim"), _HEAD),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "rotary_dim", "hidden_size_per_layer_input"), 8),
    **dict.fromkeys(("kv_lora_rank", "q_lora_rank", "state_size", "ssm_state_size", "mamba_d_state"), 16),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk", "moe_k", "top_k"), 2),
    **dict.fromkeys(("n_group", "topk_group", "n_groups", "mamba_n_groups", "n_shared_experts"), 1),
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), _VOCABULARY),
    **dict.fromkeys(("sliding_window", "window_size", "attention_window_size", "attention_chunk_size"), WINDOW),
    **dict.fromkeys(("first_k_dense_replace", "mamba_dt_rank", "time_step_rank", "laurel_rank"), 1),
    "dim_model_base": 32,
    "chunk_size": 8,
    "mamba_chunk_size": 8,
}
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_KEY_VALUE = ("num_key_value_heads", "num_kv_heads")
# How often a kind of layer comes; the least that still has it among few layers.
_PERIODS = {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1}
_RANGES = ("initializer_range", "init_std")
_NEVER = ("quantization_config", "transformers_version", "_name_or_path", "dtype", "torch_dtype", "architectures")


class CannotShrink(ValueError):
    """An architecture of which no small copy could be made; the message says why."""


def shrunken(config: Any, *, seed: int = 0, vocabulary: int = _VOCABULARY) -> nn.Module:
    """A small model of an architecture in 32 bits, in evaluation mode.

    Args:
        config: The whole one's configuration.
        seed: Of the random weights.
        vocabulary: The most tokens that the copy has embeddings for.

    Raises:
        CannotShrink: if none could be built that has all of its kinds of layers.
        ValueError: what transformers says of a configuration that is no causal language model.
    """
    whole = kinds_of_layers(hollow(config))
    reasons: list[str] = []
    for made in _candidates(config, {"vocab_size": vocabulary, "vocab_size_per_layer_input": vocabulary}):
        try:
            small = made()
            weights = sum(parameter.numel() for parameter in hollow(small).parameters())
            if weights > _MOST_WEIGHTS:
                reasons.append(f"a copy would have {weights / 1e6:.0f} million weights")
                continue
            model = _built(small, seed)
            lacking = whole - kinds_of_layers(model)
            if lacking:
                reasons.append(f"a copy lacks {', '.join(sorted(lacking))}")
                continue
            _tried(model)
        except Exception as error:  # whatever a family's own code says of sizes that do not go together
            reasons.append(said(error))
            continue
        return model
    raise CannotShrink(f"no small copy of {config.model_type} could be made: {'; '.join(dict.fromkeys(reasons))}")


def hollow(config: Any) -> nn.Module:
    """The whole model without memory for its weights."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model: nn.Module = AutoModelForCausalLM.from_config(_plain(config), dtype=torch.float32)
    return model


def kinds_of_layers(model: nn.Module) -> set[str]:
    """Names of the classes of all modules below a model."""
    return {type(module).__name__ for module in model.modules()}


def said(error: Exception) -> str:
    """What an exception of a family's own code says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # A class of settings that refuses itself says why in the last line.
    text = lines[-1 if "validation" in type(error).__name__.lower() else 0] if lines else ""
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


def _candidates(config: Any, vocabulary: dict[str, int]) -> Iterator[Callable[[], Any]]:
    """Copies, the smallest first: a family may need more layers, or sizes that hang together as its own do."""
    sizes = {**_SIZES, **vocabulary}
    without_heads = {name: size for name, size in sizes.items() if "head_dim" not in name}
    window = {name: WINDOW for name in ("sliding_window", "window_size")}
    for layers, chosen in (*((n, sizes) for n in (2, 4, 6, 8, 12)), (4, without_heads), (4, {**vocabulary, **window})):
        yield partial(_small, config, layers, chosen)


def _plain(config: Any) -> Any:
    whole = copy.deepcopy(config)
    if getattr(whole, "quantization_config", None) is not None:
        del whole.quantization_config
    return whole


def _small(config: Any, layers: int, sizes: dict[str, int]) -> Any:
    """A configuration of the same class with small sizes, and with layers of every kind that it names."""
    raw = {name: value for name, value in config.to_dict().items() if name not in _NEVER}
    text = raw.get("text_config")
    if isinstance(text, dict):
        raw["text_config"] = _small_values(text, layers, sizes)
    small = type(config).from_dict(_small_values(raw, layers, sizes))
    small._attn_implementation = config._attn_implementation
    return small


def _small_values(raw: dict[str, Any], layers: int, sizes: dict[str, int]) -> dict[str, Any]:
    was = next((raw[name] for name in _LAYERS if isinstance(raw.get(name), int)), layers)
    chosen = _chosen_layers(raw, was, min(layers, was))
    found: dict[str, Any] = {}
    for name, value in raw.items():
        if isinstance(value, list) and len(value) == was and name not in ("eos_token_id",):
            found[name] = [_small_entry(value[i], sizes.get(name)) for i in chosen]
        else:
            found[name] = _small_value(name, value, raw, len(chosen), sizes)
    if "attention_types" in found:
        found.pop("attention_layers", None)
    return found


def _small_value(name: str, value: Any, raw: dict[str, Any], layers: int, sizes: dict[str, int]) -> Any:
    if name in _LAYERS:
        return layers
    if name in _RANGES:
        return _RANGE
    if name.endswith("_token_id") or name.endswith("_token_index"):
        return {"pad_token_id": 0, "bos_token_id": 1}.get(name, 2) if value is not None else None
    if name == "attention_types" and value:
        return [[value[0][0][:2] if len(value[0][0]) > 1 else value[0][0], -(-layers // min(2, len(value[0][0])))]]
    if name in ("rope_parameters", "rope_scaling") and isinstance(value, dict):
        return _small_rope(value)
    if value is None or isinstance(value, bool | str | list | dict):
        return value
    if name in _KEY_VALUE:
        heads = raw.get("num_attention_heads") or raw.get("n_head") or value
        return max(1, sizes.get("num_attention_heads", heads) // max(1, heads // value))
    if name in _PERIODS:
        return _PERIODS[name]
    if name == "mamba_n_heads" or (name == "num_heads" and "state_size" in raw):
        # Mamba 2: heads x their size is what its inner width is.
        widened = 1 if raw.get("mamba_d_ssm") else raw.get("mamba_expand", raw.get("expand", 2))
        size = raw.get("mamba_d_head", raw.get("head_dim"))
        return int(widened * _HIDDEN) // (min(_HEAD, size) if isinstance(size, int) else _HEAD)
    if name == "num_kv_shared_layers":
        return min(value, max(0, layers - 2))
    return min(sizes[name], value) if name in sizes and value > 0 else value


def _small_rope(rope: dict[str, Any]) -> dict[str, Any]:
    """Rotary settings whose lists are as long as half a head."""
    found: dict[str, Any] = {}
    for name, value in rope.items():
        if isinstance(value, dict):
            found[name] = _small_rope(value)
        elif name in ("short_factor", "long_factor"):
            found[name] = value[: _HEAD // 2]
        elif name == "mrope_section":
            found[name] = [_HEAD // 4, _HEAD // 8, _HEAD // 8]
        else:
            found[name] = value
    return found


def _small_entry(value: Any, most: int | None) -> Any:
    """A layer's own size, where a list gives each layer one."""
    return value if most is None or isinstance(value, bool) or not isinstance(value, int) else min(value, most)


def _chosen_layers(raw: dict[str, Any], was: int, layers: int) -> list[int]:
    """Numbers of the layers to keep: every kind that any list of layers names, then the first ones."""
    lists = [value for value in raw.values() if isinstance(value, list) and len(value) == was]
    kinds = [repr([one[i] for one in lists]) for i in range(was)]
    first = sorted({kinds.index(kind) for kind in kinds})
    more = [i for i in range(was) if i not in first]
    return sorted([*first, *more[: max(0, layers - len(first))]])


def _built(config: Any, seed: int) -> nn.Module:
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: nn.Module = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        _shake(model)
    return model.eval()


def _shake(model: nn.Module) -> None:
    """Move gains off one and biases off zero, or leaving them out would not show."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1 and parameter.is_floating_point():
                parameter.add_(0.1 * torch.randn_like(parameter))


def _tried(model: Any) -> None:
    with torch.no_grad():
        logits = model(input_ids=torch.arange(3, 23)[None], use_cache=False).logits
    if not torch.isfinite(logits).all():
        raise CannotShrink("its logits are not finite")


__all__ = ["WINDOW", "CannotShrink", "hollow", "kinds_of_layers", "said", "shrunken"]
