"""What shows that completions are those of the model they are published for.

Three things have gone wrong in tools of this kind without a word: an adapter that was not on, an engine that computes
something else than the model, and output that depends on the batch. Each is measured on a few prompts of every trial.

One decision: an adapter that changes no logit of any probe fails its stage. A base's score under an adapter's name is
worse than none.
"""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from evaluators.generation.slots import SlotStore, begin, go_on, reach_of, slot_attending
from evaluators.generation.writer import Asked, Written
from models.flat import causal_model, hidden_states, own_logits
from models.quantised import layers_4bit
from models.rack import Adapter, Rack
from tasks.records import Record

# Lengths of the check's texts, and how many of their last tokens are written one at a time.
_LENGTHS, _WRITTEN = (19, 41, 26), 8
# Root mean square of what logits are off, over their standard deviation. In 16 bits sums come in another order.
_EXACT, _SHORT = 1e-4, 0.05
# How many tokens of an answer are compared.
_TOKENS = 16


class Write(Protocol):
    """Writes answers, with so many slots or as many as it likes."""

    def __call__(self, asked: Sequence[Asked], *, slots: int | None = None) -> Iterable[Written]: ...


class Proof(Record):
    """What was measured on a few prompts of a trial.

    Attributes:
        probes: How many prompts.
        engine_off: By how much the engine's logits are off the model's own forward pass, over their standard deviation;
            None where the model's own `generate` wrote, or an engine that has no model to compare with (vLLM).
        adapter_logits: Mean absolute difference of the logits behind the prompts with the adapter and without; None
            for a base.
        adapter_answers: The share of answers, of their first tokens, that differ with the adapter and without.
        alone_differs: The share of answers, of their first tokens, that differ when each prompt is asked alone.
    """

    probes: int
    engine_off: float | None
    adapter_logits: float | None = None
    adapter_answers: float | None = None
    alone_differs: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slotted:
    """A model that can be asked in slots: how far off it is there (see `Proof.engine_off`), and a place's bytes.

    `flash` says whether single tokens see by flash attention (see `SlotStore`).
    """

    off: float
    token_bytes: int
    flash: bool


_TRIED: "WeakKeyDictionary[Any, Slotted | None]" = WeakKeyDictionary()


@torch.inference_mode()
def slotted(model: Any) -> Slotted | None:
    """Whether a model can be asked in slots, tried once for each model: on three texts, against its own forward pass.

    Returns:
        None where it cannot, and its own `generate` has to write.
    """
    base = causal_model(model)
    if base not in _TRIED:
        _TRIED[base] = _tried(base)
    return _TRIED[base]


def _tried(base: Any) -> Slotted | None:
    short = base.dtype in (torch.bfloat16, torch.float16)
    most = _EXACT if base.dtype == torch.float32 and not layers_4bit(base) else _SHORT
    for flash in (True, False) if base.device.type == "cuda" and short else (False,):
        store = SlotStore(slots=len(_LENGTHS), length=max(_LENGTHS), flash=flash)
        try:
            off = _off(base, store)
        except (ValueError, TypeError, RuntimeError, IndexError, KeyError, AttributeError):
            # Families differ in what they do with a row that they were not made for, and kernels in what they take.
            continue
        if off <= most:
            return Slotted(off=off, token_bytes=store.token_bytes, flash=flash)
    return None


def _off(base: Any, store: SlotStore) -> float:
    generator = torch.Generator().manual_seed(0)
    vocabulary = base.config.get_text_config().vocab_size
    texts = [torch.randint(3, vocabulary, (1, n), generator=generator).to(base.device) for n in _LENGTHS]
    own = torch.cat([own_logits(base, hidden_states(base, text_1T, None))[-_WRITTEN - 1 :] for text_1T in texts])
    with slot_attending(base):
        prompts = [(slot, text_1T[0, :-_WRITTEN].tolist()) for slot, text_1T in enumerate(texts)]
        steps = [begin(base, store, prompts)]
        for back in range(_WRITTEN, 0, -1):
            ids_S = torch.cat([text_1T[0, -back][None] for text_1T in texts])
            positions_S = torch.tensor([n - back for n in _LENGTHS], device=base.device)
            reach = reach_of(int(positions_S.max()) + 1, store=store, device=base.device)
            steps.append(go_on(base, store, ids_S, positions_S, reach=reach))
    written = torch.stack(steps, dim=1).flatten(0, 1).float()
    own = own.float()
    return float((written - own).square().mean().sqrt() / own.std())


