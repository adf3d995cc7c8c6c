"""Writing by vLLM on one GPU: what `benchmarks.gpu.generation` writes in slots, by the engine of studies on vLLM.

One decision: vLLM reads models and adapters from files, so the random ones are written to a folder that goes with the
benchmark; loading is timed apart, and no tokenizer has a part in it.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.gpu.shapes import random_model
from evaluators.generation.engines import absent_vllm
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.shelf import Base
from evaluators.generation.vllm_engine import VllmWriter
from evaluators.generation.vllm_shelf import Needs, VllmShelf
from evaluators.generation.writer import Asked, Work
from models.loading import load_tokenizer
from models.rack import Adapter
from models.spec import ModelSpec, Precision

# The benchmark's own process holds some of the GPU.
_GPUS = 0.85
_SEATS = 256
AskedBy = Callable[[int], Sequence[Asked]]
"""Prompts by so many adapters in turn."""


def vllm_lines(
    name: str, adapters: Sequence[Adapter], asked_by: AskedBy, *, device: torch.device, until: float
) -> Iterator[dict[str, Any]]:
    """A line for each precision and number of adapters, or for why there is none.

    Args:
        name: The model, by whose sizes random weights are made.
        adapters: Adapters of its layers, all of one rank.
        asked_by: Gives the prompts.
        device: Where it runs.
        until: The time, by `time.monotonic`, from which no further case begins.
    """
    exact: Precision = "bf16" if device.type == "cuda" else "fp32"
    precisions: tuple[Precision, ...] = (exact, "nf4") if device.type == "cuda" else (exact,)
    with TemporaryDirectory() as place:
        folder, shelf = Path(place), VllmShelf(gpus=_GPUS)
        for precision in precisions:
            said = {"model": name, "precision": precision, "by": "vllm"}
            if absent := absent_vllm(quantised=precision == "nf4"):
                yield said | {"not_run": absent}
                continue
            base = Base(model=ModelSpec(name=str(_saved(name, folder))), precision=precision, device=device)
            folders = [None, *(_saved_adapter(adapter, folder) for adapter in adapters)]
            try:
                yield from (said | line for line in _cases(shelf, base, folders, asked_by, until=until))
            finally:
                shelf.clear()


def _cases(
    shelf: VllmShelf, base: Base, folders: Sequence[Path | None], asked_by: AskedBy, *, until: float
) -> Iterator[dict[str, Any]]:
    rank = max(len(A_RI) for adapter in folders[1:] for A_RI in _downs(adapter))
    longest = max(len(one.ids) + one.limit for one in asked_by(0))
    needs = Needs(length=longest, context=None, rank=rank, adapters=len(folders) - 1, seats=_SEATS)
    begin = time.monotonic()
    held = shelf.ready(base, needs)
    yield {"load_seconds": round(time.monotonic() - begin, 1)}
    for count in (0, 1, len(folders) - 1):
        if time.monotonic() >= until:
            yield {"adapters": count, "not_run": "no time left; give it more with --seconds"}
            continue
        asked, work = asked_by(count), Work()
        writer = VllmWriter(held, folders, GenerationSettings(), ends=frozenset(), work=work)
        for folder in folders[: count + 1]:
            held.adapter(folder)
        begin = time.perf_counter()
        written = list(writer.write(asked))
        took = time.perf_counter() - begin
        assert len(written) == len(asked)
        yield {"adapters": count, "seconds": round(took, 2), "new_tokens_per_s": round(work.new_tokens / took)}


def _saved(name: str, folder: Path) -> Path:
    """The random model as files, with some tokenizer, which no prompt goes through."""
    if not (folder / "base").exists():
        model = random_model(name, device=torch.device("cpu"), precision=torch.bfloat16)
        model.save_pretrained(folder / "base")
        load_tokenizer(ModelSpec(name="builtin:micro")).save_pretrained(folder / "base")
    return folder / "base"


def _saved_adapter(adapter: Adapter, folder: Path) -> Path:
    """An adapter as peft would have saved it."""
    place = folder / adapter.folder.name
    place.mkdir(exist_ok=True)
    tensors = {}
    for name, (A_RI, B_OR, scale) in adapter.layers.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = A_RI.to(torch.bfloat16).contiguous()
        tensors[f"base_model.model.{name}.lora_B.weight"] = B_OR.to(torch.bfloat16).contiguous()
        rank, alpha = len(A_RI), scale * len(A_RI)
    targets = sorted({name.rsplit(".", 1)[-1] for name in adapter.layers})
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": int(alpha), "target_modules": targets, "bias": "none"}
    (place / "adapter_config.json").write_text(json.dumps(settings | {"use_rslora": False}), encoding="utf-8")
    save_file(tensors, place / "adapter_model.safetensors")
    return place


def _downs(folder: Path | None) -> Iterator[torch.Tensor]:
    from safetensors.torch import load_file

    assert folder is not None
    yield from (tensor for name, tensor in load_file(folder / "adapter_model.safetensors").items() if "lora_A" in name)
