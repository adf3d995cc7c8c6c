"""The loss of a model over some examples, as tests compare it with what a training told.

One decision: all examples are one row, so no cut is shared with the training that is looked at.
"""

from collections.abc import Sequence
from typing import Any

import torch

from models.flat import flat_rows
from tasks.records import Example
from trainers.batches.rows import Encoded, encode, lay_flat
from trainers.objective.token_losses import loss_sums
from trainers.spec import TrainingSettings


def plain_loss(model: Any, examples: Sequence[Example], tokenizer: Any, *, bf16: bool = True) -> float:
    """Mean loss per token over examples laid flat, with the precision of training."""
    encoded: tuple[Encoded, ...] = encode(examples, tokenizer, settings=TrainingSettings(max_steps=1)).examples
    tracks = tuple(sorted({example.track for example in encoded}))
    row = lay_flat(encoded, keys=range(len(encoded)), tracks=tracks, pad=tokenizer.pad_token_id)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16), flat_rows(model):
        sums = loss_sums(model, row, num_tracks=len(tracks))
    return float(sums.sum() / len(row.targets_N))
