"""Parts of a training step alone: an adapted layer against peft's, dropout by hash, attention over a flat row.

One decision: each part is timed as a step meets it, in the width of the 1.5B model, forward and backward.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from models.flat import _by_example, flat_attention, segments_of
from trainers.methods.adapted import adapt
from trainers.methods.dropout import (
    Dropout,
    DropoutKey,
    MaskKey,
    _fused,
    layer_words,
    mask_of,
    row_words,
    threshold_of,
)

Line = dict[str, Any]


def figures(device: torch.device, *, tiny: bool) -> Iterator[Line]:
    """All parts."""
    tokens, inputs, outputs = (256, 64, 192) if tiny else (16_384, 1536, 8960)
    yield from layers(device, tokens=tokens, inputs=inputs, outputs=outputs)
    yield from dropouts(device, tokens=tokens, columns=outputs)
    yield from attentions(device, tokens=tokens, heads=2 if tiny else 12, size=16 if tiny else 128)


def milliseconds(run: Callable[[], Any], device: torch.device, *, times: int = 10) -> float:
    """The mean time of a call after three that warm up."""
    for _ in range(3):
        run()
    if device.type != "cuda":
        begin = time.perf_counter()
        for _ in range(times):
            run()
        return (time.perf_counter() - begin) * 1000 / times
    begins, ends = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begins.record()
    for _ in range(times):
        run()
    ends.record()
    torch.cuda.synchronize()
    return float(begins.elapsed_time(ends)) / times


def layers(device: torch.device, *, tokens: int, inputs: int, outputs: int) -> Iterator[Line]:
    """An up projection with its adapter, by peft and by ours."""
    for dropout in (0.1, 0.0):
        base = torch.nn.Sequential()
        base.add_module("up_proj", torch.nn.Linear(inputs, outputs, bias=False).to(device, torch.bfloat16))
        base.requires_grad_(False)
        config = LoraConfig(r=16, lora_alpha=32, lora_dropout=dropout, target_modules=["up_proj"])
        model = get_peft_model(base, config).to(device).train()  # type: ignore[arg-type]
        x = torch.randn(1, tokens, inputs, device=device, dtype=torch.bfloat16, requires_grad=True)
        dy = torch.randn(1, tokens, outputs, device=device, dtype=torch.bfloat16)
        for who in ("peft", "ours"):
            if who == "ours":
                key = DropoutKey(seed=0)
                key.example_keys_T = torch.arange(tokens, device=device) // 256
                key.positions_T = torch.arange(tokens, device=device) % 256
                adapt(model, key)
            layer = model.base_model.model.up_proj

            def run(layer: Any = layer, x: Tensor = x, dy: Tensor = dy) -> None:
                with torch.autocast(x.device.type, torch.bfloat16):
                    y = layer(x)
                y.backward(dy)

            ms = milliseconds(run, device)
            yield {"part": "adapted layer", "who": who, "dropout": dropout, "tokens": tokens, "ms": round(ms, 3)}


def dropouts(device: torch.device, *, tokens: int, columns: int) -> Iterator[Line]:
    """What is kept of an activation: PyTorch's own dropout, our hash by its operators, and fused."""
    at_T = torch.arange(tokens, device=device)
    key = MaskKey(words_2T=row_words(at_T, at_T, seed=0, step=0), layer=layer_words("a"), threshold=threshold_of(0.1))
    x_TI = torch.randn(tokens, columns, device=device, dtype=torch.bfloat16)
    ways: dict[str, Callable[[], Tensor]] = {
        "torch": lambda: torch.nn.functional.dropout(x_TI, 0.1),
        "hash by operators": lambda: x_TI * mask_of(key, columns),
    }
    if device.type == "cuda" and _fused() is not None:
        ways["hash fused"] = lambda: Dropout(key, x_TI).kept(x_TI)
    for who, way in ways.items():
        ms = milliseconds(way, device)
        moved = 2 * x_TI.numel() * x_TI.element_size() / ms / 1e9
        yield {"part": "dropout", "who": who, "tokens": tokens, "ms": round(ms, 3), "tb_per_s": round(moved, 3)}


def attentions(device: torch.device, *, tokens: int, heads: int, size: int) -> Iterator[Line]:
    """A row's attention, as the engine has it and example by example."""
    segments = segments_of([256] * (tokens // 256), device=device)
    query, key, value = (
        torch.randn(1, heads, tokens, size, device=device, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)
    )

    def flat() -> None:
        out, _ = flat_attention(torch.nn.Module(), query, key, value, None, segments=segments)
        out.float().sum().backward()

    def one_by_one() -> None:
        out = _by_example(query, key, value, segments=segments, scale=None, window=None)
        out.float().sum().backward()

    for who, way in (("flat row", flat), ("example by example", one_by_one)):
        ms = milliseconds(way, device)
        yield {"part": "attention", "who": who, "tokens": tokens, "ms": round(ms, 3)}
