"""What a training step asks of the machinery under it, and the one-process machinery.

One decision: the loop in `train.py` speaks to an engine of five verbs, so that LoRA in one process
and full fine-tuning under DeepSpeed on many are the same loop.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from trainers.data import Batch
from trainers.lora import set_evaluating
from trainers.losses import loss_sums
from trainers.spec import TrainingSettings


class Engine(Protocol):
    """A model with its optimizer. `rank` of `world` processes, which see disjoint rows of a batch."""

    model: Any
    rank: int
    world: int

    def sums(self, batch: Batch, *, last: bool) -> tuple[Tensor, Tensor]:
        """Loss sums and token counts by track, (tracks,) each; `last` says that a step follows."""

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients; gradients add up over the calls of a step and over processes."""

    def step(self, *, learning_rate: float) -> float:
        """Clip, update, clear; returns the gradients' norm before clipping."""

    def evaluating(self, on: bool) -> None:
        """Switch dropout off or on."""

    def save(self, folder: Path) -> None:
        """Write weights as peft or transformers saves them; every process calls it."""


class TrackLoss(torch.nn.Module):
    """The model with its loss, as one module: what a distributed engine wraps."""

    def __init__(self, model: Any, *, num_tracks: int, autocast: bool) -> None:
        super().__init__()
        self.model = model
        self.num_tracks = num_tracks
        self.autocast = autocast

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sums and counts by track; see `loss_sums`."""
        with self._precision():
            return loss_sums(self.model, batch, num_tracks=self.num_tracks)

    def _precision(self) -> AbstractContextManager[Any]:
        device = next(self.model.parameters()).device.type
        return torch.autocast(device, dtype=torch.bfloat16, enabled=self.autocast)


class LocalEngine:
    """One process, one device: LoRA and QLoRA."""

    rank = 0
    world = 1

    def __init__(self, model: Any, *, settings: TrainingSettings, num_tracks: int) -> None:
        self.model = model
        self._loss = TrackLoss(model, num_tracks=num_tracks, autocast=settings.precision == "bf16")
        self._settings = settings
        self._trainable = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = optimizer_for(self._trainable, settings=settings)

    def sums(self, batch: Batch, *, last: bool) -> tuple[Tensor, Tensor]:
        """See `Engine`."""
        sums, counts = self._loss(batch)
        return sums, counts

    def backward(self, loss: Tensor) -> None:
        """See `Engine`."""
        loss.backward()  # type: ignore[no-untyped-call]

    def step(self, *, learning_rate: float) -> float:
        """See `Engine`."""
        norm = torch.nn.utils.clip_grad_norm_(self._trainable, self._settings.max_grad_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(norm)

    def evaluating(self, on: bool) -> None:
        """See `Engine`."""
        set_evaluating(self.model, on)

    def save(self, folder: Path) -> None:
        """See `Engine`."""
        self.model.save_pretrained(str(folder))


def optimizer_for(parameters: Iterable[torch.nn.Parameter], *, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW, or bitsandbytes' with 8-bit states (tensors under 4096 elements keep 32-bit ones)."""
    options: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **options)
    from bitsandbytes.optim.adamw import AdamW8bit

    optimizer: torch.optim.Optimizer = AdamW8bit(parameters, **options)
    return optimizer