def prove_base(write: Write, asked: Sequence[Asked], *, off: float | None) -> Proof:
    """A proof of a model without an adapter.

    Args:
        write: Writes answers, with so many slots or as many as it likes.
        asked: The probes.
        off: By how much the engine is off.
    """
    probes = _short(asked)
    return Proof(probes=len(asked), engine_off=off, alone_differs=_alone(write, probes, _first(write, probes)))


@torch.inference_mode()
def prove_adapter(
    write: Write, asked: Sequence[Asked], *, model: Any, adapters: Sequence[Adapter], off: float | None
) -> Proof:
    """A proof of an adapter, by the base below it.

    Args:
        write: Writes answers, with so many slots or as many as it likes.
        asked: The probes, under the adapter's number; 0 is an adapter that is peft's.
        model: The model that it lies on.
        adapters: The adapters that numbers call for.
        off: By how much the engine is off.
    """
    probes = _short(asked)
    answers = _first(write, probes)
    with model.disable_adapter() if not asked[0].adapter else nullcontext():
        plain = _first(write, [replace(probe, adapter=0) for probe in probes])
    return Proof(
        probes=len(asked),
        engine_off=off,
        adapter_logits=_logits_changed(model, asked, adapters),
        adapter_answers=_share_differing(answers, plain),
        alone_differs=_alone(write, probes, answers),
    )


def _short(asked: Sequence[Asked]) -> list[Asked]:
    return [replace(one, limit=min(one.limit, _TOKENS)) for one in asked]


def _first(write: Write, probes: Sequence[Asked]) -> list[tuple[int, ...]]:
    found = {written.asked: written.ids for written in write(probes)}
    return [found[probe] for probe in probes]


def _alone(write: Write, probes: Sequence[Asked], together: Sequence[tuple[int, ...]]) -> float:
    alone = {written.asked: written.ids for written in write(probes, slots=1)}
    return _share_differing([alone[probe] for probe in probes], together)


def _share_differing(one: Sequence[Sequence[int]], other: Sequence[Sequence[int]]) -> float:
    return sum(tuple(a) != tuple(b) for a, b in zip(one, other, strict=True)) / len(one)


def _logits_changed(model: Any, asked: Sequence[Asked], adapters: Sequence[Adapter]) -> float:
    """Mean absolute difference of the logits behind the probes, by the model's own forward pass."""
    texts = [torch.tensor([list(one.ids)], device=model.device) for one in asked]
    if asked[0].adapter:
        rack = Rack(model)
        with rack.holding(adapters):
            changed = [_last(model, text_1T, rack=rack, adapter=asked[0].adapter) for text_1T in texts]
    else:
        changed = [_last(model, text_1T) for text_1T in texts]
    with model.disable_adapter() if not asked[0].adapter else nullcontext():
        plain = [_last(model, text_1T) for text_1T in texts]
    return float((torch.cat(changed) - torch.cat(plain)).abs().mean())


def _last(model: Any, text_1T: Tensor, *, rack: Rack | None = None, adapter: int = 0) -> Tensor:
    if rack is not None:
        rack.rows(torch.full((text_1T.shape[1],), adapter, device=text_1T.device))
    logits_1V: Tensor = model(input_ids=text_1T, use_cache=False).logits[:, -1].float()
    return logits_1V


def prove_by_answers(write: Write, asked: Sequence[Asked], *, change: float | None) -> Proof:
    """A proof by what an engine says of itself, where the model is not at hand to be compared with.

    Args:
        write: Writes answers, with so many slots or as many as it likes.
        asked: The probes; 0 is the base's number.
        change: Mean absolute difference of the engine's logits with the adapter and without; None for a base.
    """
    probes = _short(asked)
    answers = _first(write, probes)
    plain = answers if change is None else _first(write, [replace(probe, adapter=0) for probe in probes])
    return Proof(
        probes=len(asked),
        engine_off=None,
        adapter_logits=change,
        adapter_answers=None if change is None else _share_differing(answers, plain),
        alone_differs=_alone(write, probes, answers),
    )


def no_effect(folder: Any, probes: int) -> str:
    """What to say of an adapter that changes nothing."""
    return (
        f"the adapter in {folder} changes no logit of the base on {probes} prompts, so what it writes would be the "
        "base's; look at its training: a rate of 0, or targets that the model does not use"
    )


__all__ = ["Proof", "Slotted", "no_effect", "prove_adapter", "prove_base", "prove_by_answers", "slotted"]
