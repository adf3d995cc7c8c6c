"""What a training step asks of the machinery under it.

One decision: the loop speaks to an engine of six verbs (accumulate, step, reduce, state and restore, judging, save), so
that adapters in one process and full fine-tuning under DeepSpeed on many are the same loop. No graph of gradients
crosses the seam: how a batch's loss weighs its tracks is known before its first forward pass, and the
loop is given sums.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from models.flat import flat_rows
from trainers.batches.rows import Row
from trainers.objective.token_losses import loss_sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A model while it is judged: itself, to generate with, and the loss sums by track of a row."""

    model: Any
    sums: Callable[[Row], Tensor]


class Engine(Protocol):
    """A model with its optimizer; one of `world` processes that see disjoint rows of a batch.

    Attributes:
        rank: This process's number, from 0.
        world: How many there are.
        flat: Whether rows of several examples give what each gives alone; if not, a row is one example.
    """

    rank: int
    world: int
    flat: bool

    def accumulate(self, row: Row, weights: Sequence[float], *, last: bool) -> Tensor:
        """Add up the gradients of a row's loss, the sum over tracks of weight times loss sum.

        `last` says that a step follows. Gradients add up over the calls of a step and over processes. Returns the
        loss sums by track, (tracks,), where the model is.
        """

    def set_aside(self) -> None:
        """Keep the gradients added up so far apart from those to come; the step projects those that are kept apart.

        Every process calls it, and not within a row of several tracks. Adapters alone can.
        """

    def step(self, *, learning_rate: float) -> float:
        """Clip, update, clear; returns the gradients' norm over all processes before clipping."""

    def reduce(self, sums: Tensor) -> Tensor:
        """The sum of all processes' numbers, in 64 bits on the CPU; every process calls it."""

    def state(self, folder: Path) -> None:
        """Leave in a folder what a training needs to go on as if it had never stopped; every process calls it."""

    def restore(self, folder: Path) -> None:
        """Go on from what `state` left; every process calls it."""

    def judging(self) -> AbstractContextManager[Judged]:
        """The model without dropout, and without gradients, until the block ends, however it ends."""

    def save(self, folder: Path) -> None:
        """Write weights as peft or transformers saves them; every process calls it."""

    def parameters(self) -> tuple[int, int]:
        """How many weights are trained, and how many there are."""

    def peak_bytes(self) -> int:
        """The most memory that was held at once: of the GPU where there is one, else of this process."""


class LossModule(torch.nn.Module):
    """The model with its loss, as one module: what a distributed engine wraps."""

    def __init__(self, model: Any, *, num_tracks: int, autocast: bool, flat: bool, smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.num_tracks, self.flat, self.smoothing = num_tracks, flat, smoothing
        self.autocast = autocast

    def forward(self, row: Row) -> Tensor:
        """Loss sums by track; see `loss_sums`. Labels are smoothed in training alone."""
        device = next(self.model.parameters()).device.type
        smoothing = self.smoothing if torch.is_grad_enabled() else 0.0
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.autocast):
            return loss_sums(self.model, row, num_tracks=self.num_tracks, flat=self.flat, smoothing=smoothing)

    @contextmanager
    def attending(self) -> Iterator[None]:
        """The attention that rows need, for a forward pass and for what its backward pass makes again."""
        with flat_rows(self.model) if self.flat else nullcontext():
            yield


def weighted(sums: Tensor, weights: Sequence[float]) -> Tensor:
    """The loss of a row."""
    return (sums * torch.tensor(weights, dtype=sums.dtype, device=sums.device)).sum()
