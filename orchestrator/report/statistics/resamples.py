"""Bootstrap resamples, as counts of how often each value is drawn.

One decision: resamples depend on the number of values and the seed alone, so a study's tables, which resample the same
number of problems hundreds of times, draw them once.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2000
"""Bootstrap resamples: the ends of a 95 % percentile interval then rest on 50 resamples each."""
_BATCH = 2_000_000
"""Numbers held at once while resampling: 16 MB of float64."""
_KEPT = 10_000
"""Resamples of so many values, or fewer, are kept: 40 MB."""


def resample_counts(size: int, *, seed: int) -> "Iterator[NDArray[np.float64]]":
    """All resamples in blocks: a row per resample, how often each of `size` values is drawn; rows sum to `size`."""
    import numpy as np

    blocks = _kept_blocks(size, seed) if size <= _KEPT else _draw_blocks(size, seed)
    for block in blocks:
        yield block.astype(np.float64)


def resample_means(data: "NDArray[np.float64]", *, seed: int) -> "NDArray[np.float64]":
    """The mean of each resample."""
    import numpy as np

    if len(data) <= _KEPT:
        return np.concatenate([counts @ data for counts in resample_counts(len(data), seed=seed)]) / len(data)
    return np.concatenate([data[drawn].mean(axis=1) for drawn in _draw_places(len(data), seed)])


@lru_cache(maxsize=2)
def _kept_blocks(size: int, seed: int) -> "tuple[NDArray[np.uint16], ...]":
    return tuple(_draw_blocks(size, seed))


def _draw_blocks(size: int, seed: int) -> "Iterator[NDArray[np.uint16]]":
    import numpy as np

    for drawn in _draw_places(size, seed):
        rows = len(drawn)
        apart = drawn + size * np.arange(rows)[:, None]
        yield np.bincount(apart.ravel(), minlength=rows * size).reshape(rows, size).astype(np.uint16)


def _draw_places(size: int, seed: int) -> "Iterator[NDArray[np.int64]]":
    """Which values each resample has, in blocks."""
    import numpy as np

    rng = np.random.default_rng(seed)
    step = max(1, _BATCH // size)
    for start in range(0, RESAMPLES, step):
        yield rng.integers(0, size, (min(step, RESAMPLES - start), size))


__all__ = ["RESAMPLES", "resample_counts", "resample_means"]
