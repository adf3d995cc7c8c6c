"""Dropout masks: the same to the bit wherever they are made, without pattern, and of the rate that was asked for."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trainers.methods.dropout import (
    FIRST,
    LEVELS,
    SECOND,
    STRIDE,
    Dropout,
    DropoutKey,
    MaskKey,
    kept_share,
    layer_words,
    mask_of,
    mixed,
    row_words,
    threshold_of,
)

TOKENS, COLUMNS, RATE = 1000, 257, 0.1


def key_of(*, seed: int = 1, step: int = 1, layer: str = "q_proj", example: int = 0, start: int = 0) -> MaskKey:
    keys_T = torch.arange(TOKENS) // 100 + example
    words_2T = row_words(keys_T, torch.arange(TOKENS) % 100 + start, seed=seed, step=step)
    return MaskKey(words_2T=words_2T, layer=layer_words(layer), threshold=threshold_of(RATE))


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten().float(), b.flatten().float()]))[0, 1])


def test_the_hash_is_that_of_unsigned_arithmetic_in_numpy() -> None:
    x = np.arange(-500_000, 500_003, dtype=np.int64).astype(np.uint32) * np.uint32(2654435761)
    expected = x.copy()
    expected ^= expected >> np.uint32(16)
    expected *= np.uint32(FIRST)
    expected ^= expected >> np.uint32(15)
    expected *= np.uint32(SECOND)
    expected ^= expected >> np.uint32(15)
    assert np.array_equal(mixed(torch.from_numpy(x.view(np.int32))).numpy().view(np.uint32), expected)


def test_a_mask_is_what_is_told_of_it() -> None:
    key = key_of()
    a, b = (
        mixed(word_T ^ layer).numpy().view(np.uint32) for word_T, layer in zip(key.words_2T, key.layer, strict=True)
    )
    z = a[:, None] + (np.arange((COLUMNS + 1) // 2) * (STRIDE % 2**32)).astype(np.uint32)
    z ^= z >> np.uint32(16)
    z *= np.uint32(FIRST)
    z ^= b[:, None]
    z ^= z >> np.uint32(15)
    z *= np.uint32(SECOND)
    z ^= z >> np.uint32(15)
    halves = np.stack([z & np.uint32(0xFFFF), z >> np.uint32(16)], axis=-1).reshape(TOKENS, -1)[:, :COLUMNS]
    # Half a hash is compared as a signed number, which moves the upper half of the range to the front.
    kept = (halves ^ np.uint32(0x8000)) >= key.threshold
    assert np.array_equal(mask_of(key, COLUMNS).numpy(), kept)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.9])
def test_the_share_that_is_kept_is_that_of_the_rate(rate: float) -> None:
    key = MaskKey(words_2T=key_of().words_2T, layer=layer_words("a"), threshold=threshold_of(rate))
    mask_TI = mask_of(key, 4096).float()
    deviation = (rate * (1 - rate)) ** 0.5
    assert float(mask_TI.mean()) == pytest.approx(1 - rate, abs=4 * deviation / mask_TI.numel() ** 0.5)
    assert kept_share(key.threshold) == pytest.approx(1 - rate, abs=1 / LEVELS)
    # By token and by column too: the worst of so many means within 5 of its own deviations.
    for axis in (0, 1):
        means = mask_TI.mean(axis)
        assert float((means - (1 - rate)).abs().max()) < 5 * deviation / mask_TI.shape[axis] ** 0.5


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"seed": 1 << 40},
        {"step": 2},
        {"layer": "k_proj"},
        {"example": 1},
        {"example": 1 << 33},
        {"start": 1},
    ],
)
def test_another_seed_step_layer_example_or_position_has_an_unrelated_mask(other: dict[str, int]) -> None:
    a, b = mask_of(key_of(), COLUMNS), mask_of(key_of(**other), COLUMNS)  # type: ignore[arg-type]
    assert abs(correlation(a, b)) < 4 / a.numel() ** 0.5


def test_neighbours_in_a_mask_are_unrelated() -> None:
    mask_TI = mask_of(key_of(), 1024)
    bound = 4 / mask_TI.numel() ** 0.5
    for shift in (1, 2, 3, 16, 512):
        assert abs(correlation(mask_TI[:, shift:], mask_TI[:, :-shift])) < bound
    for shift in (1, 2, 100):
        assert abs(correlation(mask_TI[shift:], mask_TI[:-shift])) < bound
    assert abs(correlation(mask_TI[1:, 1:], mask_TI[:-1, :-1])) < bound


def test_an_example_has_its_mask_wherever_it_lies_in_whatever_row() -> None:
    alone = row_words(torch.full((30,), 77), torch.arange(30), seed=5, step=9)
    keys_T = torch.cat([torch.full((20,), 3), torch.full((30,), 77), torch.full((9,), 12)])
    positions_T = torch.cat([torch.arange(20), torch.arange(30), torch.arange(9)])
    company = MaskKey(
        words_2T=row_words(keys_T, positions_T, seed=5, step=9), layer=layer_words("a"), threshold=threshold_of(RATE)
    )
    solo = MaskKey(words_2T=alone, layer=company.layer, threshold=company.threshold)
    assert torch.equal(mask_of(company, 300)[20:50], mask_of(solo, 300))
    assert torch.equal(mask_of(company.part(20, 50), 300), mask_of(solo, 300))


def test_a_row_is_hashed_once_and_again_when_step_or_row_change() -> None:
    key, cpu = DropoutKey(seed=1), torch.device("cpu")
    with pytest.raises(RuntimeError, match="set example_keys_T and positions_T"):
        key.words_2T(cpu)
    key.example_keys_T, key.positions_T = torch.zeros(1, 4, dtype=torch.int64), torch.arange(4)[None]
    first = key.words_2T(cpu)
    assert first.shape == (2, 4) and key.words_2T(cpu) is first
    key.step = 1
    second = key.words_2T(cpu)
    key.positions_T = torch.arange(1, 5)
    assert not torch.equal(first, second)
    assert torch.equal(key.words_2T(cpu)[:, :-1], second[:, 1:])


def test_dropping_and_adding_what_was_dropped_follow_the_mask() -> None:
    key, x_TI = key_of(), torch.randn(TOKENS, COLUMNS)
    kept_TI = x_TI * mask_of(key, COLUMNS)
    dropout = Dropout(key, x_TI)
    assert torch.equal(dropout.kept(x_TI), kept_TI)
    out_TI = torch.ones(TOKENS, COLUMNS)
    dropout.add_(out_TI, x_TI.clone())
    assert torch.equal(out_TI, 1 + kept_TI)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("columns", [33, 512, 1536, 8961])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masks_on_a_gpu_have_the_same_bits_with_and_without_the_fused_kernel(columns: int, dtype: torch.dtype) -> None:
    from trainers.methods import dropout_kernel

    here = key_of()
    there = MaskKey(words_2T=here.words_2T.cuda(), layer=here.layer, threshold=here.threshold)
    expected = mask_of(here, columns)
    assert torch.equal(mask_of(there, columns).cpu(), expected)
    x_TI = torch.randn(TOKENS, columns).to(dtype)
    assert torch.equal(dropout_kernel.kept(x_TI.cuda(), there).cpu(), x_TI * expected)
    out_TI = torch.randn(TOKENS, columns).to(dtype)
    added_TI = out_TI.cuda()
    dropout_kernel.add_kept_(added_TI, x_TI.cuda(), there)
    assert torch.equal(added_TI.cpu(), out_TI + x_TI * expected)
