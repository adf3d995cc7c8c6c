"""What a training step asks of the machinery under it.

One decision: the loop speaks to an engine of five verbs, so that LoRA in one process and full fine-tuning
under DeepSpeed on many are the same loop.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from trainers.batches.rows import Batch
from trainers.objective.token_losses import loss_sums


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


class LossModule(torch.nn.Module):
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
