"""Generation by transformers: prompts through the shared renderer, completions as decoded.

Where the model can be asked in slots (`proof.slotted` tries it), all prompts of a call are, whatever adapter each has;
where it cannot, its own `generate` writes for one adapter after the other.

One decision: decoding is fully said by `GenerationSettings`. A model's own generation defaults
(Qwen2.5's repetition penalty and sampling, for one) are set aside, so that greedy means greedy.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from evaluators.generation.answers import (
    Question,
    Stopper,
    completed,
    context_tokens,
    end_tokens,
    fits,
    questions,
    skipped,
)
from evaluators.generation.batches import write_in_batches
from evaluators.generation.proof import Proof, no_effect, prove_adapter, prove_base, slotted
from evaluators.generation.protocol import Prompt
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.shelf import Base, ModelShelf
from evaluators.generation.writer import Asked, SlotWriter, Work, Written
from models.locations import ModelError
from models.rack import Adapter, read_adapter, refuse_unfitting
from tasks.records import Completion, Problem

# Most slots where nothing is said: on CPUs more hardly pay. Their memory is counted.
_SLOTS = {"cpu": 64, "cuda": 256}
# The share of free memory that keys and values may take; a CPU's is also its neighbours'.
_MEMORY_SHARE = {"cpu": 0.2, "cuda": 0.6}

_Answered = tuple[Prompt, Completion | ModelError]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Group:
    """The prompts of one adapter; None is the base."""

    folder: Path | None
    prompts: tuple[Prompt, ...]


class TransformersGenerator:
    """A `Generator` over one base on a shelf.

    Args:
        shelf: Where bases lie.
        base: The base.
        slots: Most answers at once; None counts them by the memory that is there.
        probes: On how many prompts of each adapter to prove what is written, see `Proof`; 0 for no proof.
    """

    def __init__(self, shelf: ModelShelf, base: Base, *, slots: int | None = None, probes: int = 0) -> None:
        self._shelf, self._base, self._slots, self._probes = shelf, base, slots, probes
        self.proofs: dict[Path | None, Proof] = {}
        self.work = Work()

    @property
    def base_reads(self) -> int:
        """How often this process has read a base, for this generator or another."""
        return self._shelf.reads

    def complete(self, prompts: Sequence[Prompt], *, settings: GenerationSettings) -> Iterator[_Answered]:
        """See `Generator`."""
        groups = [
            _Group(folder=folder, prompts=tuple(p for p in prompts if p.adapter == folder))
            for folder in dict.fromkeys(prompt.adapter for prompt in prompts)
        ]
        ready = self._shelf.ready(self._base)
        modules, together, apart = dict(ready.model.named_modules()), list[tuple[_Group, Adapter | None]](), []
        for group in groups:
            try:
                adapter = None if group.folder is None else read_adapter(ready.model, group.folder)
                if adapter is not None:
                    refuse_unfitting(adapter, modules)
            except ModelError as error:
                yield from ((prompt, error) for prompt in group.prompts)
                continue
            if slotted(ready.model) and (adapter is not None or group.folder is None):
                together.append((group, adapter))
            else:
                apart.append(group)
        if together:
            yield from self._together(ready.model, ready.tokenizer, together, settings)
        for group in apart:
            yield from self._apart(group, settings)

    def _together(
        self,
        model: Any,
        tokenizer: Any,
        groups: Sequence[tuple[_Group, Adapter | None]],
        settings: GenerationSettings,
    ) -> Iterator[_Answered]:
        """Answers of several adapters, mixed in the same passes."""
        adapters = [adapter for _, adapter in groups if adapter is not None]
        places: dict[Path | None, int] = {adapter.folder: place + 1 for place, adapter in enumerate(adapters)}
        writing = _Writing(model, tokenizer, settings, slots=self._slots, adapters=adapters, work=self.work)
        kept = []
        for group, _ in groups:
            proof = self._proved(writing, group, adapter=places.get(group.folder, 0)) if self._probes else None
            if isinstance(proof, ModelError):
                yield from ((prompt, proof) for prompt in group.prompts)
            else:
                kept.append((places.get(group.folder, 0), group))
        yield from writing.answers(kept)

    def _apart(self, group: _Group, settings: GenerationSettings) -> Iterator[_Answered]:
        """Answers of one adapter that peft computes, or of a model without slots."""
        try:
            ready = self._shelf.ready(self._base, adapter=group.folder)
        except ModelError as error:
            yield from ((prompt, error) for prompt in group.prompts)
            return
        writing = _Writing(ready.model, ready.tokenizer, settings, slots=self._slots, work=self.work)
        proof = self._proved(writing, group, adapter=0) if self._probes else None
        if isinstance(proof, ModelError):
            yield from ((prompt, proof) for prompt in group.prompts)
        else:
            yield from writing.answers([(0, group)])

    def _proved(self, writing: "_Writing", group: _Group, *, adapter: int) -> Proof | ModelError:
        """Measure what shows that a group's answers are its own; an error where its adapter has no effect."""
        asked = writing.probes(group.prompts, count=self._probes, adapter=adapter)
        if not asked:
            # No prompt fits, so nothing will be written.
            proof = Proof(probes=0, engine_off=writing.off)
        elif group.folder is None:
            proof = prove_base(writing.write, asked, off=writing.off)
        else:
            proof = prove_adapter(writing.write, asked, model=writing.model, adapters=writing.adapters, off=writing.off)
            if not proof.adapter_logits:
                return ModelError(no_effect(group.folder, proof.probes))
        self.proofs[group.folder] = proof
        return proof


