"""Fused kernels: where they are put on, what is asked of their library, and what is said where they are not."""

from typing import Any

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from models.kernels import Applied, apply_kernels, apply_known


def tiny() -> Qwen2ForCausalLM:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=32, num_hidden_layers=1, **sizes))  # type: ignore[arg-type]


def test_a_model_on_a_cpu_is_left_as_it_is() -> None:
    assert apply_kernels(tiny()) == Applied(why_not="the model is not on a GPU")


def test_a_family_without_kernels_is_left_as_it_is_and_named() -> None:
    assert apply_known(tiny(), {}).why_not == "liger-kernel has no kernels for qwen2"


def test_the_loss_stays_ours() -> None:
    asked: dict[str, Any] = {}

    def apply(
        rope: bool = False,
        cross_entropy: bool = True,
        fused_linear_cross_entropy: bool = True,
        rms_norm: bool = False,
        swiglu: bool = False,
        model: Any = None,
    ) -> None:
        asked.update(
            rope=rope, cross_entropy=cross_entropy, fused_linear_cross_entropy=fused_linear_cross_entropy,
            rms_norm=rms_norm, swiglu=swiglu, model=model,
        )  # fmt: skip
        raise ImportError("stops before anything is put on")

    model = tiny()
    assert apply_known(model, {"qwen2": apply}).why_not == (
        "liger-kernel failed on qwen2: stops before anything is put on"
    )
    assert asked.pop("model") is model
    assert asked == {
        "rope": True, "rms_norm": True, "swiglu": True, "cross_entropy": False, "fused_linear_cross_entropy": False,
    }  # fmt: skip


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_with_kernels_gives_what_it_gave_before() -> None:
    pytest.importorskip("liger_kernel")
    model, ids = tiny().cuda(), torch.arange(20)[None].cuda()
    before = model(input_ids=ids).logits
    applied = apply_kernels(model)
    assert applied.kernels == ("rope", "rms_norm", "swiglu")
    assert torch.allclose(model(input_ids=ids).logits, before, rtol=1e-2, atol=1e-3)
