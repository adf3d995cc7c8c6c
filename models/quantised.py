"""4-bit layers: the mode that they must be in, and what may not be done to them once they were evaluated.

On some CPUs (AVX512-BF16) bitsandbytes repacks a 4-bit layer at its first evaluation forward, and unpacks it when its
state is read. Neither is harmless. Training on packed weights gives garbage. Unpacking quantises the scales anew, by
which logits of up to 10 moved by 0.13, so a base that an adapter was swapped on would no longer be the base.

Its packed kernel takes some widths alone (`models.widths`). A layer of others is made a plain one in 16 bits, once,
which computes what the layer computes in training mode, bit for bit.

One decision: 4-bit layers never leave training mode while their process trains, so validation switches off dropout and
leaves those layers alone; and a process that generates keeps them as they are once they are packed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import linear

from models.widths import takes_packed


def layers_4bit(model: torch.nn.Module) -> list[Any]:
    """A model's 4-bit layers. It imports nothing: who has such layers has imported bitsandbytes."""
    layers = sys.modules.get("bitsandbytes.nn.modules")
    if layers is None:
        return []
    return [module for module in model.modules() if isinstance(module, layers.Linear4bit)]


def set_evaluating(model: torch.nn.Module, evaluating: bool) -> None:
    """Switch dropout and the like; 4-bit layers stay in training mode (see this module's docstring)."""
    model.train(not evaluating)
    for layer in layers_4bit(model):
        layer.training = True


@contextmanager
def kept_packed(model: torch.nn.Module) -> Iterator[None]:
    """Keep 4-bit layers as they are while something reads the model's state, as peft does to put an adapter on.

    The weights may not be read or run meanwhile: layers that are packed say that they are not.
    """
    states = [state for layer in layers_4bit(model) if (state := layer.weight.quant_state) is not None]
    packed = [state for state in states if getattr(state, "packing_format_for_cpu", False)]
    for state in packed:
        state.packing_format_for_cpu = False
    try:
        yield
    finally:
        for state in packed:
            state.packing_format_for_cpu = True


class Dequantised(torch.nn.Linear):
    """What a 4-bit layer computes when it is not packed: products in 16 bits, given back as they came."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See `torch.nn.Linear`."""
        return linear(x.to(self.weight.dtype), self.weight, self.bias).to(x.dtype)


def dequantise_unfit(model: torch.nn.Module) -> int:
    """Put plain layers in place of a CPU's 4-bit layers that its kernels cannot take, and say how many there were."""
    quantised = set(layers_4bit(model))
    unfit = {
        name: module
        for name, module in model.named_modules()
        if module in quantised and not takes_packed(module.in_features, module.out_features)
    }
    for name, layer in unfit.items():
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, _dequantised(layer))
    return len(unfit)


def _dequantised(layer: Any) -> Dequantised:
    from bitsandbytes.functional import dequantize_4bit

    products = layer.compute_dtype or torch.bfloat16
    made = Dequantised(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(products)
    made.weight = torch.nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        made.bias = torch.nn.Parameter(layer.bias.detach().to(products), requires_grad=False)
    return made.train(layer.training)
