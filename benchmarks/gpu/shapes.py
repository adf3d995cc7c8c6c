"""Models of known sizes with random weights, made where they are measured: no download and no files.

One decision: sizes come from the table that plans studies, so what is measured is what the planner speaks of.
"""

from typing import Any

import torch
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from models.shapes import Shape, Unknown, shape_of
from models.spec import ModelSpec

TINY = Shape(layers=2, hidden=64, intermediate=192, heads=4, key_value_heads=2, vocabulary=512, tied=True)


def sized(name: str) -> Shape:
    """The sizes of a model that ships with polytune's table, or of `tiny`."""
    shape = TINY if name == "tiny" else shape_of(ModelSpec(name=name))
    assert not isinstance(shape, Unknown), shape
    return shape


def random_model(name: str, *, device: torch.device, precision: torch.dtype, nf4: bool = False) -> PreTrainedModel:
    """A Qwen2 of a model's sizes with fresh weights on a device; `nf4` holds its projections in 4 bits."""
    shape = sized(name)
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=32_768,
        tie_word_embeddings=shape.tied,
        dtype=precision,
    )
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(precision)
    try:
        with device:
            model = Qwen2ForCausalLM(config)
    finally:
        torch.set_default_dtype(default)
    if nf4:
        _quantise(model, device, precision)
    return model.train()


def _quantise(model: PreTrainedModel, device: torch.device, precision: torch.dtype) -> None:
    """Hold all linear layers but the output in NF4 with doubly quantised scales, as a loaded base has them."""
    import bitsandbytes as bnb

    options: dict[str, Any] = {"quant_type": "nf4", "compress_statistics": True}
    for parent in list(model.model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is not torch.nn.Linear:
                continue
            biased = child.bias is not None
            with torch.device("meta"):
                layer = bnb.nn.Linear4bit(  # type: ignore[attr-defined]
                    child.in_features, child.out_features, bias=biased, compute_dtype=precision, **options
                )
            layer.bias = child.bias
            weight = bnb.nn.Params4bit(child.weight.data, requires_grad=False, **options)  # type: ignore[attr-defined]
            layer.weight = weight.to(device)
            setattr(parent, name, layer)
