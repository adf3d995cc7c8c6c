"""The base model that a process holds, and the adapter that lies on it now.

One decision: a base is read once and kept while adapters come and go. Reading a base of billions of weights for
each adapter of some megabytes would take most of a study's generation. It is only ever evaluated here, and the
4-bit layers that some CPUs repack at their first evaluation are kept so, so that every adapter finds the same base;
those whose widths the kernels for CPUs do not take are held in 16 bits.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from models.loading import load_adapter, load_base, load_tokenizer
from models.quantised import dequantise_unfit, kept_packed
from models.spec import ModelSpec, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What is read once. `weights` is a folder of fully trained ones, in place of the model's own."""

    model: ModelSpec
    precision: Precision
    device: torch.device
    weights: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A model in evaluation mode with its tokenizer, until the shelf is asked again."""

    model: Any
    tokenizer: Any


class ModelShelf:
    """Holds one base with one adapter at most; not for several threads."""

    def __init__(self) -> None:
        self._base: Base | None = None
        self._model: PreTrainedModel | None = None
        self._tokenizer: Any = None
        self._adapted: Any = None
        self._adapter: Path | None = None
        self._adapters_seen = 0
        # How often a base was read from disk.
        self.reads = 0

    def ready(self, base: Base, *, adapter: Path | None = None) -> Ready:
        """The base with an adapter, or the base alone.

        Raises:
            ModelError: if the base cannot be read.
        """
        try:
            model = self._held(base)
            if adapter is not None:
                return Ready(model=self._with(model, adapter), tokenizer=self._tokenizer)
            if self._adapted is not None:
                self._adapted.base_model.disable_adapter_layers()
            return Ready(model=model, tokenizer=self._tokenizer)
        except BaseException:
            # A base that an adapter was half put on is of no use.
            self.clear()
            raise

    def clear(self) -> None:
        """Let go of what is held."""
        self._base = self._model = self._tokenizer = self._adapted = self._adapter = None

    def _held(self, base: Base) -> PreTrainedModel:
        if self._model is None or self._base != base:
            self.reads += 1
            self.clear()  # frees the previous model before the next is loaded
            self._tokenizer = load_tokenizer(base.model)
            self._model = load_base(base.model, precision=base.precision, device=base.device, weights=base.weights)
            if base.device.type == "cpu":
                dequantise_unfit(self._model)
            self._model.eval()
            self._base = base
        return self._model

    def _with(self, model: PreTrainedModel, adapter: Path) -> Any:
        """Put an adapter on; the one before it is deleted, since a study may have hundreds."""
        if self._adapted is not None:
            self._adapted.base_model.enable_adapter_layers()
        if self._adapter == adapter:
            return self._adapted
        previous, name = f"adapter{self._adapters_seen}", f"adapter{self._adapters_seen + 1}"
        self._adapters_seen += 1
        with kept_packed(model):
            if self._adapted is None:
                self._adapted = load_adapter(model, adapter, name=name)
            else:
                self._adapted.load_adapter(str(adapter), adapter_name=name, torch_device=str(model.device))
                self._adapted.set_adapter(name)
                self._adapted.delete_adapter(previous)
                self._adapted.eval()
        self._adapter = adapter
        return self._adapted
