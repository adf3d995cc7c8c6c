"""The masks of `trainers.methods.dropout` in one pass over an activation, on a GPU.

One decision: the arithmetic is that of `mask_of`, bit by bit; this is only where it happens. No mask is ever written.
It imports Triton, so only `dropout` imports it, where Triton is installed.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from trainers.methods.dropout import FIRST, LEVELS, SECOND, STRIDE, MaskKey

_BLOCK_ROWS, _BLOCK_COLUMNS = 4, 512


@triton.jit  # type: ignore[untyped-decorator]
def _mixed(x, FIRST: tl.constexpr, SECOND: tl.constexpr):  # type: ignore[no-untyped-def]
    x = (x ^ ((x >> 16) & 0xFFFF)) * FIRST
    x = (x ^ ((x >> 15) & 0x1FFFF)) * SECOND
    return x ^ ((x >> 15) & 0x1FFFF)


# The layer's words are all different, and none is worth a kernel of its own.
@triton.jit(do_not_specialize=["layer_a", "layer_b", "threshold", "rows"])  # type: ignore[untyped-decorator]
def _keep(  # type: ignore[no-untyped-def]
    x_ptr,
    out_ptr,
    a_ptr,
    b_ptr,
    layer_a,
    layer_b,
    threshold,
    rows,
    columns,
    ADD: tl.constexpr,
    FIRST: tl.constexpr,
    SECOND: tl.constexpr,
    STRIDE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    a = _mixed(tl.load(a_ptr + row, mask=row < rows, other=0) ^ layer_a, FIRST, SECOND)
    b = _mixed(tl.load(b_ptr + row, mask=row < rows, other=0) ^ layer_b, FIRST, SECOND)
    z = a[:, None] + ((column // 2) * STRIDE)[None, :]
    z = (z ^ ((z >> 16) & 0xFFFF)) * FIRST
    z = z ^ b[:, None]
    z = (z ^ ((z >> 15) & 0x1FFFF)) * SECOND
    z = z ^ ((z >> 15) & 0x1FFFF)
    # The lower half is the even column's, signed as int16 is: its sign bit flipped it counts from 0.
    half = ((z >> ((column % 2) * 16)[None, :]) & 0xFFFF) ^ 0x8000
    at = row.to(tl.int64)[:, None] * columns + column[None, :]
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    # What is not kept is not read.
    x = tl.load(x_ptr + at, mask=inside & (half >= threshold), other=0.0)
    if ADD:
        x = (tl.load(out_ptr + at, mask=inside, other=0.0).to(tl.float32) + x.to(tl.float32)).to(x.dtype)
    tl.store(out_ptr + at, x, mask=inside)


def kept(x_TI: Tensor, key: MaskKey) -> Tensor:
    """See `trainers.methods.dropout.Dropout.kept`."""
    out_TI = torch.empty_like(x_TI)
    _launch(x_TI, out_TI, key, add=False)
    return out_TI


def add_kept_(out_TI: Tensor, x_TI: Tensor, key: MaskKey) -> None:
    """See `trainers.methods.dropout.Dropout.add_`."""
    assert out_TI.is_contiguous() and out_TI.dtype == x_TI.dtype, "gradients of one projection have one layout"
    _launch(x_TI, out_TI, key, add=True)


def _launch(x_TI: Tensor, out_TI: Tensor, key: MaskKey, *, add: bool) -> None:
    rows, columns = x_TI.shape
    grid = (triton.cdiv(rows, _BLOCK_ROWS), triton.cdiv(columns, _BLOCK_COLUMNS))
    a_T, b_T = key.words_2T
    constants: dict[str, Any] = {"FIRST": FIRST, "SECOND": SECOND, "STRIDE": STRIDE}
    _keep[grid](
        x_TI,
        out_TI,
        a_T,
        b_T,
        *key.layer,
        key.threshold,
        rows,
        columns,
        ADD=add,
        ROWS=_BLOCK_ROWS,
        COLUMNS=_BLOCK_COLUMNS,
        **constants,
    )


assert LEVELS == 1 << 16, "the kernel splits a hash into halves of 16 bits"
