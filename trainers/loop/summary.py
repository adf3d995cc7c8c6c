"""What a training did, in a few numbers.

One decision: it is all that is told of a training afterwards, so it counts what was left out as well.
"""

import resource
from typing import Any

import torch

from tasks.records import Record
from trainers.engines.protocol import Engine
from trainers.loop.plan import Plan
from trainers.loop.progress import Progress


class TrainingSummary(Record):
    """What a training did. `weights` is the folder, below the output folder, to load from."""

    weights: str
    steps: int
    tokens: int
    seconds: float
    first_loss: float
    last_loss: float
    best_step: int
    best_value: float | None = None
    stopped_early: bool = False
    trainable_parameters: int
    total_parameters: int
    examples: dict[str, int]
    too_long: dict[str, int]
    peak_memory_bytes: int


def summary_of(plan: Plan, progress: Progress, engine: Engine, *, seconds: float, stopped: bool) -> TrainingSummary:
    """The summary of a training that came to its end; `stopped` if that was the end of its patience."""
    parameters = list(engine.model.parameters())
    on_gpu = parameters[0].device.type == "cuda"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert progress.first_loss is not None and progress.last_loss is not None, "a training has a step at least"
    return TrainingSummary(
        weights=progress.best.folder,
        steps=progress.step,
        tokens=progress.tokens,
        seconds=seconds,
        first_loss=progress.first_loss,
        last_loss=progress.last_loss,
        best_step=progress.best.step,
        best_value=progress.best.value,
        stopped_early=stopped,
        trainable_parameters=sum(_size(p) for p in parameters if p.requires_grad),
        total_parameters=_total_parameters(engine.model),
        examples=plan.examples,
        too_long=plan.too_long,
        peak_memory_bytes=int(torch.cuda.max_memory_allocated()) if on_gpu else peak,
    )


def _size(parameter: Any) -> int:
    """Elements of a parameter; under ZeRO 3 the shard that is held here says nothing of it."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _total_parameters(model: Any) -> int:
    """All weights; a 4-bit tensor holds two of them a byte, which transformers accounts for."""
    parameters = list(model.parameters())
    if any(hasattr(p, "ds_numel") for p in parameters):
        return sum(_size(p) for p in parameters)
    return int(model.num_parameters())
