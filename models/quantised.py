"""4-bit layers: the mode that they must be in, and what may not be done to them once they were evaluated.

On some CPUs (AVX512-BF16) bitsandbytes repacks a 4-bit layer at its first evaluation forward, and unpacks it when its
state is read. Neither is harmless. Training on packed weights gives garbage. Unpacking quantises the scales anew, by
which logits of up to 10 moved by 0.13, so a base that an adapter was swapped on would no longer be the base.

One decision: 4-bit layers never leave training mode while their process trains, so validation switches off dropout and
leaves those layers alone; and a process that generates keeps them as they are once they are packed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


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
