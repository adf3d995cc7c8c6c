"""Writing on one GPU: new tokens a second in slots, with none, one and eight adapters, against the model's `generate`.

    python -m benchmarks.gpu.generation            all of it, on one GPU, in five minutes
    python -m benchmarks.gpu.generation --tiny     the same code on any machine, in a minute

Random weights in the size of Qwen2.5-Coder-1.5B, in 16 and 4 bits; prompts of 60 to 300 tokens and 128 new tokens each,
none of which ends an answer, so that every way writes the same number. Each line is one JSON object. Where vLLM is
installed it writes the same prompts, by the engine of studies (`benchmarks.gpu.vllm_generation`).

One decision: the first line after the machine's says how far the slots are off the model's own forward pass, and how
many answers differ from `generate`'s, since a speed without that says nothing.
"""

import argparse
import gc
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from benchmarks.gpu.shapes import random_model, sized
from benchmarks.gpu.training import machine
from evaluators.generation.proof import slotted
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.writer import Asked, SlotWriter
from models.projections import linear_names
from models.rack import Adapter

RANK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is written: so many prompts, and new tokens of each."""

    prompts: int
    new_tokens: int

    def asked(self, vocabulary: int, *, adapters: int) -> list[Asked]:
        """The prompts, adapters in turn."""
        chance, asked = random.Random(0), []
        for number in range(self.prompts):
            ids = [chance.randrange(3, vocabulary) for _ in range(chance.randrange(60, 300))]
            asked.append(Asked(ids=ids, limit=self.new_tokens, adapter=number % adapters + 1 if adapters else 0))
        return asked


def random_adapters(model: Any, count: int) -> list[Adapter]:
    """Adapters on all linear layers, with weights that change what is written."""
    names, made = set(linear_names(model)), []
    generator = torch.Generator().manual_seed(0)
    for number in range(count):
        layers = {}
        for name, module in model.named_modules():
            if name.rsplit(".", 1)[-1] in names:
                A_RI = torch.randn((RANK, module.in_features), generator=generator) / module.in_features**0.5
                B_OR = torch.randn((module.out_features, RANK), generator=generator) * 0.02
                layers[name] = (A_RI, B_OR, 2.0)
        made.append(Adapter(folder=Path(f"adapter-{number}"), layers=layers))
    return made


def in_slots(model: Any, asked: Sequence[Asked], *, slots: int, adapters: Sequence[Adapter]) -> list[tuple[int, ...]]:
    """The answers by the engine."""
    off = slotted(model)
    writer = SlotWriter(
        model,
        ends=frozenset(),
        settings=GenerationSettings(),
        adapters=adapters,
        slots=slots,
        flash=bool(off and off.flash),
    )
    found = {written.asked: written.ids for written in writer.write(asked)}
    return [found[one] for one in asked]


def padded(model: Any, asked: Sequence[Asked], *, batch: int) -> list[tuple[int, ...]]:
    """The answers by `generate`, padded on the left, in batches of like length."""
    ordered = sorted(asked, key=lambda one: len(one.ids))
    found: dict[Asked, tuple[int, ...]] = {}
    for start in range(0, len(ordered), batch):
        part = ordered[start : start + batch]
        width = max(len(one.ids) for one in part)
        ids_BT = torch.tensor([[0] * (width - len(one.ids)) + list(one.ids) for one in part], device=model.device)
        mask_BT = torch.tensor([[0] * (width - len(one.ids)) + [1] * len(one.ids) for one in part], device=model.device)
        config = GenerationConfig(
            max_new_tokens=part[0].limit, min_new_tokens=part[0].limit, do_sample=False, pad_token_id=0, eos_token_id=1
        )
        with torch.inference_mode():
            out_BT = model.generate(input_ids=ids_BT, attention_mask=mask_BT, generation_config=config)
        for one, row in zip(part, out_BT[:, width:].tolist(), strict=True):
            found[one] = tuple(row)
    return [found[one] for one in asked]


def timed(write: Callable[[], Any], load: Load, device: torch.device) -> dict[str, float]:
    """Seconds and new tokens a second."""
    begin = time.perf_counter()
    write()
    if device.type == "cuda":
        torch.cuda.synchronize()
    took = time.perf_counter() - begin
    return {"seconds": round(took, 2), "new_tokens_per_s": round(load.prompts * load.new_tokens / took)}


def lines(
    name: str, device: torch.device, load: Load, *, slots: Sequence[int], batches: Sequence[int]
) -> Iterator[Any]:
    """The cases of a model, each with what measures it."""
    vocabulary = sized(name).vocabulary
    for nf4 in (False, True):
        precision = torch.float32 if device.type == "cpu" else torch.bfloat16
        made = {"model": name, "precision": "nf4" if nf4 else str(precision).removeprefix("torch.")}
        try:
            model: Any = random_model(name, device=device, precision=precision, nf4=nf4).eval()
        except ImportError as error:
            yield made | {"not_run": str(error)}, None
            continue
        yield made, partial(likeness, model, vocabulary)
        adapters = random_adapters(model, 8)
        for count, held in itertools.product(slots, (0, 1, 8)):
            asked = load.asked(vocabulary, adapters=held)
            write = partial(in_slots, model, asked, slots=count, adapters=adapters[:held])
            yield made | {"by": "slots", "slots": count, "adapters": held}, partial(timed, write, load, device)
        if device.type == "cuda":
            yield made | {"by": "slots", "slots": slots[0]}, partial(kernels, model, load, vocabulary, slots=slots[0])
        for batch in batches:
            write = partial(padded, model, load.asked(vocabulary, adapters=0), batch=batch)
            yield made | {"by": "generate", "batch": batch, "adapters": 0}, partial(timed, write, load, device)
        del model
        gc.collect()


def likeness(model: Any, vocabulary: int) -> dict[str, Any]:
    """How far the slots are off, and how many answers differ from those of `generate`, asked alone and in a batch.

    With random weights two tokens are often nearly as likely, so answers in 16 bits soon differ whoever writes them:
    how many of `generate`'s own do when it is asked in a batch stands beside.
    """
    load = Load(prompts=8, new_tokens=24)
    asked = load.asked(vocabulary, adapters=0)
    ours, alone, batch = (
        in_slots(model, asked, slots=8, adapters=()),
        padded(model, asked, batch=1),
        padded(model, asked, batch=8),
    )
    off = slotted(model)
    return {
        "engine_off": off and float(f"{off.off:.2e}"),
        "flash": off and off.flash,
        "answers": len(asked),
        "differing_from_generate_alone": sum(a != b for a, b in zip(ours, alone, strict=True)),
        "generate_in_a_batch_differing_from_alone": sum(a != b for a, b in zip(batch, alone, strict=True)),
    }


def kernels(model: Any, load: Load, vocabulary: int, *, slots: int) -> dict[str, Any]:
    """Where the time of writing goes on the GPU: the kernels that take most, in ms of some steps."""
    asked = Load(prompts=slots, new_tokens=12).asked(vocabulary, adapters=0)
    in_slots(model, asked, slots=slots, adapters=())
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        in_slots(model, asked, slots=slots, adapters=())
    found = sorted(profile.key_averages(), key=lambda one: -one.device_time_total)[:14]
    return {"steps": 12, "ms": {one.key[:60]: [one.count, round(one.device_time_total / 1000, 2)] for one in found}}


def by_vllm(name: str, load: Load, device: torch.device, *, until: float) -> Iterator[dict[str, Any]]:
    """The same prompts by vLLM, where it is installed."""
    from benchmarks.gpu.vllm_generation import vllm_lines

    if device.type == "cuda":
        torch.cuda.empty_cache()
    bare = random_model(name, device=torch.device("meta"), precision=torch.bfloat16)

    def asked(adapters: int) -> list[Asked]:
        return load.asked(sized(name).vocabulary, adapters=adapters)

    yield from vllm_lines(name, random_adapters(bare, 8), asked, device=device, until=until)


def main() -> None:
    """Print a line for the machine and one for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a model of nothing, on whatever there is")
    parser.add_argument("--only", default="", help="cases whose line has this in it, such as nf4")
    parser.add_argument("--seconds", type=float, default=270)
    options = parser.parse_args()
    if not options.tiny and not torch.cuda.is_available():
        parser.error("PyTorch sees no GPU here; try the code with --tiny")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(json.dumps(machine(device)), flush=True)
    until = time.monotonic() + options.seconds
    name = "tiny" if options.tiny else "Qwen/Qwen2.5-Coder-1.5B"
    load = Load(prompts=24, new_tokens=16) if options.tiny else Load(prompts=512, new_tokens=128)
    slots, batches = ((4, 16), (8,)) if options.tiny else ((256, 512, 128, 32), (256, 32))
    for said, measure in lines(name, device, load, slots=slots, batches=batches):
        if options.only not in json.dumps(said):
            continue
        if measure is not None:
            late = {"not_run": "no time left; give it more with --seconds"}
            said = said | (measure() if time.monotonic() < until else late)
        print(json.dumps(said), flush=True)
    for line in by_vllm(name, load, device, until=until):
        if options.only in json.dumps(line):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
