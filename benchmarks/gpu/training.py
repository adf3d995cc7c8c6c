"""Training on one GPU: tokens a second, use of the chip, and memory beside the planner's word. Five minutes.

    python -m benchmarks.gpu.training            all of it, on one GPU
    python -m benchmarks.gpu.training --tiny     the same code on any machine, in a minute

Random weights in the sizes of Qwen2.5-Coder, trained by the project's own engine on flat rows of examples of about 270
tokens; a step is one row. Each line is one JSON object. MFU is tokens/s x 4N for adapters and 6N for full fine-tuning,
N the linear weights, over the chip's dense bf16 peak.

One decision: a case that cannot run (no memory, no bitsandbytes, no time left) is a line that says so, never a gap.
"""

import argparse
import gc
import importlib.metadata
import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.gpu import parts
from benchmarks.gpu.shapes import random_model, sized
from models.flat import path_of
from models.kernels import Applied, apply_kernels
from models.shapes import Unknown
from models.spec import ModelSpec
from trainers.batches.rows import Encoded, Row, lay_flat
from trainers.engines.adapters import SharedBase
from trainers.engines.protocol import LossModule, weighted
from trainers.memory import Load, training_memory
from trainers.methods.dropout import DropoutKey
from trainers.methods.lora import with_adapters
from trainers.methods.table import MethodKind
from trainers.spec import LoraSettings, TrainingSettings

CODER = "Qwen/Qwen2.5-Coder-"
TRACK = "generation/python"
# Dense bf16 TFLOP/s, by a part of the name that the driver gives.
PEAKS = {"H100": 989, "H200": 989, "A100": 312, "L40S": 362, "4090": 165, "B200": 2250}
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "liger-kernel", "triton")
RANK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is trained, and in rows of how many tokens."""

    model: str
    kind: MethodKind
    tokens: int
    checkpointing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long all may take, and how many steps each case warms up and is timed for."""

    until: float
    warmup: int
    steps: int


def cases() -> Iterator[Case]:
    """What a GPU is asked, the cases of most interest first."""
    for tokens, kind in itertools.product((8192, 16_384), (MethodKind.LORA, MethodKind.QLORA, MethodKind.FULL)):
        yield Case(model=f"{CODER}1.5B", kind=kind, tokens=tokens)
    for kind in (MethodKind.LORA, MethodKind.QLORA):
        yield Case(model=f"{CODER}7B", kind=kind, tokens=8192, checkpointing=True)
        yield Case(model=f"{CODER}0.5B", kind=kind, tokens=16_384)
    yield Case(model=f"{CODER}0.5B", kind=MethodKind.LORA, tokens=8192)


def tiny_cases() -> Iterator[Case]:
    """The same code on a model of nothing."""
    for kind in (MethodKind.LORA, MethodKind.QLORA, MethodKind.FULL):
        yield Case(model="tiny", kind=kind, tokens=512)
    yield Case(model="tiny", kind=MethodKind.LORA, tokens=512, checkpointing=True)


