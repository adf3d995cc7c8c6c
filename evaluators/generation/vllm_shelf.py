"""vLLM as it is called: what is said to it, and the one engine that a process holds.

One decision: everything that might make an answer depend on its company is set, whatever it costs in speed: kernels
that give a row the same sums in any batch (`VLLM_BATCH_INVARIANT`), no cascade attention, no cache of prefixes, a
model's own defaults of sampling set aside. Nothing that decides an answer is left to what vLLM takes for a default.

The engine runs in a process of vLLM's own, since those kernels take the place of PyTorch's for all that runs beside
them, and a process that writes may train next. Between calls it sleeps: its memory goes back, so that a training finds
it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from evaluators.generation.engines import VLLM_RANKS, absent_vllm
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.shelf import Base
from evaluators.generation.writer import Asked
from models.locations import ModelError, location_of

# Read when vLLM is imported, and by the process that it starts.
_ENVIRONMENT: Mapping[str, str] = {"VLLM_WORKER_MULTIPROC_METHOD": "spawn", "VLLM_NO_USAGE_STATS": "1"}
# These kernels are Triton's, which no CPU runs.
_INVARIANT = "VLLM_BATCH_INVARIANT"
_PRECISIONS: Mapping[str, Mapping[str, Any]] = {
    "bf16": {"dtype": "bfloat16"},
    "fp32": {"dtype": "float32"},
    # By its plugin: NF4 with doubly quantised scales and products in bfloat16, as `models.loading` has them.
    "nf4": {"dtype": "bfloat16", "quantization": "bitsandbytes", "load_format": "bitsandbytes"},
}
# The share of its part of the GPU that an engine takes; the rest is for graphs, and for PyTorch beside it.
_MEMORY_SHARE = 0.9
# Adapters that a step may mix: at least so many, since trials come one by one, and at most, since each has buffers.
_FEWEST_ADAPTERS, _MOST_ADAPTERS = 8, 16
_SMALLEST_RANK = 16
# Lengths are rounded up to a power of two, so that a longer prompt seldom needs another engine.
_SHORTEST = 2048
_PARTING_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a call needs of an engine.

    Attributes:
        length: Tokens of the longest prompt with its answer.
        context: The most tokens that the model reads; None where nothing bounds it.
        rank: The largest rank of its adapters; 0 where there are none.
        adapters: How many there are.
        seats: Most answers at once.
    """

    length: int
    context: int | None
    rank: int
    adapters: int
    seats: int


def engine_arguments(base: Base, needs: Needs, *, gpus: float) -> dict[str, Any]:
    """What `vllm.LLM` is given for a base.

    Args:
        base: The base and its precision.
        needs: What it is made for.
        gpus: The share of a GPU that it may take.
    """
    where = location_of(base.model)
    length = max(_SHORTEST, 1 << (needs.length - 1).bit_length())
    arguments: dict[str, Any] = {
        "model": where if base.weights is None else str(base.weights),
        "tokenizer": where,
        "trust_remote_code": base.model.trust_remote_code,
        **_PRECISIONS[base.precision],
        "seed": 0,
        "max_model_len": length if needs.context is None else min(length, needs.context),
        "max_num_seqs": needs.seats,
        "gpu_memory_utilization": round(_MEMORY_SHARE * min(1.0, gpus), 4),
        "enforce_eager": False,
        "disable_cascade_attn": True,
        "enable_prefix_caching": False,
        "generation_config": "vllm",
        # Its builds for CPUs have none.
        "enable_sleep_mode": base.device.type == "cuda",
        # Whole rows of logits, for the proof of an adapter.
        "max_logprobs": -1,
        "logprobs_mode": "raw_logits",
        "worker_extension_cls": "evaluators.generation.vllm_worker.EndsWithAsker",
    }
    if base.weights is None:
        arguments["revision"] = base.model.revision
    arguments["tokenizer_revision"] = base.model.revision
    if needs.rank:
        arguments |= {
            "enable_lora": True,
            "max_loras": min(_MOST_ADAPTERS, max(_FEWEST_ADAPTERS, needs.adapters)),
            "max_lora_rank": next(rank for rank in VLLM_RANKS if rank >= max(_SMALLEST_RANK, needs.rank)),
            "lora_dtype": "auto",
        }
    return arguments


def sampling_arguments(settings: GenerationSettings, asked: Asked, *, ends: frozenset[int]) -> dict[str, Any]:
    """What `vllm.SamplingParams` are given for an answer. Which tokens end it is said by us alone."""
    return {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "min_p": settings.min_p,
        "repetition_penalty": settings.repetition_penalty,
        "seed": asked.seed,
        "max_tokens": asked.limit,
        "stop": list(settings.stop),
        "stop_token_ids": sorted(ends),
        "ignore_eos": True,
        # Text is only wanted for stop strings: tokens are turned into text by us, as every engine's are.
        "detokenize": bool(settings.stop),
        "skip_special_tokens": False,
    }


