"""Which 4-bit layers the kernels for CPUs take at evaluation; the others are held in 16 bits by whoever generates.

One decision: it is said by the widths alone and not by the CPU at hand, so that a plan knows it, and a study gives the
same on every CPU as far as its layers are of this kind.
"""

from collections.abc import Iterable

# bitsandbytes packs whole blocks of a row's weights, and so many rows at once.
_INPUTS, _OUTPUTS = 64, 32
# Bytes of a weight in 16 bits, beyond what it has in 4 with its scales.
_GROWTH = 2 - 0.5625


def takes_packed(inputs: int, outputs: int) -> bool:
    """Whether the kernels take a layer of these widths."""
    return inputs % _INPUTS == 0 and outputs % _OUTPUTS == 0


def growth_bytes(sizes: Iterable[tuple[int, int]]) -> float:
    """What layers of these inputs and outputs take more than in 4 bits, as far as the kernels do not take them."""
    return sum(_GROWTH * inputs * outputs for inputs, outputs in sizes if not takes_packed(inputs, outputs))


__all__ = ["growth_bytes", "takes_packed"]