class _Writing:
    """A model with its tokenizer and adapters, and how to write with it."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        settings: GenerationSettings,
        *,
        slots: int | None,
        adapters: Sequence[Adapter] = (),
        work: Work | None = None,
    ) -> None:
        self.model, self.adapters = model, adapters
        self._tokenizer, self._settings, self._work = tokenizer, settings, work or Work()
        self._slots, self._slotted = slots or _SLOTS[model.device.type], slotted(model)
        self._counted = slots is None
        self._ends = end_tokens(model, tokenizer)
        self._stopper, self._context = Stopper(tokenizer, settings), context_tokens(model)

    @property
    def off(self) -> float | None:
        """See `Proof.engine_off`."""
        return self._slotted.off if self._slotted else None

    def answers(self, groups: Sequence[tuple[int, _Group]]) -> Iterator[tuple[Prompt, Completion]]:
        """The completions of all groups, each under the number of its adapter, as they are done."""
        open_: dict[Asked, tuple[Prompt, Question]] = {}
        for adapter, group in groups:
            for prompt, question in self._questions(group.prompts):
                if fits(question, self._context):
                    open_[self._asked(question, adapter)] = prompt, question
                else:
                    yield prompt, skipped(question)
        for written in self.write(list(open_)):
            prompt, question = open_.pop(written.asked)
            stopped = written.finish == "stop"
            yield (
                prompt,
                completed(question, written.ids, stopped=stopped, tokenizer=self._tokenizer, settings=self._settings),
            )

    def _questions(self, prompts: Sequence[Prompt]) -> Iterator[tuple[Prompt, Question]]:
        for prompt in prompts:
            for question in questions(self._tokenizer, [prompt], self._settings):
                yield prompt, question

    def probes(self, prompts: Sequence[Prompt], *, count: int, adapter: int) -> list[Asked]:
        """The shortest prompts that fit, for a proof."""
        shortest = sorted(prompts, key=lambda p: (len(p.problem.input), p.problem.id))[:count]
        first = questions(self._tokenizer, [replace(prompt, samples=(0,)) for prompt in shortest], self._settings)
        return [self._asked(q, adapter) for q in first if fits(q, self._context)]

    def write(self, asked: Sequence[Asked], *, slots: int | None = None) -> Iterator[Written]:
        """Answers as they are done; with half the slots each time where the GPU's memory is too small."""
        left = dict.fromkeys(asked)
        most = slots or self._most(asked)
        while left:
            try:
                for written in self._write(list(left), slots=most):
                    del left[written.asked]
                    yield written
            except torch.OutOfMemoryError:
                if most == 1:
                    raise
                most //= 2
            torch.cuda.empty_cache()

    def _write(self, asked: Sequence[Asked], *, slots: int) -> Iterator[Written]:
        if self._slotted is None:
            return write_in_batches(
                self.model, asked, ends=self._ends, settings=self._settings, size=slots, work=self._work
            )
        writer = SlotWriter(
            self.model,
            ends=self._ends,
            settings=self._settings,
            adapters=self.adapters,
            slots=slots,
            flash=self._slotted.flash,
            work=self._work,
        )
        return writer.write(asked)

    def _most(self, asked: Sequence[Asked]) -> int:
        """How many slots there is memory for."""
        if not (self._counted and self._slotted and asked):
            return self._slots
        length = max(len(one.ids) + one.limit for one in asked)
        room = _MEMORY_SHARE[self.model.device.type] * _free_bytes(self.model.device)
        return max(1, min(self._slots, int(room / (length * self._slotted.token_bytes))))

    def _asked(self, question: Question, adapter: int) -> Asked:
        return Asked(
            ids=question.ids,
            limit=question.limit,
            adapter=adapter,
            draws=question.draws(self._settings),
            ends=self._stopper.of(question),
        )


def _free_bytes(device: torch.device) -> int:
    """Memory that nobody holds."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def generate(
    model: Any, tokenizer: Any, problems: Sequence[Problem], *, settings: GenerationSettings, slots: int | None = None
) -> tuple[Completion, ...]:
    """Completions of a model that is at hand, `settings.samples` for every problem, in the order of `problems`."""
    places = {problem.id: place for place, problem in enumerate(problems)}
    group = _Group(folder=None, prompts=tuple(Prompt(problem=problem) for problem in problems))
    found = _Writing(model, tokenizer, settings, slots=slots).answers([(0, group)])
    return tuple(sorted((done for _, done in found), key=lambda c: (places[c.problem_id], c.sample)))


__all__ = ["TransformersGenerator", "generate"]
