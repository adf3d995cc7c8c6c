"""How many steps there are, which examples each sees and at what rate.

One decision: all of it is a pure function of settings and seed, worked out before a forward pass. So it is the same
under any number of processes and any cut of a batch, and a training that goes on after a stop sees what it would have.
"""

import math
from collections.abc import Iterator, Sequence

from trainers.spec import TrainingSettings, warmup_conflict


def batches(items: Iterator[int], *, lengths: Sequence[int], settings: TrainingSettings) -> Iterator[tuple[int, ...]]:
    """Consecutive groups of items: so many, or until they have so many tokens; a group may span the end of an epoch."""
    if settings.batch_tokens is None:
        size = settings.batch_size or 1
        while True:
            yield tuple(next(items) for _ in range(size))
    group, tokens = [], 0
    for item in items:
        group.append(item)
        tokens += lengths[item]
        if tokens >= settings.batch_tokens:
            yield tuple(group)
            group, tokens = [], 0


def warmup_of(settings: TrainingSettings, *, total_steps: int) -> int:
    """How many steps the rate rises for.

    Raises:
        ValueError: if these are more than the training has.
    """
    if settings.warmup_ratio is not None:
        return round(settings.warmup_ratio * total_steps)
    if settings.warmup_steps > total_steps:
        raise ValueError(warmup_conflict(settings.warmup_steps, total_steps))
    return settings.warmup_steps


def learning_rate_at(step: int, *, settings: TrainingSettings, total_steps: int, warmup: int) -> float:
    """The rate of optimizer step `step` (from 0): linear warm-up, then the schedule down to 0."""
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, total_steps - warmup)
    factor = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}
    return settings.learning_rate * factor[settings.schedule]
