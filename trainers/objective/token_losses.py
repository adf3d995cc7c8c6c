"""Next-token loss, summed by track.

One decision: a global batch's loss is the mean over its loss-carrying tokens, wherever they fall.
Each forward pass therefore gives sums, and the caller divides by the count of the whole batch; a
mean of micro-batch means would make the result depend on how the batch was cut.
"""

from typing import Any

import torch
from torch import Tensor

from trainers.batches.rows import WIDTH_STEP, Batch


def loss_sums(model: Any, batch: Batch, *, num_tracks: int) -> tuple[Tensor, Tensor]:
    """Sums of next-token cross-entropy (nats) and token counts, both (num_tracks,).

    Only positions before loss-carrying tokens go through the output layer: with a vocabulary of
    150,000 the logits of masked tokens would cost most of the memory.
    """
    hidden_BTD = _hidden(model, batch)
    track_N = batch.track_BT[:, 1:].flatten().to(hidden_BTD.device)
    chosen = track_N >= 0
    hidden_ND = hidden_BTD[:, :-1].flatten(0, 1)[chosen]
    targets = batch.ids_BT[:, 1:].flatten().to(hidden_BTD.device)[chosen]
    spare = -len(targets) % (4 * WIDTH_STEP)
    padded_MD = torch.nn.functional.pad(hidden_ND, (0, 0, 0, spare))
    logits_NV = model.get_output_embeddings()(padded_MD)[: len(targets)].float()
    losses_N = torch.nn.functional.cross_entropy(logits_NV, targets, reduction="none")
    sums = torch.zeros(num_tracks, device=losses_N.device).index_add(0, track_N[chosen], losses_N)
    return sums, torch.bincount(track_N[chosen], minlength=num_tracks)


def _hidden(model: Any, batch: Batch) -> Tensor:
    """Last hidden states; the decoder is found under whatever wraps it."""
    device = next(model.parameters()).device
    decoder = model.get_decoder()
    mask = None if batch.mask_B1TT is None else batch.mask_B1TT.to(device)
    out = decoder(
        input_ids=batch.ids_BT.to(device),
        position_ids=batch.positions_BT.to(device),
        attention_mask=mask,
        use_cache=False,
    )
    hidden: Tensor = out.last_hidden_state
    return hidden
