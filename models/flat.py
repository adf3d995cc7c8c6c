"""Several examples as one row, through a model whose layers see each example alone, and the model's own head.

A row `[1, T]` of whole examples needs no padding, and a model that attends within examples computes for each of them
what it would compute alone. The attention is registered with transformers, so the models stay as they are.

One decision: what this attention does not compute it refuses by name. A family that wants more of its attention than
causality, a window and a scale is then seen to want it, and is never trained on something else in silence.

Shapes: T tokens of a row, N examples, H heads, K key and value heads, E head size, D hidden size, V vocabulary.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models.quantised import layers_4bit, set_evaluating

ATTENTION = "polytune_flat"
"""The name under which transformers knows the attention of flat rows."""

# Numbers of boundaries and longest lengths are rounded up to these: what is compiled for a shape is then used again.
_BOUNDARY_STEP, _LENGTH_STEP = 64, 128
# Flash attention's backward pass counts its workspace in 32 bits, each example rounded up to a tile.
_TILE, _INT32 = 128, 2**31
_LARGEST_HEAD = 256
_REFUSED = ("softcap", "s_aux", "sinks", "position_bias")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segments:
    """Where the examples of a row lie.

    Attributes:
        lengths: Tokens of each example, in order.
        cu_seqlens: Where each begins and where the last ends, 32-bit, filled up with the end: empty examples.
        max_len: The longest length, rounded up.
    """

    lengths: tuple[int, ...]
    cu_seqlens: Tensor
    max_len: int

    def bounds(self) -> Iterator[tuple[int, int]]:
        """The first token of each example and the one behind its last."""
        start = 0
        for length in self.lengths:
            yield start, start + length
            start += length

    def to(self, device: torch.device) -> "Segments":
        """The same on a device."""
        return Segments(lengths=self.lengths, cu_seqlens=self.cu_seqlens.to(device), max_len=self.max_len)


def segments_of(lengths: Sequence[int], *, device: torch.device | str = "cpu") -> Segments:
    """The boundaries of a row, made once for all layers."""
    ends = [0]
    for length in lengths:
        ends.append(ends[-1] + length)
    ends += [ends[-1]] * (-len(ends) % _BOUNDARY_STEP)
    longest = -(-max(lengths) // _LENGTH_STEP) * _LENGTH_STEP
    cu_seqlens = torch.tensor(ends, dtype=torch.int32, device=device)
    return Segments(lengths=tuple(lengths), cu_seqlens=cu_seqlens, max_len=longest)


def fits_kernel(*, tokens: int, examples: int, heads: int, head_size: int) -> bool:
    """Whether flash attention's backward pass can count its workspace for such a row in 32 bits."""
    return (tokens + _TILE * examples) * heads * head_size < _INT32


