"""Many adapters over one base at once: each token of a pass goes through the adapter that it is for.

The low-rank products of all adapters of a layer are two products: x by the A of all of them, and back by the B of all,
with the columns of the adapters that a token is not for set to 0 between them. That is a few more columns of a thin
product; in return a pass has the same shape whoever its tokens are for, no token must lie beside another of its
adapter, and a GPU can replay it.

One decision: the arithmetic is training's (`trainers.methods.adapted`): A and B in the precision of the model, the sum
inside the product. What that does not cover (DoRA, biases, modules trained whole) is said to be unfit, and is peft's.

Letters of shapes: T tokens, I inputs, O outputs, W the ranks of all adapters of a layer together, N adapters.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.loading import refuse_other_base
from models.locations import ModelError

_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapter:
    """An adapter as it lies on disk: A [R, I], B [O, R] and the scale of each layer, by the layer's name."""

    folder: Path
    layers: dict[str, tuple[Tensor, Tensor, float]]


@dataclass(slots=True, kw_only=True, eq=False)
class _Layer:
    """A layer's adapters: A of all [W, I], B of all [O, W], and each column's scale by adapter [N + 1, W]."""

    down_WI: Tensor
    up_OW: Tensor
    scales_NW: Tensor


class Rack:
    """The adapters that lie on a base now; not for several threads."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self._rows: Tensor | None = None
        self._picked: dict[int, Tensor] = {}
        self._held: list[Any] = []

    @contextmanager
    def holding(self, adapters: Sequence[Adapter]) -> Iterator[None]:
        """Put adapters on; the n-th is called for by n + 1, and 0 is the base alone.

        Raises:
            ModelError: if the base lacks a layer of an adapter, or has it in another shape.
        """
        modules = dict(self._model.named_modules())
        names = sorted({name for adapter in adapters for name in adapter.layers})
        for adapter in adapters:
            refuse_unfitting(adapter, modules)
        layouts: dict[bytes, Tensor] = {}
        try:
            for name in names:
                self._put(modules[name], _together(name, adapters, model=self._model, layouts=layouts))
            yield
        finally:
            for module in self._held:
                del module.__dict__["forward"]
            self._held, self._rows, self._picked = [], None, {}

    def rows(self, rows_T: Tensor | None) -> None:
        """Say whose each token of the next passes is, (T,): 0 the base's, n + 1 the n-th adapter's."""
        self._rows = rows_T
        self._picked = {}

    def _put(self, module: Any, layer: _Layer) -> None:
        base = module.forward

        def forward(x: Tensor) -> Tensor:
            y: Tensor = base(x)
            if self._rows is None:
                return y
            scales_TW = self._scales(layer)
            h_TW = (x.reshape(-1, x.shape[-1]).to(layer.down_WI.dtype) @ layer.down_WI.T).mul_(scales_TW)
            # What a 4-bit layer gives is a view of something else, so it is not written to.
            added: Tensor = torch.addmm(y.reshape(-1, y.shape[-1]), h_TW.to(y.dtype), layer.up_OW.T.to(y.dtype))
            return added.view(y.shape)

        module.forward = forward
        self._held.append(module)

    def _scales(self, layer: _Layer) -> Tensor:
        """The scales of a layer's columns for the tokens of this pass, drawn once for all layers alike."""
        picked = self._picked.get(id(layer.scales_NW))
        if picked is None:
            assert self._rows is not None, "asked for with rows alone"
            picked = self._picked[id(layer.scales_NW)] = layer.scales_NW[self._rows]
        return picked


