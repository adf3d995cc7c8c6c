"""Tokenise and mask examples, cut a batch of them into rows, and lay each row flat as the tensors of one forward pass.

One decision: a row is a list of whole examples, and no example is ever cut. How a batch is cut into rows changes speed
and memory and no number: each example attends to itself alone and counts positions from 0, and losses are sums.

Shapes: T tokens of a row, N tokens of it that carry loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.flat import Segments, positions_of, segments_of
from tasks.prompts import ChatTokenizer, render_example
from tasks.records import Example
from trainers.spec import TrainingSettings

# Rows are filled up to a multiple of this by an example of nothing, and so are counts of loss-carrying tokens in
# token_losses.py: matrix kernels are made and kept for each shape, which took more memory and time than this does.
WIDTH_STEP = 32
# The key of what fills a row up; examples have keys from 0.
FILLER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One example as token ids; loss is taken from token `loss_from` on. `name` is the example's id."""

    track: str
    ids: tuple[int, ...]
    loss_from: int
    name: str = ""

    @property
    def loss_tokens(self) -> int:
        """How many of its tokens carry loss."""
        return len(self.ids) - self.loss_from


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedSet:
    """What became of a set of examples: those that fit, and how many were too long, by track."""

    examples: tuple[Encoded, ...]
    too_long: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """Tensors of one forward pass.

    Attributes:
        ids_1T: Token ids of the examples, one after another.
        positions_1T: Each token's place in its example.
        segments: Where the examples lie.
        before_N: Places in the row whose next token carries loss.
        targets_N: Those next tokens.
        track_N: The number of each one's track.
        keys_T: Each token's example, by its number in the training data.
    """

    ids_1T: Tensor
    positions_1T: Tensor
    segments: Segments
    before_N: Tensor
    targets_N: Tensor
    track_N: Tensor
    keys_T: Tensor

    @property
    def tokens(self) -> int:
        """The row's length."""
        return int(self.ids_1T.shape[1])


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


def cut(lengths: Sequence[int], *, micro_tokens: int) -> tuple[tuple[int, ...], ...]:
    """Put items into rows of at most `micro_tokens` tokens by best fit over items in falling length.

    Every item lands in exactly one row, and rows keep a fixed order; a longer item is a row alone.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        fitting = [row for row, left in enumerate(room) if left >= lengths[index]]
        if not fitting:
            rows.append([index])
            room.append(micro_tokens - lengths[index])
            continue
        best = min(fitting, key=lambda row: room[row])
        rows[best].append(index)
        room[best] -= lengths[index]
    return tuple(tuple(row) for row in rows)


def lay_flat(
    examples: Sequence[Encoded], *, keys: Sequence[int], tracks: Sequence[str], pad: int, filled: bool = True
) -> Row:
    """Examples one after another; `filled` up to a whole width, or just as they are for a row of one."""
    lengths = [len(example.ids) for example in examples]
    spare = -sum(lengths) % WIDTH_STEP if filled else 0
    before: list[int] = []
    track: list[int] = []
    start = 0
    for example in examples:
        before += range(start + example.loss_from - 1, start + len(example.ids) - 1)
        track += [tracks.index(example.track)] * example.loss_tokens
        start += len(example.ids)
    whole = [*lengths, spare] if spare else lengths
    ids_T = torch.tensor([token for example in examples for token in example.ids] + [pad] * spare)
    before_N = torch.tensor(before, dtype=torch.long)
    filler = [FILLER] if spare else []
    return Row(
        ids_1T=ids_T[None],
        positions_1T=positions_of(whole),
        segments=segments_of(whole),
        before_N=before_N,
        targets_N=ids_T[before_N + 1],
        track_N=torch.tensor(track, dtype=torch.long),
        keys_T=torch.repeat_interleave(torch.tensor([*keys, *filler]), torch.tensor(whole)),
    )