def flat_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    segments: Segments | None = None,
    sliding_window: int | None = None,
    **unknown: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each example of a row, in transformers' form.

    Args:
        module: The layer that asks.
        query: (1, H, T, E).
        key: (1, K, T, E).
        value: As `key`; its size may be another.
        attention_mask: None; a row has no other mask than its boundaries.
        scaling: What products are multiplied by; None for one over the root of E.
        dropout: 0.
        segments: The row's boundaries.
        sliding_window: How many tokens are seen, the own one included; None for all earlier ones.
        unknown: What else a family gives its attention.

    Returns:
        (1, T, H, E), and no weights.

    Raises:
        ValueError: for what is not computed here, with its name.
    """
    if segments is None:
        raise ValueError("a layer passes no boundaries of examples on to its attention")
    wanted = unsupported(unknown, attention_mask=attention_mask, dropout=dropout)
    if wanted:
        raise ValueError(f"flat rows have no attention with {' and '.join(wanted)}")
    kernel = _varlen if _has_kernel(query, value) else _by_example
    return kernel(query, key, value, segments=segments, scale=scaling, window=sliding_window), None


def unsupported(unknown: Mapping[str, Any], *, attention_mask: Tensor | None, dropout: float) -> list[str]:
    """What a layer asks of its attention beyond causality, a window and a scale, by name."""
    wanted = [name for name in _REFUSED if unknown.get(name) is not None]
    wanted += ["an attention mask"] if attention_mask is not None else []
    return wanted + ([f"attention dropout {dropout}"] if dropout else [])


def _has_kernel(query: Tensor, value: Tensor) -> bool:
    """Whether flash attention takes these: 16 bits on CUDA, heads of one size that is not too large."""
    short = query.dtype in (torch.bfloat16, torch.float16)
    return query.is_cuda and short and query.shape[-1] == value.shape[-1] <= _LARGEST_HEAD


def _by_example(
    query: Tensor, key: Tensor, value: Tensor, *, segments: Segments, scale: float | None, window: int | None
) -> Tensor:
    """One call for each example, which is slow on a GPU and right everywhere."""
    grouped, asked = query.shape[1] != key.shape[1], query.dtype
    if not query.is_cuda:
        # PyTorch's own 16-bit kernel for a CPU is slower than its 32-bit one: 3 times at 64 tokens, 2 times at 128.
        query, key, value = (tensor.float() for tensor in (query, key, value))
    parts = []
    for start, end in segments.bounds():
        q, k, v = (tensor[:, :, start:end] for tensor in (query, key, value))
        near = None
        if window is not None and end - start > window:
            place = torch.arange(end - start, device=query.device)
            back = place[:, None] - place
            near = (back >= 0) & (back < window)
        # Autocast would make 16 bits of them again.
        with torch.autocast("cpu", enabled=False):
            part = scaled_dot_product_attention(
                q, k, v, attn_mask=near, is_causal=near is None, scale=scale, enable_gqa=grouped
            )
        parts.append(part)
    return torch.cat(parts, dim=2).transpose(1, 2).to(asked).contiguous()


def _varlen(
    query: Tensor, key: Tensor, value: Tensor, *, segments: Segments, scale: float | None, window: int | None
) -> Tensor:
    """One call for the whole row."""
    _, heads, tokens, size = query.shape
    if not fits_kernel(tokens=tokens, examples=len(segments.lengths), heads=heads, head_size=size):
        raise ValueError(
            f"{tokens} tokens of {heads} heads of size {size} are more than flash attention counts in one pass; "
            "lower resources.micro_tokens"
        )
    call, groups_heads = _varlen_kernel()
    if heads != key.shape[1] and not groups_heads:
        key, value = (tensor.repeat_interleave(heads // tensor.shape[1], dim=1) for tensor in (key, value))
    grouped = {"enable_gqa": True} if heads != key.shape[1] else {}
    q, k, v = (tensor[0].transpose(0, 1).contiguous() for tensor in (query, key, value))
    bounds, longest = segments.cu_seqlens, segments.max_len
    reach = (-1 if window is None else window - 1, 0)
    out: Tensor = call(q, k, v, bounds, bounds, longest, longest, scale=scale, window_size=reach, **grouped)
    return out[None]


@cache
def _varlen_kernel() -> tuple[Callable[..., Any], bool]:
    """PyTorch's attention over boundaries, and whether it groups heads by itself: 2.13's does, 2.11's does not."""
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn, "enable_gqa" in inspect.signature(varlen_attn).parameters


def _no_mask(*ignored: Any, **also: Any) -> None:
    """The mask of flat rows, in transformers' form: none."""


def register() -> None:
    """Make the attention known to transformers."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(ATTENTION, flat_attention)
    AttentionMaskInterface.register(ATTENTION, _no_mask)


@contextmanager
def flat_rows(model: Any) -> Iterator[None]:
    """Let a model attend within the examples of rows, and as it did before afterwards."""
    register()
    base = causal_model(model)
    before = base.config._attn_implementation
    base.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        base.set_attn_implementation(before)


def causal_model(model: Any) -> Any:
    """The causal language model itself, under an adapter's wrapper where there is one."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def flat_forward(model: Any, ids_1T: Tensor, segments: Segments, keep: Tensor) -> Tensor:
    """Logits at the positions `keep` of a row, by the model's own head, (len(keep), V); within `flat_rows`."""
    positions_1T = positions_of(segments.lengths, device=ids_1T.device)
    out = causal_model(model)(
        input_ids=ids_1T, position_ids=positions_1T, segments=segments, logits_to_keep=keep, use_cache=False
    )
    logits: Tensor = out.logits[0]
    return logits


