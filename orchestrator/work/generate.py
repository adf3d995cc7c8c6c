"""The body of generation: completions of several trials over one base, written in one go.

One decision: a process keeps the base that it read last, and on a GPU gives its memory back when no work has come for a
while, since the next may be a training's.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from evaluators.generation.engines import vllm_version
from orchestrator.ledger.completions import item_key
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.recorder import Recorder
from orchestrator.ledger.writing import Counted, Telling
from orchestrator.work.busy import gpu_busy
from orchestrator.work.messages import Answer, GenerationPart, GenerationPiece, Weights
from orchestrator.work.sending import answered, failed
from tasks.records import Completion
from trainers.methods.table import traits_of

if TYPE_CHECKING:
    from evaluators.generation.shelf import Base, ModelShelf
    from evaluators.generation.transformers_engine import TransformersGenerator
    from evaluators.generation.vllm_engine import VllmGenerator
    from evaluators.generation.vllm_shelf import VllmShelf

# On how many prompts of a trial what is written is proven, and how long a base lies idle on a GPU.
_PROBES = 4
_IDLE_S = 60.0


def generate_piece(piece: GenerationPiece) -> Iterator[Answer]:
    """Completions of what is wanted of each trial."""
    import torch

    torch.set_num_threads(piece.threads)
    with _ON_SHELF, ExitStack() as stack:
        _stay()
        recorders: dict[str, Recorder] = {}
        placed: list[tuple[GenerationPart, Base, Path | None]] = []
        for part in piece.parts:
            try:
                base, adapter = _placed(part.weights)
                recorders[part.key] = stack.enter_context(_recorder(part, piece, device=base.device.type))
                placed.append((part, base, adapter))
            except Exception as error:
                yield failed(part.key, error)
        yield from _written(piece, placed, recorders)
        _leave_later()


def _recorder(part: GenerationPart, piece: GenerationPiece, *, device: str) -> Recorder:
    store = Ledger(part.weights.storage).store
    return Recorder(store, part.owner.on(device), part.wanted, settings=piece.settings)


def _written(
    piece: GenerationPiece,
    placed: "list[tuple[GenerationPart, Base, Path | None]]",
    recorders: dict[str, Recorder],
) -> Iterator[Answer]:
    """The parts' answers, of one base."""
    from evaluators.generation.protocol import Prompt

    if not placed:
        return
    # Trials that share an adapter may ask it the same item: it is asked once, for all of them.
    asked: dict[tuple[Path | None, str], Prompt] = {}
    waiting: dict[tuple[Path | None, str], list[str]] = {}
    for part, _, adapter in placed:
        for one in recorders[part.key].missing:
            place = adapter, item_key(one.problem, piece.settings)
            samples = {*one.samples, *(asked[place].samples if place in asked else ())}
            asked[place] = Prompt(problem=one.problem, adapter=adapter, samples=tuple(sorted(samples)))
            waiting.setdefault(place, []).append(part.key)
    probes = _PROBES if any(part.proven for part, _, _ in placed) else 0
    generator = _generator(piece, placed[0][1], probes=probes)
    errors: dict[str, Exception] = {}
    begin, reads = time.monotonic(), generator.base_reads
    with _telling(piece, placed, recorders, work=generator.work) as telling:
        for prompt, done in generator.complete(list(asked.values()), settings=piece.settings):
            for key in waiting[prompt.adapter, item_key(prompt.problem, piece.settings)]:
                if isinstance(done, Completion):
                    proof = generator.proofs.get(prompt.adapter)
                    recorders[key].proof = proof.model_dump(mode="json") if proof else recorders[key].proof
                    recorders[key].add(done, of=prompt.problem)
                    telling.add(key, tokens=done.new_tokens + 1)
                else:
                    errors[key] = done
    tokens = Counter(telling.new_tokens)
    # What a piece took is shared out by the tokens that each trial got.
    work = {
        "seconds": time.monotonic() - begin,
        "slot_steps": generator.work.slot_steps,
        "slot_steps_used": generator.work.used,
    }
    base_reads = generator.base_reads - reads
    for part, _, _ in placed:
        proven = recorders[part.key].proof
        facts: dict[str, JsonValue] = {"proof": proven} if proven is not None and part.proven else {}
        facts |= _written_by(piece)
        error = errors.get(part.key)
        if error:
            yield failed(part.key, error)
        else:
            share = tokens[part.key] / max(1, tokens.total())
            counts = {name: share * count for name, count in work.items()} | {"new_tokens": tokens[part.key]}
            # No trial's own: whoever adds up a study's trials has each read once.
            counts["base_reads"], base_reads = base_reads, 0
            yield answered(part.key, recorders[part.key].completions, counts=counts, **facts)


