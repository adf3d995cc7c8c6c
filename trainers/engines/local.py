"""One process on one device.

One decision: it asks nothing of the model but a loss, so whatever a method puts around a base trains here.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.quantised import set_evaluating
from trainers.batches.rows import Batch
from trainers.engines.optimizers import optimizer_for
from trainers.engines.protocol import LossModule
from trainers.methods.dropout import DropoutKey
from trainers.spec import TrainingSettings


class LocalEngine:
    """One process, one device. See `trainers.engines.protocol.Engine` for what each verb means."""

    rank = 0
    world = 1

    def __init__(
        self, model: Any, *, settings: TrainingSettings, num_tracks: int, dropout_key: DropoutKey | None = None
    ) -> None:
        self.model = model
        self._dropout_key = dropout_key
        self._loss = LossModule(model, num_tracks=num_tracks, autocast=settings.precision == "bf16")
        self._settings = settings
        self._trainable = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = optimizer_for(self._trainable, settings=settings)

    def sums(self, batch: Batch, *, last: bool) -> tuple[Tensor, Tensor]:
        """See `Engine`."""
        if self._dropout_key is not None:
            begins_T = batch.positions_BT.flatten() == 0
            self._dropout_key.example_keys_T, self._dropout_key.positions_T = begins_T.cumsum(0), batch.positions_BT
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
        if self._dropout_key is not None:
            self._dropout_key.step += 1
        return float(norm)

    def evaluating(self, on: bool) -> None:
        """See `Engine`."""
        set_evaluating(self.model, on)

    def save(self, folder: Path) -> None:
        """See `Engine`."""
        self.model.save_pretrained(str(folder))
