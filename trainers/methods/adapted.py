"""The adapted projection y = base(x) + s drop(x) A^T B^T as one autograd function (LoRA, Hu et al. 2021).

peft computes it as seven operations that each keep what they made: the input cast to 32 bits, its dropped copy, the
mask, the product before and after scaling. Here x is kept once for all projections that read it, with its product by A
(rank numbers a token); dropout is hashed again in the backward pass, and scale and sum happen inside the product.

One decision: only A and B, their gradients and moments are 32-bit; products are in the precision of the model. What
this does not compute (DoRA, biases, merged or several active adapters) stays with peft's own forward, layer by layer.

Letters of shapes: T tokens of a row, I inputs, O outputs, R rank.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainers.methods.dropout import Dropout, DropoutKey, MaskKey, kept_share, layer_words, threshold_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The tokens start:end of a row that an adapter is for, its scale, and the key of their mask (None: no dropout)."""

    start: int
    end: int
    scale: float
    mask: MaskKey | None = None

    @property
    def factor(self) -> float:
        """The scale, with what makes up for dropped elements."""
        return self.scale if self.mask is None else self.scale / kept_share(self.mask.threshold)


class LowRank(torch.autograd.Function):
    """A frozen projection with the adapters of a row's slots; `matrices` are A [R, I] and B [O, R] of each slot."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, base: torch.nn.Module, dtype: torch.dtype, slots: Sequence[Slot], *matrices: Tensor
    ) -> Tensor:
        """The base is called in here, where nothing is recorded, so its output is ours to write."""
        ctx.base, ctx.dtype, ctx.slots = base, dtype, slots
        cast = x.to(dtype)
        y: Tensor = base(cast)
        x_TI, y_TO = cast.reshape(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        hidden = []
        for slot, A_RI, B_OR in zip(slots, matrices[::2], matrices[1::2], strict=True):
            part_TI = x_TI[slot.start : slot.end]
            fed_TI = part_TI if slot.mask is None else Dropout(slot.mask, part_TI).kept(part_TI)
            h_TR = fed_TI @ A_RI.to(dtype).T
            y_TO[slot.start : slot.end].addmm_(h_TR, B_OR.to(dtype).T, alpha=slot.factor)
            hidden.append(h_TR)
        # x as it came: its copy in another precision would be kept once for each projection.
        ctx.save_for_backward(x, *hidden, *matrices)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
        """Gradients of x, and of each slot's A and B in 32 bits."""
        x, *rest = ctx.saved_tensors
        hidden, matrices = rest[: len(ctx.slots)], rest[len(ctx.slots) :]
        x_TI, dy_TO = x.reshape(-1, x.shape[-1]).to(ctx.dtype), dy.reshape(-1, dy.shape[-1]).to(ctx.dtype)
        dx_TI = dy_TO @ frozen_weight(ctx.base, ctx.dtype) if ctx.needs_input_grad[0] else None
        gradients: list[Tensor] = []
        for slot, h_TR, A_RI, B_OR in zip(ctx.slots, hidden, matrices[::2], matrices[1::2], strict=True):
            part = slice(slot.start, slot.end)
            gradients += _backward(
                slot, x_TI[part], dy_TO[part], None if dx_TI is None else dx_TI[part], h_TR, A_RI, B_OR
            )
        dx = None if dx_TI is None else dx_TI.view(x.shape).to(x.dtype)
        return (dx, None, None, None, *gradients)