def _together(name: str, adapters: Sequence[Adapter], *, model: Any, layouts: dict[bytes, Tensor]) -> _Layer:
    """One layer's matrices of all adapters side by side."""
    down, up, columns = [], [], []
    for place, adapter in enumerate(adapters):
        if name in adapter.layers:
            A_RI, B_OR, scale = adapter.layers[name]
            down.append(A_RI)
            up.append(B_OR)
            columns.append((place + 1, len(A_RI), scale))
    scales_NW = torch.zeros((len(adapters) + 1, sum(rank for _, rank, _ in columns)))
    start = 0
    for row, rank, scale in columns:
        scales_NW[row, start : start + rank] = scale
        start += rank
    key = scales_NW.numpy().tobytes() + str(tuple(scales_NW.shape)).encode()
    where = {"device": model.device, "dtype": model.dtype}
    return _Layer(
        down_WI=torch.cat(down).to(**where),
        up_OW=torch.cat(up, dim=1).to(**where).contiguous(),
        scales_NW=layouts.setdefault(key, scales_NW.to(**where)),
    )


def read_adapter(base: Any, folder: Path) -> Adapter | None:
    """An adapter's matrices, or None where it is more than A and B on linear layers and peft must compute it.

    Args:
        base: The model, or anything else that has its `config`.
        folder: Where the adapter lies.

    Raises:
        ModelError: if it is of another base, is damaged, or holds what is no number.
    """
    from peft import LoraConfig
    from peft.utils.other import get_pattern_key
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        refuse_other_base(base, folder)
        config = LoraConfig.from_pretrained(str(folder))
        tensors = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError, TypeError, json.JSONDecodeError, SafetensorError) as error:
        raise ModelError(f"the adapter in {folder} cannot be read: {error}; train it again") from error
    others = [name for name in tensors if not name.endswith((_DOWN, _UP))]
    special = config.use_dora or config.modules_to_save or config.bias != "none" or config.fan_in_fan_out
    if special or others or getattr(config, "lora_bias", False):
        return None
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise ModelError(f"the adapter in {folder} holds values that are no numbers; its training diverged")
    layers = {}
    for key in (name for name in tensors if name.endswith(_DOWN)):
        name = key.removesuffix(_DOWN)
        path, A_RI, B_OR = name.removeprefix(_PREFIX), tensors[key], tensors.get(name + _UP)
        if B_OR is None:
            raise ModelError(f"the adapter in {folder} has no B for {path}; train it again")
        alpha = config.alpha_pattern.get(get_pattern_key(list(config.alpha_pattern), path), config.lora_alpha)
        rank = config.rank_pattern.get(get_pattern_key(list(config.rank_pattern), path), config.r)
        _refuse_other_rank(folder, path, A_RI, B_OR, rank=rank)
        layers[path] = (A_RI, B_OR, alpha / (rank**0.5 if config.use_rslora else rank))
    return Adapter(folder=folder, layers=layers) if layers else None


def _refuse_other_rank(folder: Path, path: str, A_RI: Tensor, B_OR: Tensor, *, rank: int) -> None:
    """Refuse a layer's matrices that are not of the rank that the adapter's settings say."""
    if A_RI.ndim != 2 or B_OR.ndim != 2 or not len(A_RI) == B_OR.shape[1] == rank:
        shapes = " and ".join("x".join(map(str, tensor.shape)) for tensor in (A_RI, B_OR))
        raise ModelError(
            f"the adapter in {folder} says rank {rank} for {path}, and holds matrices of {shapes}; its settings and "
            "weights are of two trainings: train it again"
        )


def refuse_unfitting(adapter: Adapter, modules: dict[str, Any]) -> None:
    """Refuse an adapter with layers that the base does not have as they are there.

    Raises:
        ModelError: names the first of them.
    """
    for name, (A_RI, B_OR, _) in adapter.layers.items():
        module = modules.get(name)
        if module is None:
            raise ModelError(
                f"the adapter in {adapter.folder} has {name}, which the base has not; use it with its own base"
            )
        wants = B_OR.shape[0], A_RI.shape[1]
        has = getattr(module, "out_features", None), getattr(module, "in_features", None)
        if wants != has:
            raise ModelError(
                f"the adapter in {adapter.folder} is for {name} of {wants[1]} inputs and {wants[0]} outputs, and the "
                f"base has {has[1]} and {has[0]}; use it with its own base"
            )


__all__ = ["Adapter", "Rack", "read_adapter", "refuse_unfitting"]
