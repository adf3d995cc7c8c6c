"""Next-token loss, summed by track, by the model's own head.

One decision: a global batch's loss is a weighted sum of its tracks' sums over loss-carrying tokens, wherever they
fall. Each forward pass therefore gives sums; a mean of means would make the result depend on how the batch was cut.

Logits are made for loss-carrying tokens alone, in chunks that are made again for the backward pass: with a vocabulary
of 150,000 they would cost most of the memory.

Shapes: N loss-carrying tokens, D hidden size, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from torch.utils.checkpoint import checkpoint

from models.flat import causal_model, hidden_states, own_logits
from trainers.batches.rows import WIDTH_STEP, Encoded, Row

# What the 32-bit logits of one chunk may take.
_CHUNK_BYTES = 2**28


def counts_of(examples: Sequence[Encoded], tracks: Sequence[str]) -> tuple[int, ...]:
    """Loss-carrying tokens of a batch by track."""
    found = dict.fromkeys(tracks, 0)
    for example in examples:
        found[example.track] += example.loss_tokens
    return tuple(found.values())


def loss_sums(model: Any, row: Row, *, num_tracks: int, flat: bool = True, smoothing: float = 0.0) -> Tensor:
    """Sums of next-token cross-entropy (nats), (num_tracks,).

    `flat` rows need the model to be within `models.flat.flat_rows`; another row holds one example.
    """
    device = next(model.parameters()).device
    segments = row.segments.to(device) if flat else None
    hidden_TD = hidden_states(model, row.ids_1T.to(device), segments)
    hidden_ND = hidden_TD[row.before_N.to(device)]
    targets_N, track_N = row.targets_N.to(device), row.track_N.to(device)
    size = _chunk_size(model)
    sums = torch.zeros(num_tracks, device=device)
    for start in range(0, len(targets_N), size):
        part = slice(start, start + size)
        told = (model, hidden_ND[part], targets_N[part], smoothing)
        again = torch.is_grad_enabled() and len(targets_N) > size
        losses_N = checkpoint(_losses, *told, use_reentrant=False) if again else _losses(*told)
        sums = sums.index_add(0, track_N[part], losses_N)
    return sums


def _chunk_size(model: Any) -> int:
    """How many tokens' logits are made at once."""
    vocabulary: int = causal_model(model).config.get_text_config().vocab_size
    step = 4 * WIDTH_STEP
    return max(step, _CHUNK_BYTES // (4 * vocabulary) // step * step)


def _losses(model: Any, hidden_ND: Tensor, targets_N: Tensor, smoothing: float) -> Tensor:
    """The loss of each token, (N,)."""
    spare = -len(targets_N) % (4 * WIDTH_STEP)
    logits_NV = own_logits(model, pad(hidden_ND, (0, 0, 0, spare)))[: len(targets_N)].float()
    return cross_entropy(logits_NV, targets_N, reduction="none", label_smoothing=smoothing)
