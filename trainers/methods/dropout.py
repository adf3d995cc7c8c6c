"""Dropout masks that are a function of what is trained, not of what ran before.

One decision: whether an element is dropped is a hash of (run's seed, step, example, position in the example, layer,
column) against a threshold. Nothing is drawn from a stream, so no mask is ever stored: the backward pass, a recomputed
forward pass, another cut of the batch, another number of processes and a resumed run all make the same one. The hash is
32-bit integer arithmetic that wraps, elementwise, and so the same to the bit on every device.

Letters of shapes: T tokens of a row, I inputs of a projection, P pairs of columns.
"""

import functools
import hashlib
import importlib.util
import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# Multipliers of a 32-bit finaliser with low bias (Wellons' search, by the name of hash32).
FIRST, SECOND = 0x21F0AAAD, 0x735A2D97
# 2^32 divided by the golden ratio, as a signed 32-bit number: neighbouring columns start far apart.
STRIDE = 0x9E3779B9 - (1 << 32)
# Where the two words of a row start; any two numbers do.
_START_A, _START_B = 0x243F6A88, 0x13198A2E
# Half a hash decides a column: rates are multiples of 2^-16.
LEVELS = 1 << 16
# Elements hashed at once on a CPU, so that they stay in its cache.
_CACHED = 1 << 16
_MASK32 = (1 << 32) - 1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskKey:
    """What decides the mask of one projection's input: two words for each token, two of the layer, a threshold."""

    words_2T: Tensor
    layer: tuple[int, int]
    threshold: int

    def part(self, start: int, end: int) -> "MaskKey":
        """The key of some tokens of the row."""
        return MaskKey(words_2T=self.words_2T[:, start:end], layer=self.layer, threshold=self.threshold)


class DropoutKey:
    """Where in a run a forward pass is: set by the engine, read by every adapted projection.

    `example_keys_T` (int64) names the example of each token of the row that is under way, `positions_T` its place in
    the example. A row's backward pass, and what it recomputes, must be over before the next row is set.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed
        self.step = 0
        self.example_keys_T: Tensor | None = None
        self.positions_T: Tensor | None = None
        self._words_2T: Tensor | None = None
        self._made_when: tuple[Any, ...] = ()
        self._made_of: tuple[Tensor | None, ...] = (None, None)

    def words_2T(self, device: torch.device) -> Tensor:
        """The row's two words for each token (int32), made once a row.

        Raises:
            RuntimeError: if no row was set, where a dropout is due.
        """
        keys_T, positions_T = self.example_keys_T, self.positions_T
        if keys_T is None or positions_T is None:
            raise RuntimeError("dropout has no row: set example_keys_T and positions_T before the forward pass")
        when, (old_keys_T, old_positions_T) = (self.seed, self.step, device), self._made_of
        same = when == self._made_when and keys_T is old_keys_T and positions_T is old_positions_T
        if self._words_2T is None or not same:
            flat_keys_T, flat_positions_T = keys_T.to(device).reshape(-1), positions_T.to(device).reshape(-1)
            self._words_2T = row_words(flat_keys_T, flat_positions_T, seed=self.seed, step=self.step)
            self._made_when, self._made_of = when, (keys_T, positions_T)
        return self._words_2T


def threshold_of(rate: float) -> int:
    """A dropout rate in 65536ths, to the nearest."""
    return round(rate * LEVELS)


def kept_share(threshold: int) -> float:
    """The share of elements that are kept, of which the kept ones are divided by."""
    return 1 - threshold / LEVELS


def layer_words(name: str) -> tuple[int, int]:
    """Two words of a layer by its name, so that they do not depend on which other layers are adapted."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return _signed(int.from_bytes(digest[:4], "little")), _signed(int.from_bytes(digest[4:], "little"))


def row_words(example_keys_T: Tensor, positions_T: Tensor, *, seed: int, step: int) -> Tensor:
    """Two hashes of (seed, step, example, position) for each token, [2, T] int32."""
    low_T, high_T = example_keys_T.to(torch.int64).contiguous().view(torch.int32).view(-1, 2).unbind(-1)
    at_T = positions_T.to(torch.int32)
    run = (seed & _MASK32, (seed >> 32) & _MASK32, step & _MASK32, (step >> 32) & _MASK32)
    return torch.stack([_folded(_START_A, run, low_T, high_T, at_T), _folded(_START_B, run, at_T, high_T, low_T)])


