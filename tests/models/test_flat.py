"""Flat rows against each family's own forward pass, at every position, with windows that are reached.

One decision: real small models of the families in 32 bits with weights ten times as wide as a fresh model's, since
arithmetic that is wrong hardly shows on weights near zero.
"""

import inspect
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from models import flat

SIZES = {
    "vocab_size": 256,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "initializer_range": 0.12,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WINDOW = {"sliding_window": 16}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": SIZES,
    "qwen2": {**SIZES, **WINDOW, "use_sliding_window": True, "max_window_layers": 0},
    "mistral": {**SIZES, **WINDOW},
    "gemma3_text": {**SIZES, **WINDOW, "head_dim": 16},
    "starcoder2": {**SIZES, **WINDOW, "attention_dropout": 0.0, "residual_dropout": 0.0},
    "gpt_neox": {name: value for name, value in SIZES.items() if name != "num_key_value_heads"},
    "granite": {**SIZES, "logits_scaling": 8.0},
    "cohere2": {**SIZES, **WINDOW, "head_dim": 16, "logit_scale": 0.25},
}
OTHERS: dict[str, dict[str, Any]] = {
    "gemma2": {**SIZES, **WINDOW, "head_dim": 16},
    "gpt_oss": {**SIZES, **WINDOW, "head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2},
    "mamba2": {**SIZES, "num_heads": 8, "head_dim": 16, "state_size": 16, "n_groups": 1},
    "bloom": {"vocab_size": 256, "hidden_size": 64, "n_layer": 2, "n_head": 4, "initializer_range": 0.12},
}
LENGTHS = (19, 41, 26)


def model_of(family: str, sizes: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes), dtype=torch.float32).eval()


def examples_of(lengths: Sequence[int], *, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, 256, (1, length), generator=generator) for length in lengths]


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_flat_row_gives_every_position_what_its_example_gives_alone(family: str) -> None:
    model, examples = model_of(family, FAMILIES[family]), examples_of(LENGTHS)
    own = torch.cat([model(input_ids=ids, use_cache=False).logits[0] for ids in examples])
    with flat.flat_rows(model):
        row, segments = torch.cat(examples, dim=1), flat.segments_of(LENGTHS)
        kept = flat.flat_forward(model, row, segments, torch.arange(sum(LENGTHS)))
        chunked = flat.own_logits(model, flat.hidden_states(model, row, segments))
    for name, logits in (("kept", kept), ("by the head alone", chunked)):
        assert (logits.log_softmax(-1) - own.log_softmax(-1)).abs().max() < 2e-5, name
    assert flat.path_of(model) == "flat"


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_another_example_in_a_row_changes_no_logit_of_the_others(family: str) -> None:
    model, examples = model_of(family, FAMILIES[family]), examples_of(LENGTHS)
    changed = [examples[0], examples_of(LENGTHS, seed=1)[1], examples[2]]
    with flat.flat_rows(model):
        segments, keep = flat.segments_of(LENGTHS), torch.arange(sum(LENGTHS))
        before, after = (flat.flat_forward(model, torch.cat(row, dim=1), segments, keep) for row in (examples, changed))
    assert torch.equal(before[:19], after[:19])
    assert torch.equal(before[60:], after[60:])
    assert not torch.allclose(before[19:60], after[19:60])


@pytest.mark.parametrize("family", OTHERS)
def test_family_that_wants_more_of_its_attention_is_not_laid_flat(family: str) -> None:
    model = model_of(family, OTHERS[family])
    was = model.config._attn_implementation
    assert flat.path_of(model) == "single"
    assert model.config._attn_implementation == was
    with torch.no_grad():
        (ids,) = examples_of((23,))
        alone = flat.own_logits(model, flat.hidden_states(model, ids, None))
        assert torch.equal(alone, model(input_ids=ids, use_cache=False).logits[0])


def test_model_with_dropout_of_its_own_in_attention_is_not_laid_flat() -> None:
    model = model_of("llama", {**SIZES, "attention_dropout": 0.1}).train()
    assert flat.path_of(model) == "single"
    assert model.training


def test_what_flat_attention_does_not_compute_it_refuses_by_name() -> None:
    query = torch.randn(1, 4, 6, 8)
    segments = flat.segments_of((4, 2))

    def ask(**wanted: Any) -> None:
        flat.flat_attention(torch.nn.Identity(), query, query, query, None, **({"segments": segments} | wanted))

    ask()
    for name in ("softcap", "s_aux", "position_bias"):
        with pytest.raises(ValueError, match=f"no attention with {name}"):
            ask(**{name: 1.0})
    with pytest.raises(ValueError, match=r"no attention with attention dropout 0\.1"):
        ask(dropout=0.1)
    with pytest.raises(ValueError, match="passes no boundaries"):
        ask(segments=None)


def test_boundaries_are_32_bit_and_of_one_length() -> None:
    few, many = flat.segments_of((5, 7)), flat.segments_of((3,) * 40)
    assert few.cu_seqlens.dtype == torch.int32
    assert few.cu_seqlens.shape == many.cu_seqlens.shape == (64,)
    assert few.cu_seqlens[:4].tolist() == [0, 5, 12, 12]
    assert (few.max_len, list(few.bounds())) == (128, [(0, 5), (5, 12)])


def test_row_that_a_kernel_would_miscount_is_seen() -> None:
    assert flat.fits_kernel(tokens=2**19 - 128, examples=1, heads=32, head_size=127)
    assert not flat.fits_kernel(tokens=2**19 - 128, examples=1, heads=32, head_size=128)
    # Each example is rounded up to a tile of 128 tokens.
    assert not flat.fits_kernel(tokens=2**18, examples=2048, heads=32, head_size=128)


@pytest.mark.parametrize("groups", [True, False], ids=["with grouped heads", "without"])
def test_kernel_is_asked_in_the_words_of_its_version(groups: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel itself needs a GPU: what it is asked is compared with the examples one by one."""
    asked: list[dict[str, Any]] = []

    def grouped(q: Any, k: Any, v: Any, cu_q: Any, cu_k: Any, max_q: int, max_k: int, **how: Any) -> Any:
        asked.append({"heads": k.shape[1], "longest": max_q, **how})
        assert torch.equal(cu_q, cu_k)
        bounds = cu_q.unique().tolist()
        segments = flat.segments_of([end - start for start, end in pairwise(bounds)])
        q, k, v = (tensor.transpose(0, 1)[None] for tensor in (q, k, v))
        window = how["window_size"][0] + 1 or None
        return flat._by_example(q, k, v, segments=segments, scale=how["scale"], window=window)[0]

    query, key, value = torch.randn(1, 4, 60, 8), torch.randn(1, 2, 60, 8), torch.randn(1, 2, 60, 8)
    segments = flat.segments_of((19, 41))
    monkeypatch.setattr(flat, "_varlen_kernel", lambda: (grouped, groups))
    for window in (None, 16):
        told: dict[str, Any] = {"segments": segments, "scale": 0.3, "window": window}
        expected = flat._by_example(query, key, value, **told)
        torch.testing.assert_close(flat._varlen(query, key, value, **told), expected)
        assert asked[-1]["window_size"] == ((-1, 0) if window is None else (15, 0))
        assert asked[-1]["heads"] == (2 if groups else 4)
        assert asked[-1].get("enable_gqa", False) is groups


def test_installed_kernel_has_the_words_that_are_used() -> None:
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    assert {"scale", "window_size"} <= set(known)
    assert flat._varlen_kernel()[1] is ("enable_gqa" in known)
