"""How two sequences align: edit distance and longest common subsequence.

One decision: both hold a column of their table in the bits of one Python integer, so that texts of 1,000
symbols take about a thousand steps and no table is kept.
"""

from collections.abc import Hashable, Sequence

_MOST_CELLS = 4e10
"""Of the table of two sequences; more would take over ten seconds."""


def is_too_long(left: Sequence[Hashable], right: Sequence[Hashable]) -> bool:
    """Whether aligning the two would take more than seconds. Equal sequences never do."""
    return len(left) * len(right) > _MOST_CELLS and left != right


def edit_distance(left: str, right: str) -> int:
    """Levenshtein's distance in characters.

    Myers' bit-parallel algorithm (1999, in Hyyrö's 2003 form).
    """
    if left == right:
        return 0
    left, right = sorted((left, right), key=len)
    if not left:
        return len(right)
    where = _places(left)
    everything, last = (1 << len(left)) - 1, 1 << (len(left) - 1)
    rises, falls, distance = everything, 0, len(left)
    for character in right:
        equal = where.get(character, 0)
        diagonal = (((equal & rises) + rises) ^ rises) | equal | falls
        up = falls | (everything & ~(diagonal | rises))
        down = rises & diagonal
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1 | 1) & everything, (down << 1) & everything
        rises = down | (everything & ~(diagonal | up))
        falls = up & diagonal
    return distance


def common_length(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    """The length of the longest common subsequence (Hyyrö's bit-parallel algorithm, 2004)."""
    if left == right:
        return len(left)
    left, right = sorted((left, right), key=len)
    where = _places(left)
    everything = (1 << len(left)) - 1
    row = everything
    for symbol in right:
        met = row & where.get(symbol, 0)
        row = ((row + met) | (row - met)) & everything
    return len(left) - row.bit_count()


def _places(sequence: Sequence[Hashable]) -> dict[Hashable, int]:
    """Where each symbol stands, as bits."""
    places: dict[Hashable, list[int]] = {}
    for index, symbol in enumerate(sequence):
        places.setdefault(symbol, []).append(index)
    return {symbol: _bits(indices) for symbol, indices in places.items()}


def _bits(indices: Sequence[int]) -> int:
    # Setting bits one at a time in a long integer would copy it each time.
    held = bytearray(indices[-1] // 8 + 1)
    for index in indices:
        held[index // 8] |= 1 << index % 8
    return int.from_bytes(held, "little")