# One token, with the logits of all that it might have been.
LOGITS: Mapping[str, Any] = {"temperature": 0.0, "max_tokens": 1, "logprobs": -1, "detokenize": False}


@dataclass(slots=True, kw_only=True, eq=False)
class Held:
    """An engine, what it was made for, and how the adapters that it knows are asked for."""

    llm: Any
    base: Base
    arguments: dict[str, Any]
    requests: dict[Path, Any] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def adapter(self, folder: Path | None) -> Any:
        """What a request names an adapter by; None for the base.

        Raises:
            ModelError: if vLLM cannot take it.
        """
        if folder is None:
            return None
        if folder not in self.requests:
            from vllm.lora.request import LoRARequest

            number = next(self.numbers)
            request = LoRARequest(lora_name=f"adapter-{number}", lora_int_id=number, lora_path=str(folder))
            try:
                # Now, and apart: one that cannot be read while others write would take the engine with it.
                self.llm.llm_engine.add_lora(request)
            except Exception as error:
                raise ModelError(f"vLLM cannot take the adapter in {folder}: {first_line(error)}") from error
            self.requests[folder] = request
        return self.requests[folder]

    def serves(self, base: Base, arguments: Mapping[str, Any]) -> bool:
        """Whether it is of a base and has all that a call needs."""
        fixed = self.arguments.keys() | arguments.keys()
        for name in fixed - {"max_model_len", "max_lora_rank", "max_loras", "enable_lora", "lora_dtype"}:
            if self.arguments.get(name) != arguments.get(name):
                return False
        enough = ("max_model_len", "max_lora_rank")
        return base == self.base and all(self.arguments.get(name, 0) >= arguments.get(name, 0) for name in enough)


class VllmShelf:
    """Holds one engine at most; not for several threads.

    Args:
        gpus: The share of a GPU that it may take.
    """

    def __init__(self, *, gpus: float = 1.0) -> None:
        self._gpus = gpus
        self._held: Held | None = None
        self._asleep = False
        self.reads = 0

    def ready(self, base: Base, needs: Needs) -> Held:
        """An engine that has what a call needs: the one that is held, or a new one in its place.

        Raises:
            ModelError: if vLLM is not here, or cannot have this base.
        """
        arguments = engine_arguments(base, needs, gpus=self._gpus)
        if self._held is None or not self._held.serves(base, arguments):
            self.clear()  # frees the memory of the one before it
            self._held = Held(llm=_loaded(base, arguments), base=base, arguments=arguments)
            self.reads += 1
        elif self._asleep:
            self._held.llm.wake_up()
        self._asleep = False
        return self._held

    def rest(self) -> None:
        """Give back the GPU's memory until the next call; weights wait in the host's."""
        if self._held is not None and self._held.arguments["enable_sleep_mode"] and not self._asleep:
            self._held.llm.sleep(level=1)
            self._asleep = True

    def clear(self) -> None:
        """End the engine's process."""
        held, self._held, self._asleep = self._held, None, False
        if held is not None:
            # One that broke has no more to say.
            with suppress(Exception):
                held.llm.llm_engine.engine_core.shutdown(timeout=_PARTING_S)


def _loaded(base: Base, arguments: Mapping[str, Any]) -> Any:
    if absent := absent_vllm(quantised=base.precision == "nf4"):
        raise ModelError(absent)
    os.environ.update({**_ENVIRONMENT, _INVARIANT: str(int(base.device.type == "cuda"))})
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    import vllm

    try:
        llm = vllm.LLM(**arguments)
    except ValueError as error:
        raise ModelError(
            f"vLLM cannot have {base.model.name!r}: {first_line(error)}; use generation.engine: transformers, or give "
            "it more of a GPU by resources.generator_gpus"
        ) from error
    llm.collective_rpc("end_with", args=(os.getpid(),))
    return llm


def prompts_of(asked: Sequence[Asked]) -> list[dict[str, list[int]]]:
    """Prompts as vLLM takes tokens, so that no tokenizer but ours reads a prompt."""
    return [{"prompt_token_ids": list(one.ids)} for one in asked]


def first_line(error: Exception) -> str:
    """What an error says, without the pages that vLLM may put behind it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


__all__ = ["LOGITS", "Held", "Needs", "VllmShelf", "engine_arguments", "first_line", "prompts_of", "sampling_arguments"]
