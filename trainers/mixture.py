"""In which order the examples of several tracks are seen.

One decision: concatenation. All tracks' examples are put together and shuffled anew each epoch with
the trial's seed, so a track's share of the steps is its share of the data. It is what the founding
study does.
"""

import random
from collections.abc import Iterator


def shuffled_epochs(count: int, *, seed: int) -> Iterator[int]:
    """Endless indices below `count`: every index once in each epoch, in an order that `seed` decides.

    Raises:
        ValueError: if there is nothing to draw from.
    """
    if count < 1:
        raise ValueError("a mixture needs at least one example, got none")
    epoch = 0
    while True:
        order = list(range(count))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        yield from order
        epoch += 1


def batches(items: Iterator[int], *, size: int) -> Iterator[tuple[int, ...]]:
    """Consecutive groups of `size`; a group may span the end of an epoch."""
    while True:
        yield tuple(next(items) for _ in range(size))


def steps_for(count: int, *, batch_size: int, epochs: float) -> int:
    """Optimizer steps that see `count` rows `epochs` times, rounded up."""
    return max(1, -(-int(count * epochs) // batch_size))
