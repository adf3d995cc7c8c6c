"""Tokenise and mask examples, and collate rows of them into the tensors of one forward pass.

One decision: a row is a list of whole examples, one or (packed) several, and no example is ever
cut. Within a packed row each example attends to itself alone and counts positions from 0, so that
packing changes speed and not what the model sees.

Shapes: B rows, T tokens of the longest row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.prompts import ChatTokenizer, render_example
from tasks.records import Example
from trainers.spec import TrainingSettings

# Widths are rounded up to this, and so are counts of loss-carrying tokens in token_losses.py: matrix kernels are
# made and kept for each shape, which on CPU took more memory and time than the padding does.
WIDTH_STEP = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One example as token ids; loss is taken from token `loss_from` on. `name` is the example's id."""

    track: str
    ids: tuple[int, ...]
    loss_from: int
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedSet:
    """What became of a set of examples: those that fit, and how many were too long, by track."""

    examples: tuple[Encoded, ...]
    too_long: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tensors of one forward pass.

    `track_BT` numbers the track of each token that carries loss, and is -1 elsewhere; `mask_B1TT`
    is True where a token may look, or None when causal attention alone is right.
    """

    ids_BT: Tensor
    positions_BT: Tensor
    track_BT: Tensor
    mask_B1TT: Tensor | None


def encode(examples: Sequence[Example], tokenizer: ChatTokenizer, *, settings: TrainingSettings) -> EncodedSet:
    """Render and tokenise; examples longer than `settings.max_length` are left out and counted."""
    fitting: list[Encoded] = []
    too_long: dict[str, int] = {}
    for example in examples:
        rendered = render_example(tokenizer, track=example.parsed_track, text=example.input, answer=example.output)
        ids = (*rendered.prompt_ids, *rendered.answer_ids)
        if len(ids) > settings.max_length:
            too_long[example.track] = too_long.get(example.track, 0) + 1
            continue
        loss_from = len(rendered.prompt_ids) if settings.loss == "completion" else 1
        fitting.append(Encoded(track=example.track, ids=ids, loss_from=loss_from, name=example.id))
    return EncodedSet(examples=tuple(fitting), too_long=too_long)


def collate(rows: Sequence[Sequence[Encoded]], *, pad: int, tracks: Sequence[str]) -> Batch:
    """Right-pad rows into tensors."""
    longest = max(sum(len(example.ids) for example in row) for row in rows)
    width = -(-longest // WIDTH_STEP) * WIDTH_STEP
    ids_BT = torch.full((len(rows), width), pad)
    positions_BT = torch.zeros((len(rows), width), dtype=torch.long)
    track_BT = torch.full((len(rows), width), -1)
    segment_BT = torch.full((len(rows), width), -1)
    for b, row in enumerate(rows):
        start = 0
        for segment, example in enumerate(row):
            end = start + len(example.ids)
            ids_BT[b, start:end] = torch.tensor(example.ids)
            positions_BT[b, start:end] = torch.arange(len(example.ids))
            track_BT[b, start + example.loss_from : end] = tracks.index(example.track)
            segment_BT[b, start:end] = segment
            start = end
    packed = any(len(row) > 1 for row in rows)
    return Batch(
        ids_BT=ids_BT,
        positions_BT=positions_BT,
        track_BT=track_BT,
        mask_B1TT=_block_causal(segment_BT) if packed else None,
    )


def _block_causal(segment_BT: Tensor) -> Tensor:
    """True where a token may look: at itself and at earlier tokens of its own example."""
    same_BTT = segment_BT[:, :, None] == segment_BT[:, None, :]
    causal_TT = torch.ones(segment_BT.shape[1], segment_BT.shape[1], dtype=torch.bool).tril()
    return (same_BTT & causal_TT)[:, None]
