"""A model that writes many texts at once: a fixed number of slots over one cache of keys and values.

A pass is either a flat row of whole prompts, each of which begins in a slot, or one token more for every slot in use.
The model's layers stay as they are; only their attention is ours, registered with transformers. It writes the keys and
values of a pass to the places of its tokens, and a token sees those of its own slot and no other.

One decision: the slots in use are always the first ones. A slot that is done is filled from the queue or from the last
slot in use, so a pass never computes what nobody asked for, and a GPU needs a captured step for a few counts only.

Letters of shapes: S slots in use, T tokens of a pass, L places of a slot, H heads, K key and value heads, E head size,
V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models.flat import Segments, causal_model, flat_attention, positions_of, segments_of, unsupported

ATTENTION = "polytune_slots"
"""The name under which transformers knows the attention over slots."""

# Places are read up to a multiple: what is compiled or captured for a shape is then used again.
_PLACE_STEP = {"cpu": 32, "cuda": 256}


@dataclass(slots=True, kw_only=True)
class Pass:
    """What one pass through the model writes and reads.

    Attributes:
        store: Keys and values of all slots.
        places_T: Where each token's keys and values go: its slot times L, plus its position.
        segments: The prompts of a row; None where every slot in use gets one token.
        positions_S: The positions of the slots' tokens, where there is no row.
        reach: How many places are read.
        masks: By window: which places each slot's token sees; made by the first layer that asks.
        bounds: What flash attention is told: where queries and slots begin, and how many places each token sees.
    """

    store: "SlotStore"
    places_T: Tensor
    segments: Segments | None = None
    positions_S: Tensor | None = None
    reach: int = 0
    masks: dict[int | None, Tensor] = field(default_factory=dict)
    bounds: tuple[Tensor, Tensor, Tensor] | None = None

    def seen(self, window: int | None) -> Tensor:
        """Which places each slot's token sees, (S, 1, 1, reach)."""
        if window not in self.masks:
            assert self.positions_S is not None, "a row sees by its boundaries"
            place = torch.arange(self.reach, device=self.positions_S.device)
            back = self.positions_S[:, None] - place
            near = back >= 0 if window is None else (back >= 0) & (back < window)
            self.masks[window] = near[:, None, None]
        return self.masks[window]

    def flash_bounds(self) -> tuple[Tensor, Tensor, Tensor]:
        """See `bounds`; 32-bit, made by the first layer that asks."""
        if self.bounds is None:
            assert self.positions_S is not None, "a row sees by its boundaries"
            starts = torch.arange(len(self.positions_S) + 1, dtype=torch.int32, device=self.positions_S.device)
            self.bounds = starts, starts * self.store.length, (self.positions_S + 1).int()
        return self.bounds


