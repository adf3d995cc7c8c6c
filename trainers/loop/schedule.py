"""How many steps there are, which rows each sees and at what rate.

One decision: all of it is a pure function of settings and seed, worked out before a forward pass. So it is the same
under any number of processes and any micro-batch, and a training that goes on after a stop sees what it would have.
"""

import math
from collections.abc import Iterator

from trainers.spec import TrainingSettings


def batches(items: Iterator[int], *, size: int) -> Iterator[tuple[int, ...]]:
    """Consecutive groups of `size`; a group may span the end of an epoch."""
    while True:
        yield tuple(next(items) for _ in range(size))


def steps_for(count: int, *, batch_size: int, epochs: float) -> int:
    """Optimizer steps that see `count` rows `epochs` times, rounded up."""
    return max(1, -(-int(count * epochs) // batch_size))


def learning_rate_at(step: int, *, settings: TrainingSettings, total_steps: int) -> float:
    """The rate of optimizer step `step` (from 0): linear warm-up, then the schedule down to 0."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, total_steps - settings.warmup_steps)
    factor = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}
    return settings.learning_rate * factor[settings.schedule]
