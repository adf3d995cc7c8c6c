"""Which records a limit keeps.

One decision: the order of the sha256 of ids, not a seeded shuffle: it needs no seed, does not depend
on the order in which a file lists its records, and a smaller sample is part of every larger one.
"""

import hashlib
from collections.abc import Sequence


def first_by_hash(ids: Sequence[str], *, limit: int) -> tuple[int, ...]:
    """Positions of the `limit` ids whose sha256 comes first, in that order; all of them if there are fewer."""
    hashes = [hashlib.sha256(id_.encode()).digest() for id_ in ids]
    return tuple(sorted(range(len(ids)), key=hashes.__getitem__)[:limit])


__all__ = ["first_by_hash"]