class SlotStore:
    """Keys and values of every layer, (slots x L, K, E) each, made when a layer first writes.

    Args:
        slots: How many texts are written at once.
        length: L, the longest text with its prompt.
        flash: Whether single tokens see by PyTorch's flash attention, which reads no place that nobody sees.
    """

    def __init__(self, *, slots: int, length: int, flash: bool = False) -> None:
        self.slots, self.length, self.flash = slots, length, flash
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def written(self, layer: torch.nn.Module, key: Tensor, value: Tensor, places_T: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's keys and values once those of a pass, (1, K, T, E) each, are in their places."""
        held = self._layers.get(id(layer))
        if held is None:
            held = self._layers[id(layer)] = (self._room(key), self._room(value))
        for store, new in zip(held, (key, value), strict=True):
            store.index_copy_(0, places_T, new[0].transpose(0, 1).to(store.dtype))
        return held

    def _room(self, like: Tensor) -> Tensor:
        return like.new_zeros((self.slots * self.length, like.shape[1], like.shape[3]))

    def move(self, source: int, target: int, *, tokens: int) -> None:
        """Let a slot take over what another one holds."""
        for pair in self._layers.values():
            for store in pair:
                begin, to = source * self.length, target * self.length
                store[to : to + tokens] = store[begin : begin + tokens]

    @property
    def token_bytes(self) -> int:
        """What one place takes in all layers that have written."""
        return sum(s.shape[1] * s.shape[2] * s.element_size() for pair in self._layers.values() for s in pair)


def slot_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    slots: Pass | None = None,
    sliding_window: int | None = None,
    **unknown: Any,
) -> tuple[Tensor, None]:
    """Attention of a pass over its slots, in transformers' form; what it does not compute it refuses by name.

    Args:
        module: The layer that asks.
        query: (1, H, T, E).
        key: (1, K, T, E).
        value: As `key`; its size may be another.
        attention_mask: None; who sees what is said by the slots.
        scaling: What products are multiplied by; None for one over the root of E.
        dropout: 0.
        slots: The pass.
        sliding_window: How many tokens are seen, the own one included; None for all earlier ones.
        unknown: What else a family gives its attention.

    Returns:
        (1, T, H, E), and no weights.

    Raises:
        ValueError: for what is not computed here, with its name.
    """
    if slots is None:
        raise ValueError("a layer passes no slots on to its attention")
    wanted = unsupported(unknown, attention_mask=attention_mask, dropout=dropout)
    if wanted:
        raise ValueError(f"slots have no attention with {' and '.join(wanted)}")
    keys, values = slots.store.written(module, key, value, slots.places_T)
    if slots.segments is not None:
        return flat_attention(
            module, query, key, value, None, scaling, segments=slots.segments, sliding_window=sliding_window
        )
    if slots.store.flash:
        return _flash(query, keys, values, slots, scale=scaling, window=sliding_window), None
    _, heads, count, size = query.shape
    grouped_SKGE = query[0].transpose(0, 1).reshape(count, key.shape[1], heads // key.shape[1], size)
    out = scaled_dot_product_attention(
        grouped_SKGE,
        _read(keys, slots, count),
        _read(values, slots, count),
        attn_mask=slots.seen(sliding_window),
        scale=scaling,
    )
    return out.reshape(1, count, heads, out.shape[-1]), None


def _flash(
    query: Tensor, keys: Tensor, values: Tensor, slots: Pass, *, scale: float | None, window: int | None
) -> Tensor:
    """Single tokens over the slots as they lie, (1, S, H, E): each begins at its slot, and is as long as it sees."""
    starts, slot_starts, seen_S = slots.flash_bounds()
    used = (len(starts) - 1) * slots.store.length
    out: Tensor = torch.ops.aten._flash_attention_forward(
        query[0].transpose(0, 1).contiguous(),
        keys[:used],
        values[:used],
        starts,
        slot_starts,
        1,
        slots.store.length,
        0.0,
        False,
        False,
        scale=scale,
        window_size_left=-1 if window is None else window - 1,
        window_size_right=-1 if window is None else 0,
        seqused_k=seen_S,
    )[0]
    return out[None]


def _read(store: Tensor, slots: Pass, count: int) -> Tensor:
    """The places of the slots in use that may be seen, (S, K, reach, E)."""
    by_slot = store.view(slots.store.slots, slots.store.length, *store.shape[1:])
    return by_slot[:count, : slots.reach].transpose(1, 2)


def _no_mask(*ignored: Any, **also: Any) -> None:
    """The mask of slots, in transformers' form: none."""


@contextmanager
def slot_attending(model: Any) -> Iterator[None]:
    """Let a model attend over slots, and as it did before afterwards."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(ATTENTION, slot_attention)
    AttentionMaskInterface.register(ATTENTION, _no_mask)
    base = causal_model(model)
    before = base.config._attn_implementation
    base.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        base.set_attn_implementation(before)


def begin(model: Any, store: SlotStore, prompts: Sequence[tuple[int, Sequence[int]]]) -> Tensor:
    """Read prompts into slots as one flat row: the logits behind each, (N, V).

    Args:
        model: The model, within `slot_attending`.
        store: Where keys and values go.
        prompts: The slot and the tokens of each.
    """
    device, lengths = model.device, [len(ids) for _, ids in prompts]
    ids_1T = torch.tensor([[token for _, ids in prompts for token in ids]], device=device)
    positions_1T = positions_of(lengths, device=device)
    slot_T = torch.tensor([slot for slot, ids in prompts for _ in ids], device=device)
    segments = segments_of(lengths, device=device)
    ends = torch.tensor(lengths, device=device).cumsum(0) - 1
    now = Pass(store=store, places_T=slot_T * store.length + positions_1T[0], segments=segments)
    return _logits(model, ids_1T, positions_1T, now, keep=ends)


def go_on(model: Any, store: SlotStore, ids_S: Tensor, positions_S: Tensor, *, reach: int) -> Tensor:
    """One token more for the first S slots: the logits behind it, (S, V).

    Args:
        model: The model, within `slot_attending`.
        store: The keys and values so far.
        ids_S: Each slot's token.
        positions_S: That token's position in its text.
        reach: How many places are read; all positions are below.
    """
    slot_S = torch.arange(len(ids_S), device=ids_S.device)
    now = Pass(store=store, places_T=slot_S * store.length + positions_S, positions_S=positions_S, reach=reach)
    return _logits(model, ids_S[None], positions_S[None], now, keep=slot_S)


def reach_of(longest: int, *, store: SlotStore, device: torch.device) -> int:
    """How many places to read for texts of at most so many tokens."""
    if store.flash:
        return store.length
    step = _PLACE_STEP.get(device.type, 32)
    return min(store.length, -(-longest // step) * step)


def _logits(model: Any, ids_1T: Tensor, positions_1T: Tensor, now: Pass, *, keep: Tensor) -> Tensor:
    out = causal_model(model)(
        input_ids=ids_1T, position_ids=positions_1T, slots=now, logits_to_keep=keep, use_cache=False
    )
    logits: Tensor = out.logits[0]
    return logits


__all__ = ["ATTENTION", "Pass", "SlotStore", "begin", "go_on", "reach_of", "slot_attending", "slot_attention"]
