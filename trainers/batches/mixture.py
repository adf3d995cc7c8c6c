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
