"""Which examples share a row.

One decision: no example is cut, and none is left out; a row has what fits whole.
"""

from collections.abc import Sequence

from trainers.batches.rows import Encoded
from trainers.spec import TrainingSettings


def pack(lengths: Sequence[int], *, capacity: int) -> tuple[tuple[int, ...], ...]:
    """Put items into rows of `capacity` tokens by best fit over items in falling length.

    Every item lands in exactly one row, rows keep a fixed order, and no row exceeds the capacity.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        fitting = [row for row, left in enumerate(room) if left >= lengths[index]]
        if not fitting:
            rows.append([index])
            room.append(capacity - lengths[index])
            continue
        best = min(fitting, key=lambda row: room[row])
        rows[best].append(index)
        room[best] -= lengths[index]
    return tuple(tuple(row) for row in rows)


def rows_of(encoded: Sequence[Encoded], *, settings: TrainingSettings) -> tuple[tuple[Encoded, ...], ...]:
    """The rows that batches are made of: one example each, or packed."""
    if not settings.packing:
        return tuple((example,) for example in encoded)
    packed = pack([len(example.ids) for example in encoded], capacity=settings.max_length)
    return tuple(tuple(encoded[index] for index in row) for row in packed)
