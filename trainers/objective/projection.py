"""Gradients of several tracks without what in them works against each other, in an adapter's weights.

One decision: each matrix of each adapter is looked at by itself, A and B apart, as Yang et al. 2026 (Ortho-LoRA, arXiv
2601.09684) do with the method of Yu et al. 2020 (PCGrad, arXiv 2001.06782): tracks that agree about one layer and
conflict in another lose nothing in the first.

What an engine supplies. It keeps each track's gradient apart: every forward pass holds examples of one track alone,
and after a track's passes its gradients (each track's own weight applied) are moved out of the parameters into a list
of their own. Over several processes each list is summed before the projection, which is not linear. Both are sums of
the same terms as ever, so the result does not depend on the cut into passes or on the number of processes. It costs one
copy of the adapter's gradients for each track.
"""

import random
from collections.abc import Sequence

from torch import Tensor


def order_of_tracks(count: int, *, seed: int, step: int) -> tuple[tuple[int, ...], ...]:
    """For each track, in which order it is compared with the others at a step; a pure function, so a resume repeats it.

    With more than two tracks the order matters, so each step draws another, as the method's authors do.
    """
    chance = random.Random(f"projection/{seed}/{step}")
    return tuple(tuple(chance.sample([j for j in range(count) if j != i], count - 1)) for i in range(count))


def projected_sum(gradients: Sequence[Sequence[Tensor]], *, order: Sequence[Sequence[int]]) -> list[Tensor]:
    """One gradient for each parameter: the sum of the tracks' gradients, each projected where it conflicts.

    A track's gradient g conflicts with another's h where their product is below 0; then g loses its part along h,
    g - (g.h / h.h) h, for one h after another. What it is compared with is always what the other track asked for.
    Gradients that do not conflict are summed as they are, so without a conflict the step is the usual one.

    Args:
        gradients: For each track its gradient of each parameter, in one order; zeros where a batch has none of it.
        order: For each track, the others in the order of comparison; see `order_of_tracks`.
    """
    return [_of_one([own[number] for own in gradients], order=order) for number in range(len(gradients[0]))]


def _of_one(tracks: Sequence[Tensor], *, order: Sequence[Sequence[int]]) -> Tensor:
    total = tracks[0].new_zeros(tracks[0].shape)
    squares = [float(one.square().sum()) for one in tracks]
    for own, others in zip(tracks, order, strict=True):
        kept = own.clone()
        for other in others:
            product = float((kept * tracks[other]).sum())
            # A product below 0 has a square above 0.
            if product < 0:
                kept.sub_(tracks[other], alpha=product / squares[other])
        total += kept
    return total
