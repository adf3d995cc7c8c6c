"""How fast the built-in base is pretrained, by precision, attention and compilation, in one run.

Prints tokens per second of each way and its ratio to the first, over the same batches, with the loss
before and after, which must have fallen: a speed without learning counts for nothing.

    python benchmarks/pretraining.py --threads 1
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch

from models.micro.pretrain import _encoded, build_model, collate, train_tokenizer, weighted_loss

WAYS: dict[str, tuple[bool, str, bool]] = {
    "fp32, fused attention": (False, "sdpa", False),
    "bf16 autocast, fused attention": (True, "sdpa", False),
    "bf16 autocast, eager attention": (True, "eager", False),
    "bf16 autocast, fused attention, compiled": (True, "sdpa", True),
    "bf16 autocast, eager attention, compiled": (True, "eager", True),
}


def stepper(tokenizer: Any, autocast: bool, attention: str, compiled: bool) -> Callable[[list[Any]], float]:
    """One optimizer step of a fresh model, prepared in one of the ways; returns the loss."""
    model = build_model(tokenizer, 0)
    model.set_attn_implementation(attention)
    if compiled:
        model.compile(dynamic=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step(batch: list[Any]) -> float:
        ids_BT, weights_BT = collate(batch, tokenizer.pad_token_id)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss, _ = weighted_loss(model, ids_BT, weights_BT)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def main() -> None:
    """Measure every way on the same batches of four lengths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tokenizer = train_tokenizer(0)
    documents = sorted(next(_encoded(tokenizer, seed=1, chunk=4096)), key=lambda document: len(document[0]))
    batches = [documents[i * 128 : (i + 1) * 128] for i in (4, 12, 20, 28)]
    tokens = sum(len(ids) for batch in batches for ids, _ in batch)
    first_speed = 0.0
    for name, way in WAYS.items():
        step = stepper(tokenizer, *way)
        before = [step(batch) for batch in batches]  # warm-up: compilation, caches
        started = time.perf_counter()
        after = [step(batch) for _ in range(arguments.repeats) for batch in batches]
        speed = tokens * arguments.repeats / (time.perf_counter() - started)
        first_speed = first_speed or speed
        row = {"way": name, "tokens_per_s": round(speed), "ratio": round(speed / first_speed, 2)}
        print(json.dumps({**row, "loss": [round(before[0], 3), round(after[-1], 3)]}), flush=True)


if __name__ == "__main__":
    main()
