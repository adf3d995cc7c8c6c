"""Adapters over one frozen base, each with an optimizer of its own.

One decision: a base is shared, and an engine is one adapter's view of it. A single adapter is the ordinary case of
several, so adapters that are trained in turn on one base are no second path, and none of them knows of the others.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from models.quantised import set_evaluating
from trainers.batches.rows import Row
from trainers.engines.optimizers import optimizer_for
from trainers.engines.processes import peak_bytes, rank_and_world, share_gradients, total_over_processes
from trainers.engines.protocol import Judged, LossModule, weighted
from trainers.objective.projection import order_of_tracks, projected_sum
from trainers.spec import TrainingSettings

# What an adapter is called by peft where it is the only one; peft saves it right into the folder that it is given.
ONLY = "default"
_STATE = "adapter.pt"


class DropoutKey(Protocol):
    """Where a training is: what dropout is drawn from, token by token."""

    seed: int
    step: int
    example_keys_T: Tensor | None
    positions_T: Tensor | None


class SharedBase:
    """A peft model whose base is frozen, and whose adapters are trained in turn.

    `key` is told of each row before its forward pass; None where dropout is PyTorch's own.
    """

    def __init__(self, model: Any, *, flat: bool, key: DropoutKey | None = None) -> None:
        self.model, self.flat, self.key = model, flat, key

    def join(self, settings: TrainingSettings, *, num_tracks: int, seed: int, name: str = ONLY) -> "AdapterEngine":
        """An engine for one of the model's adapters."""
        return AdapterEngine(self, settings, num_tracks=num_tracks, seed=seed, name=name)

    def activate(self, name: str) -> None:
        """Let the model be the base with this adapter; gradients of others stay as they are."""
        if self.model.active_adapters != [name]:
            self.model.set_adapter(name)


class AdapterEngine:
    """One adapter. See `trainers.engines.protocol.Engine` for what each verb means."""

    def __init__(
        self, shared: SharedBase, settings: TrainingSettings, *, num_tracks: int, seed: int, name: str
    ) -> None:
        self.rank, self.world = rank_and_world()
        self.flat = shared.flat
        self._shared, self._settings, self._seed, self._name = shared, settings, seed, name
        shared.activate(name)
        self._trained = {n: p for n, p in shared.model.named_parameters() if p.requires_grad}
        self._optimizer = optimizer_for(self._trained.values(), settings=settings)
        self._loss = LossModule(
            shared.model,
            num_tracks=num_tracks,
            autocast=settings.precision == "bf16",
            flat=shared.flat,
            smoothing=settings.label_smoothing,
        )
        self._steps, self._passes = 0, 0
        self._apart: list[list[Tensor]] = []

    def accumulate(self, row: Row, weights: Sequence[float], *, last: bool) -> Tensor:
        """See `Engine`."""
        self._shared.activate(self._name)
        self._set_dropout(row)
        with self._loss.attending():
            sums: Tensor = self._loss(row)
            weighted(sums, weights).backward()  # type: ignore[no-untyped-call]
        self._passes += 1
        return sums.detach()

    def _set_dropout(self, row: Row) -> None:
        # What PyTorch itself draws depends on nothing but the run, the step and the pass.
        torch.manual_seed(hash((self._seed, self._steps, self._passes * self.world + self.rank)) % 2**63)
        key = self._shared.key
        if key is not None:
            key.seed, key.step = self._seed, self._steps
            key.example_keys_T, key.positions_T = row.keys_T, row.positions_1T[0]

    def set_aside(self) -> None:
        """See `Engine`; what is kept is the sum over processes, since the projection of a part is no part of it."""
        trained = list(self._trained.values())
        share_gradients(trained)
        self._apart.append([torch.zeros_like(p) if p.grad is None else p.grad for p in trained])
        self._optimizer.zero_grad(set_to_none=True)

    def _project(self, trained: list[torch.nn.Parameter]) -> None:
        order = order_of_tracks(len(self._apart), seed=self._seed, step=self._steps)
        for parameter, gradient in zip(trained, projected_sum(self._apart, order=order), strict=True):
            parameter.grad = gradient
        self._apart = []

    def step(self, *, learning_rate: float) -> float:
        """See `Engine`."""
        trained = list(self._trained.values())
        if self._apart:
            self._project(trained)
        else:
            share_gradients(trained)
        norm = torch.nn.utils.clip_grad_norm_(trained, self._settings.max_grad_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._steps, self._passes = self._steps + 1, 0
        return float(norm)

    def reduce(self, sums: Tensor) -> Tensor:
        """See `Engine`."""
        return total_over_processes(sums)

    def state(self, folder: Path) -> None:
        """See `Engine`; all processes hold the same, and the first writes it."""
        if self.rank == 0:
            weights = {name: tensor.detach() for name, tensor in self._trained.items()}
            whole = {"weights": weights, "optimizer": self._optimizer.state_dict(), "steps": self._steps}
            torch.save(whole, folder / _STATE)

    def restore(self, folder: Path) -> None:
        """See `Engine`."""
        device = next(iter(self._trained.values())).device
        whole = torch.load(folder / _STATE, map_location=device, weights_only=True)
        with torch.no_grad():
            for name, tensor in self._trained.items():
                tensor.copy_(whole["weights"][name])
        self._optimizer.load_state_dict(whole["optimizer"])
        self._steps = whole["steps"]

    @contextmanager
    def judging(self) -> Iterator[Judged]:
        """See `Engine`."""
        self._shared.activate(self._name)
        set_evaluating(self._shared.model, True)
        try:
            with torch.no_grad():
                yield Judged(model=self._shared.model, sums=self._sums)
        finally:
            set_evaluating(self._shared.model, False)

    def _sums(self, row: Row) -> Tensor:
        with self._loss.attending():
            sums: Tensor = self._loss(row)
        return sums

    def save(self, folder: Path) -> None:
        """See `Engine`."""
        if self.rank:
            return
        self._shared.model.save_pretrained(str(folder), selected_adapters=[self._name])
        if self._name != ONLY:
            for path in (folder / self._name).iterdir():
                path.rename(folder / path.name)
            (folder / self._name).rmdir()

    def parameters(self) -> tuple[int, int]:
        """See `Engine`; transformers knows that a 4-bit tensor holds two weights a byte."""
        trained = sum(parameter.numel() for parameter in self._trained.values())
        others = sum(p.numel() for n, p in self._shared.model.named_parameters() if self._is_of_another(n))
        return trained, int(self._shared.model.num_parameters()) - others

    def _is_of_another(self, name: str) -> bool:
        names = set(self._shared.model.peft_config) - {self._name}
        return any(f".{other}." in name for other in names)

    def peak_bytes(self) -> int:
        """See `Engine`."""
        return peak_bytes(next(iter(self._trained.values())).device)


__all__ = ["ONLY", "AdapterEngine", "DropoutKey", "SharedBase"]