def positions_of(lengths: Sequence[int], *, device: torch.device | str = "cpu") -> Tensor:
    """Positions that begin at 0 with each example, (1, T)."""
    return torch.cat([torch.arange(length, device=device) for length in lengths])[None]


def hidden_states(model: Any, ids_1T: Tensor, segments: Segments | None) -> Tensor:
    """Last hidden states, (T, D): of a row within `flat_rows`, or of one example under the model's own attention."""
    decoder = causal_model(model).base_model
    row: dict[str, Any] = {}
    if segments is not None:
        row = {"position_ids": positions_of(segments.lengths, device=ids_1T.device), "segments": segments}
    hidden: Tensor = decoder(input_ids=ids_1T, use_cache=False, **row)[0]
    return hidden[0]


def own_logits(model: Any, hidden_ND: Tensor) -> Tensor:
    """The model's own logits of last hidden states, (N, V): its scales, its bias and its soft cap included.

    The model's forward pass is run with its decoder giving these states, so nothing is known here of any head.
    """
    base = causal_model(model)
    ids_1N = torch.zeros((1, len(hidden_ND)), dtype=torch.long, device=hidden_ND.device)
    with _giving(base.base_model, hidden_ND[None]):
        logits: Tensor = base(input_ids=ids_1N, use_cache=False).logits
    return logits[0]


@contextmanager
def _giving(decoder: torch.nn.Module, hidden_1ND: Tensor) -> Iterator[None]:
    """Let a decoder give these states whatever it is asked."""
    from transformers.modeling_outputs import BaseModelOutput

    class Given(BaseModelOutput):
        def __getattr__(self, name: str) -> None:
            """Caches, router logits and whatever else a family passes on: there are none."""
            if name.startswith("__"):
                raise AttributeError(name)

    given = Given(last_hidden_state=hidden_1ND)

    def forward(*ignored: Any, **also: Any) -> Any:
        return given

    before = decoder.__dict__.get("forward")
    decoder.forward = forward
    try:
        yield
    finally:
        if before is None:
            del decoder.__dict__["forward"]
        else:
            decoder.forward = before


@torch.no_grad()
def path_of(model: Any) -> str:
    """How a model may be trained: `flat` where rows give what each example gives alone, else `single`.

    It is tried on the model as it stands, without adapters, at every position of three short random examples.
    """
    with model.disable_adapter() if hasattr(model, "disable_adapter") else nullcontext():
        return _path_of(causal_model(model))


def _path_of(base: Any) -> str:
    was_training = base.training
    generator = torch.Generator().manual_seed(0)
    vocabulary = base.config.get_text_config().vocab_size
    device = next(base.parameters()).device
    lengths = (19, 41, 26)
    ids_1T = torch.randint(3, vocabulary, (1, sum(lengths)), generator=generator).to(device)
    segments = segments_of(lengths, device=device)
    try:
        with _no_dropout(base):
            alone = [hidden_states(base, ids_1T[:, start:end], None) for start, end in segments.bounds()]
            own = torch.cat([own_logits(base, hidden).float() for hidden in alone])
            with flat_rows(base):
                flat = own_logits(base, hidden_states(base, ids_1T, segments)).float()
        with flat_rows(base):
            base.train(was_training)
            hidden_states(base, ids_1T, segments)
    except (ValueError, TypeError, RuntimeError, IndexError, KeyError, AttributeError):
        return "single"
    # With products in 16 bits a row's sums come in another order; what attends elsewhere differs by far more.
    exact = base.dtype == torch.float32 and not layers_4bit(base)
    off = float((flat - own).square().mean().sqrt() / own.std())
    return "flat" if off <= (1e-4 if exact else 0.03) else "single"


@contextmanager
def _no_dropout(model: Any) -> Iterator[None]:
    was_training = model.training
    set_evaluating(model, True)
    try:
        yield
    finally:
        set_evaluating(model, not was_training)


__all__ = [
    "ATTENTION",
    "Segments",
    "causal_model",
    "fits_kernel",
    "flat_attention",
    "flat_forward",
    "flat_rows",
    "hidden_states",
    "own_logits",
    "path_of",
    "positions_of",
    "register",
    "segments_of",
    "unsupported",
]