def mask_of(key: MaskKey, columns: int) -> Tensor:
    """Which elements are kept, [T, I] bool."""
    a_T, b_T = (mixed(word_T ^ layer) for word_T, layer in zip(key.words_2T, key.layer, strict=True))
    pairs = (columns + 1) // 2
    stride_P = torch.arange(pairs, dtype=torch.int32, device=a_T.device) * STRIDE
    rows = len(a_T) if a_T.is_cuda else max(1, _CACHED // pairs)
    mask_TI = torch.empty(len(a_T), columns, dtype=torch.bool, device=a_T.device)
    for start in range(0, len(a_T), rows):
        part = slice(start, start + rows)
        # A 32-bit hash is two signed 16-bit ones, for two columns.
        halves = _hashes(a_T[part, None], b_T[part, None], stride_P).view(torch.int16)[:, :columns]
        torch.ge(halves, key.threshold - LEVELS // 2, out=mask_TI[part])
    return mask_TI


class Dropout:
    """The dropout of one pass over an activation: a mask while the pass lasts, or none where a kernel fuses it.

    It does not divide by the kept share, which rides on another factor.
    """

    def __init__(self, key: MaskKey, like_TI: Tensor) -> None:
        self._key, self._kernel = key, _kernel(like_TI)
        self._mask_TI = mask_of(key, like_TI.shape[1]) if self._kernel is None else None

    def kept(self, x_TI: Tensor) -> Tensor:
        """What is kept of x, and zero elsewhere."""
        found_TI: Tensor = self._kernel.kept(x_TI, self._key) if self._mask_TI is None else x_TI * self._mask_TI
        return found_TI

    def add_(self, out_TI: Tensor, x_TI: Tensor) -> None:
        """Add what is kept of x to `out_TI`; x is spent."""
        if self._mask_TI is None:
            self._kernel.add_kept_(out_TI, x_TI, self._key)
        else:
            out_TI.add_(x_TI.mul_(self._mask_TI))


def mixed(x: Tensor) -> Tensor:
    """A 32-bit finaliser: each bit of the result depends on every bit of x (int32, wrapping)."""
    x = (x ^ ((x >> 16) & 0xFFFF)) * FIRST
    x = (x ^ ((x >> 15) & 0x1FFFF)) * SECOND
    return x ^ ((x >> 15) & 0x1FFFF)


def _hashes(a_T1: Tensor, b_T1: Tensor, stride_P: Tensor) -> Tensor:
    """`mixed` of a + column, with b put in between: 64 bits of key. In place but for one scratch."""
    x_TP = a_T1 + stride_P
    x_TP ^= (x_TP >> 16).bitwise_and_(0xFFFF)
    x_TP *= FIRST
    x_TP ^= b_T1
    x_TP ^= (x_TP >> 15).bitwise_and_(0x1FFFF)
    x_TP *= SECOND
    x_TP ^= (x_TP >> 15).bitwise_and_(0x1FFFF)
    return x_TP


def _folded(start: int, run: tuple[int, ...], *parts_T: Tensor) -> Tensor:
    word = start
    for part in run:
        word = _mixed_int(word ^ part)
    word_T = mixed(parts_T[0] ^ _signed(word))
    for part_T in parts_T[1:]:
        word_T = mixed(word_T ^ part_T)
    return word_T


def _mixed_int(x: int) -> int:
    x = ((x ^ (x >> 16)) * FIRST) & _MASK32
    x = ((x ^ (x >> 15)) * SECOND) & _MASK32
    return x ^ (x >> 15)


def _signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word


def is_fused() -> bool:
    """Whether masks on this GPU are made by one kernel."""
    return _fused() is not None


def _kernel(x: Tensor) -> Any:
    """The module of fused kernels where x can go through them, else None."""
    return _fused() if x.is_cuda and x.is_contiguous() else None


@functools.cache
def _fused() -> Any:
    """The fused kernels, if they run here and make the same bits; each process looks once."""
    if importlib.util.find_spec("triton") is None:
        return None
    try:
        from trainers.methods import dropout_kernel

        words_2T = row_words(torch.arange(5), torch.arange(5), seed=1, step=2).cuda()
        key = MaskKey(words_2T=words_2T, layer=layer_words("a"), threshold=LEVELS // 3)
        ones_TI = torch.ones(5, 33, device="cuda")
        same = torch.equal(dropout_kernel.kept(ones_TI, key) != 0, mask_of(key, 33))
    except Exception as error:  # Triton fails in many ways: no compiler, no headers, a driver too old.
        log.warning("dropout goes without its fused kernel: %s", error)
        return None
    if not same:
        log.warning("dropout goes without its fused kernel: it makes other masks on this GPU")
    return dropout_kernel if same else None