def _backward(
    slot: Slot, x_TI: Tensor, dy_TO: Tensor, dx_TI: Tensor | None, h_TR: Tensor, A_RI: Tensor, B_OR: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of one slot's A and B; what goes to x is added to `dx_TI`."""
    dtype = x_TI.dtype
    dh_TR = (dy_TO @ B_OR.to(dtype)).mul_(slot.factor)
    dropout = None if slot.mask is None else Dropout(slot.mask, x_TI)
    fed_TI = x_TI if dropout is None else dropout.kept(x_TI)
    dA_RI = (dh_TR.T @ fed_TI).float()
    dB_OR = (dy_TO.T @ h_TR).float().mul_(slot.factor)
    if dx_TI is not None:
        if dropout is None:
            dx_TI.addmm_(dh_TR, A_RI.to(dtype))
        else:
            dropout.add_(dx_TI, dh_TR @ A_RI.to(dtype))
    return dA_RI, dB_OR


def frozen_weight(base: torch.nn.Module, dtype: torch.dtype) -> Tensor:
    """A base projection's weight [O, I] in a precision; 4-bit ones are read out for the moment."""
    weight: Any = base.weight
    if getattr(weight, "quant_state", None) is None:
        plain: Tensor = weight.to(dtype)
        return plain
    from bitsandbytes.functional import dequantize_4bit

    whole: Tensor = dequantize_4bit(weight.data, weight.quant_state).to(dtype)
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Which adapted layers of a model run through `LowRank`, and which peft computes itself."""

    own: tuple[str, ...]
    by_peft: tuple[str, ...]


def adapt(model: torch.nn.Module, key: DropoutKey) -> Coverage:
    """Let a peft model's adapted projections compute through `LowRank`, with dropout by `key`; it stays peft's."""
    for name, found in model.named_modules():
        module: Any = found
        if isinstance(found, LoraLayer) and (isinstance(module, _Own) or _applies_to(module)):
            if not isinstance(module, _Own):
                module.__class__ = _class_over(type(found))
            module.dropout_key, module.words = key, layer_words(_plain(name))
    return coverage_of(model)


def coverage_of(model: torch.nn.Module) -> Coverage:
    """How `adapt` left a model."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    own = tuple(name for name, module in layers.items() if isinstance(module, _Own))
    return Coverage(own=own, by_peft=tuple(name for name in layers if name not in own))


def _plain(name: str) -> str:
    """A module's name without peft's wrapping, by which the same layer has the same masks however it is held."""
    return name.removeprefix("base_model.model.")


def _applies_to(module: Any) -> bool:
    """A linear projection, in 4 bits or not, with nothing on it but A and B."""
    base = module.get_base_layer()
    plain = type(base) is torch.nn.Linear or type(base).__name__ == "Linear4bit"
    known = type(module).__name__ in ("Linear", "Linear4bit") and not getattr(module, "fan_in_fan_out", False)
    return plain and known and not module.lora_variant and not any(module.lora_bias.values())


class _Own:
    """What is laid over a peft layer's class."""

    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The layer's output; whatever is not the ordinary case is peft's."""
        active = [name for name in self.active_adapters if name in self.lora_A]
        if self.disable_adapters or self.merged or args or kwargs or len(active) != 1:
            result: Tensor = super().forward(x, *args, **kwargs)  # type: ignore[misc]
            return result
        name = active[0]
        tokens = x.numel() // x.shape[-1]
        mask = _mask_key(self, name, x, tokens)
        slot = Slot(start=0, end=tokens, scale=self.scaling[name], mask=mask)
        matrices = (self.lora_A[name].weight, self.lora_B[name].weight)
        y: Tensor = LowRank.apply(x, self.base_layer, _precision(x), (slot,), *matrices)  # type: ignore[no-untyped-call]
        return y


def _mask_key(layer: Any, name: str, x: Tensor, tokens: int) -> MaskKey | None:
    threshold = threshold_of(getattr(layer.lora_dropout[name], "p", 0.0)) if layer.training else 0
    if not threshold:
        return None
    words_2T = layer.dropout_key.words_2T(x.device)
    if words_2T.shape[1] != tokens:
        raise ValueError(
            f"an adapted projection reads {tokens} tokens where the row has {words_2T.shape[1]}, so dropout by token "
            "has no meaning there; set lora.dropout: 0, or leave that projection out of lora.targets"
        )
    return MaskKey(words_2T=words_2T, layer=layer.words, threshold=threshold)


def _precision(x: Tensor) -> torch.dtype:
    """What products are computed in; autocast does not reach into a function of one's own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


@functools.cache
def _class_over(kind: type) -> type:
    return type(kind.__name__, (_Own, kind), {})