def _generator(piece: GenerationPiece, base: "Base", *, probes: int) -> "TransformersGenerator | VllmGenerator":
    """The engine that a study chose, over a base."""
    if piece.settings.engine == "vllm":
        from evaluators.generation.vllm_engine import VllmGenerator

        return VllmGenerator(_vllm_shelf(piece.gpus), base, slots=piece.slots, probes=probes)
    from evaluators.generation.transformers_engine import TransformersGenerator

    return TransformersGenerator(_shelf(), base, slots=piece.slots, probes=probes)


def _written_by(piece: GenerationPiece) -> dict[str, JsonValue]:
    """What a record says of an engine that is not the usual one: its name and its library's version."""
    return {"engine": f"vllm {vllm_version()}"} if piece.settings.engine == "vllm" else {}


def _telling(
    piece: GenerationPiece,
    placed: "list[tuple[GenerationPart, Base, Path | None]]",
    recorders: dict[str, Recorder],
    *,
    work: Counted,
) -> Telling:
    """Says how far this process is while it writes."""
    import torch

    first, base, _ = placed[0]
    on_gpu = base.device.type == "cuda"
    uuid = f"GPU-{torch.cuda.get_device_properties(base.device).uuid}" if on_gpu else ""
    return Telling(
        Ledger(first.weights.storage).store,
        piece.word,
        work=work,
        there={key: len(recorder.completions) for key, recorder in recorders.items()},
        gpu=partial(gpu_busy, uuid),
    )


def _placed(weights: Weights) -> "tuple[Base, Path | None]":
    """Which base a trial's completions are of, and the adapter on it."""
    from evaluators.generation.shelf import Base
    from models.loading import device_of

    traits, device, folder = traits_of(weights.kind), device_of("auto"), weights.folder()
    base = Base(
        model=weights.model,
        precision=traits.precision_on(device.type),
        device=device,
        weights=folder if traits.has_own_weights else None,
    )
    return base, folder if traits.has_adapter else None


@cache
def _shelf() -> "ModelShelf":
    """The base that this process holds: it serves one trial after another, and most share theirs."""
    from evaluators.generation.shelf import ModelShelf

    return ModelShelf()


def _vllm_shelf(gpus: float) -> "VllmShelf":
    """The engine of vLLM that this process holds."""
    from evaluators.generation.vllm_shelf import VllmShelf

    if gpus not in _VLLM_SHELVES:
        _VLLM_SHELVES[gpus] = VllmShelf(gpus=gpus)
    return _VLLM_SHELVES[gpus]


_VLLM_SHELVES: "dict[float, VllmShelf]" = {}
_ON_SHELF = threading.Lock()
_leaving: threading.Timer | None = None


def _stay() -> None:
    """Work has come: what lies on the shelf stays."""
    if _leaving is not None:
        _leaving.cancel()


def _leave_later() -> None:
    """Clear the shelf of a GPU, unless work comes before."""
    global _leaving
    import torch

    if torch.cuda.is_available():
        _leaving = threading.Timer(_IDLE_S, _leave)
        _leaving.daemon = True
        _leaving.start()


def _leave() -> None:
    import torch

    if _ON_SHELF.acquire(blocking=False):
        try:
            _shelf().clear()
            for shelf in _VLLM_SHELVES.values():
                shelf.clear()
            torch.cuda.empty_cache()
        finally:
            _ON_SHELF.release()


__all__ = ["generate_piece"]