def row_of(tokens: int, *, vocabulary: int) -> Row:
    """Examples whose next token follows from the last, about 270 tokens long, that fill a row."""
    chance, examples, room = random.Random(0), [], tokens
    while room >= 16:
        length = min(room, max(16, min(512, round(chance.lognormvariate(5.5, 0.45)))))
        first, stride = chance.randrange(vocabulary), chance.randrange(1, 8)
        ids = tuple((first + stride * place) % min(vocabulary, 1000) for place in range(length))
        examples.append(Encoded(track=TRACK, ids=ids, loss_from=length // 2, name=str(len(examples))))
        room -= length
    return lay_flat(examples, keys=range(len(examples)), tracks=(TRACK,), pad=0)


class Adapters:
    """The project's engine for adapters."""

    def __init__(self, case: Case, model: Any, settings: TrainingSettings) -> None:
        key = DropoutKey(seed=0)
        lora = LoraSettings(rank=RANK, alpha=2 * RANK, dropout=0.1)
        adapted = with_adapters(model, lora, seed=0, key=key)
        shared = SharedBase(adapted, flat=path_of(model) == "flat", key=key)
        self._engine = shared.join(settings, num_tracks=1, seed=0)

    def step(self, row: Row, weight: float) -> tuple[torch.Tensor, float]:
        """One step on one row: its loss sum, and the gradients' norm."""
        sums = self._engine.accumulate(row, (weight,), last=True)
        return sums.sum(), self._engine.step(learning_rate=1e-3)


class Whole:
    """All weights, with the project's loss and a fused AdamW on bf16 weights: what one GPU does without DeepSpeed."""

    def __init__(self, case: Case, model: Any, settings: TrainingSettings) -> None:
        flat = path_of(model) == "flat"
        self._loss = LossModule(model, num_tracks=1, autocast=True, flat=flat, smoothing=0.0)
        self._weights = list(model.parameters())
        self._optimizer = torch.optim.AdamW(self._weights, lr=1e-4, fused=self._weights[0].is_cuda)

    def step(self, row: Row, weight: float) -> tuple[torch.Tensor, float]:
        """One step on one row: its loss sum, and the gradients' norm."""
        with self._loss.attending():
            sums = self._loss(row)
            weighted(sums, (weight,)).backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return sums.detach().sum(), float(norm)


def prepared(case: Case, device: torch.device) -> tuple[Adapters | Whole, Applied]:
    """A model in training with what trains it."""
    model = random_model(case.model, device=device, precision=torch.bfloat16, nf4=case.kind is MethodKind.QLORA)
    kernels = apply_kernels(model)
    if case.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    settings = TrainingSettings(max_steps=100, batch_tokens=case.tokens)
    made = Whole if case.kind is MethodKind.FULL else Adapters
    return made(case, model, settings), kernels


def measured(case: Case, device: torch.device, budget: Budget) -> dict[str, Any]:
    """A case's figures."""
    trainer, kernels = prepared(case, device)
    row = row_of(case.tokens, vocabulary=sized(case.model).vocabulary)
    weight = 1 / len(row.targets_N)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    losses, norms = [], []
    begin = time.perf_counter()
    for step in range(budget.warmup + budget.steps):
        if step == budget.warmup:
            _wait(device)
            begin = time.perf_counter()
        loss, norm = trainer.step(row, weight)
        losses.append(loss)
        norms.append(norm)
    _wait(device)
    took = time.perf_counter() - begin
    rate = budget.steps * case.tokens / took
    return {
        "tokens_per_s": round(rate),
        "step_ms": round(1000 * took / budget.steps, 1),
        "mfu": _mfu(case, rate, device),
        "first_loss": round(float(losses[0]) * weight, 4),
        "last_loss": round(float(losses[-1]) * weight, 4),
        "least_gradient_norm": min(norms),
        "falls": bool(losses[-1] < losses[0]),
        **_memory(case, device, kernels),
        "kernels": kernels.kernels or kernels.why_not,
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _mfu(case: Case, tokens_per_s: float, device: torch.device) -> float | None:
    """The share of the chip's peak, None where that is not known."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else ""
    peak = next((peak for part, peak in PEAKS.items() if part in name), None)
    if peak is None:
        return None
    each = (6 if case.kind is MethodKind.FULL else 4) * sized(case.model).linear_parameters
    return round(tokens_per_s * each / (peak * 1e12), 4)


def _memory(case: Case, device: torch.device, kernels: Applied) -> dict[str, float | None]:
    """GiB that were held at most, and that the planner said."""
    load = Load(
        kind=case.kind,
        micro_tokens=case.tokens,
        rank=RANK,
        gradient_checkpointing=case.checkpointing,
        kernels="liger" if kernels.kernels else "plain",
        masters=False,
    )
    said = training_memory(ModelSpec(name=case.model), load)
    peak = torch.cuda.max_memory_reserved() / 2**30 if device.type == "cuda" else None
    planned = None if isinstance(said, Unknown) else said.value / 2**30
    return {"peak_gib": peak and round(peak, 2), "planner_gib": planned and round(planned, 2)}


def figures(case: Case, device: torch.device, budget: Budget) -> dict[str, Any]:
    """A case's figures, or why it has none."""
    if time.monotonic() > budget.until:
        return {"not_run": "no time left; give it more with --seconds"}
    try:
        return measured(case, device, budget)
    except torch.cuda.OutOfMemoryError:
        return {"not_run": "out of memory"}
    except ImportError as error:
        return {"not_run": str(error)}
    finally:
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def machine(device: torch.device) -> dict[str, Any]:
    """What it runs on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    on_gpu = device.type == "cuda"
    return {"device": torch.cuda.get_device_name() if on_gpu else "CPU", "cuda": torch.version.cuda, **versions}


def main() -> None:
    """Print a line for the machine, one for each case, and one for each part of a step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a model of nothing, on whatever there is")
    parser.add_argument("--only", default="", help="cases whose line has this in it, such as 1.5B or qlora")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    if not options.tiny and not torch.cuda.is_available():
        parser.error("PyTorch sees no GPU here; try the code with --tiny")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    budget = Budget(until=time.monotonic() + options.seconds, warmup=3, steps=options.steps)
    print(json.dumps(machine(device)), flush=True)
    for line in parts.figures(device, tiny=options.tiny):
        print(json.dumps(line), flush=True)
    for case in tiny_cases() if options.tiny else cases():
        said = {"model": case.model, "kind": str(case.kind), "tokens": case.tokens, "checkpointing": case.checkpointing}
        if options.only in json.dumps(said):
            print(json.dumps(said | figures(case, device, budget)), flush=True)


if __name__ == "__main__":
    main()
