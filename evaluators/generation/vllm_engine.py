"""Generation by vLLM: the same prompts, ends and texts as every engine's, and all adapters of a call at once.

One decision: an adapter is read and held against the model's shape here before vLLM is told of it. What it refuses in
the middle of its work it refuses by ending, and every other trial's answers with it.

What it draws is not what the engine of transformers draws, and in 16 bits its greedy answers differ from it in places:
one comparison has one engine.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

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
from evaluators.generation.batches import written_of
from evaluators.generation.engines import unfit_for_vllm
from evaluators.generation.proof import Proof, no_effect, prove_by_answers
from evaluators.generation.protocol import Prompt
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.shelf import Base
from evaluators.generation.vllm_shelf import LOGITS, Held, Needs, VllmShelf, prompts_of, sampling_arguments
from evaluators.generation.writer import Asked, Work, Written
from models.loading import load_tokenizer
from models.locations import ModelError, location_of
from models.rack import read_adapter, refuse_unfitting
from tasks.records import Completion

# Most answers at once where nothing is said.
_SEATS = 256

_Answered = tuple[Prompt, Completion | ModelError]
_Open = dict[Asked, tuple[Prompt, Question]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    """What a model's files say of it: as much of a model as is at hand here."""

    config: Any
    generation_config: Any


class VllmGenerator:
    """A `Generator` over one base that vLLM holds.

    Args:
        shelf: Where its engine is held.
        base: The base.
        slots: Most answers at once; None for as many as are usual.
        probes: On how many prompts of each adapter to prove what is written, see `Proof`; 0 for no proof.
    """

    def __init__(self, shelf: VllmShelf, base: Base, *, slots: int | None = None, probes: int = 0) -> None:
        self._shelf, self._base, self._seats, self._probes = shelf, base, slots or _SEATS, probes
        self._tokenizer = load_tokenizer(base.model)
        self._declared = _declared(base)
        self._ends = end_tokens(self._declared, self._tokenizer)
        self._context = context_tokens(self._declared)
        self._layers: dict[str, Any] | None = None
        self.proofs: dict[Path | None, Proof] = {}
        self.work = Work()

    @property
    def base_reads(self) -> int:
        """How often this process has read a base, for this generator or another."""
        return self._shelf.reads

    def complete(self, prompts: Sequence[Prompt], *, settings: GenerationSettings) -> Iterator[_Answered]:
        """See `Generator`."""
        by_adapter = {
            folder: [prompt for prompt in prompts if prompt.adapter == folder]
            for folder in dict.fromkeys(prompt.adapter for prompt in prompts)
        }
        ranks: dict[Path | None, int] = {}
        for folder, own in by_adapter.items():
            try:
                ranks[folder] = 0 if folder is None else self._rank(folder)
            except ModelError as error:
                yield from ((prompt, error) for prompt in own)
        folders = (None, *(folder for folder in ranks if folder is not None))
        stopper, open_ = Stopper(self._tokenizer, settings), _Open()
        for number, folder in enumerate(folders):
            for prompt, question in self._questions(by_adapter.get(folder, ()), settings):
                if fits(question, self._context):
                    open_[self._asked(question, number, settings, stopper)] = prompt, question
                else:
                    yield prompt, skipped(question)
        if self._probes:
            # Where no prompt fits, nothing will be written.
            idle = by_adapter.keys() & set(folders) - {folders[asked.adapter] for asked in open_}
            self.proofs |= dict.fromkeys(idle, Proof(probes=0, engine_off=None))
        if open_:
            yield from self._answers(open_, folders, ranks, settings)

    def _answers(
        self,
        open_: _Open,
        folders: Sequence[Path | None],
        ranks: dict[Path | None, int],
        settings: GenerationSettings,
    ) -> Iterator[_Answered]:
        """What is open, answered by vLLM; `Asked.adapter` is a place among the folders, the first of which is none."""
        needs = Needs(
            length=max(len(asked.ids) + asked.limit for asked in open_),
            context=self._context,
            rank=max(ranks.values()),
            adapters=len(folders) - 1,
            seats=self._seats,
        )
        held = self._shelf.ready(self._base, needs)
        try:
            writing = VllmWriter(held, folders, settings, ends=self._ends, work=self.work)
            left: _Open = {}
            for number, folder in enumerate(folders):
                own = {asked: whose for asked, whose in open_.items() if asked.adapter == number}
                error = self._refused(writing, folder, own) if own else None
                if error:
                    yield from ((prompt, error) for prompt, _ in own.values())
                else:
                    left |= own
            for written in writing.write(list(left)):
                prompt, question = left.pop(written.asked)
                yield prompt, self._completion(question, written, settings)
        except BaseException:
            # One that raised in its work is of no more use.
            self._shelf.clear()
            raise
        self._shelf.rest()

    def _refused(self, writing: "VllmWriter", folder: Path | None, own: _Open) -> ModelError | None:
        """Why an adapter's prompts get no answers; None where they do, with the proof of it kept."""
        try:
            writing.held.adapter(folder)
        except ModelError as error:
            return error
        if not self._probes:
            return None
        # One sample of a problem, and the shortest, as the other engine proves by.
        firsts = {question.problem.id: asked for asked, (_, question) in reversed(own.items())}
        shortest = sorted(firsts.values(), key=lambda asked: _length(own[asked][1]))[: self._probes]
        change = None if folder is None else writing.logits_changed(shortest)
        if folder is not None and not change:
            return ModelError(no_effect(folder, len(shortest)))
        self.proofs[folder] = prove_by_answers(writing.write, shortest, change=change)
        return None

    def _rank(self, folder: Path) -> int:
        """The largest rank of an adapter.

        Raises:
            ModelError: if it is of another base, is damaged, or is one that vLLM would compute otherwise.
        """
        from peft import LoraConfig

        adapter = read_adapter(self._declared, folder)
        unfit = unfit_for_vllm(LoraConfig.from_pretrained(str(folder)).to_dict())
        if unfit or adapter is None:
            raise ModelError(f"the adapter in {folder}: {unfit or 'vLLM takes A and B on linear layers and no more'}")
        refuse_unfitting(adapter, self._modules())
        return max(len(A_RI) for A_RI, _, _ in adapter.layers.values())

    def _modules(self) -> dict[str, Any]:
        """The model's layers without their weights, made once."""
        if self._layers is None:
            trusted = self._base.model.trust_remote_code
            with torch.device("meta"):
                bare = AutoModelForCausalLM.from_config(self._declared.config, trust_remote_code=trusted)
            self._layers = dict(bare.named_modules())
        return self._layers

    def _questions(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[tuple[Prompt, Question]]:
        for prompt in prompts:
            for question in questions(self._tokenizer, [prompt], settings):
                yield prompt, question

    def _asked(self, question: Question, adapter: int, settings: GenerationSettings, stopper: Stopper) -> Asked:
        return Asked(
            ids=question.ids,
            limit=question.limit,
            adapter=adapter,
            ends=stopper.of(question),
            seed=question.seed(settings),
        )

    def _completion(self, question: Question, written: Written, settings: GenerationSettings) -> Completion:
        stopped = written.finish == "stop"
        return completed(question, written.ids, stopped=stopped, tokenizer=self._tokenizer, settings=settings)


class VllmWriter:
    """An engine with the adapters of a call, and how to write with it.

    Args:
        held: The engine.
        folders: Where the adapter of each number lies; none for 0, the base.
        settings: How to decode.
        ends: The tokens that end an answer.
        work: Where to count what is done.
    """

    def __init__(
        self,
        held: Held,
        folders: Sequence[Path | None],
        settings: GenerationSettings,
        *,
        ends: frozenset[int],
        work: Work,
    ) -> None:
        self.held, self._folders, self._settings, self._ends, self._work = held, folders, settings, ends, work
        self._seats = held.arguments["max_num_seqs"]

    def write(self, asked: Sequence[Asked], *, slots: int | None = None) -> Iterator[Written]:
        """Answers as they are done; with `slots`, so many asked at once and no more before they are answered."""
        from vllm import SamplingParams

        # Those with a good many tokens to come begin early, so that the last ones do not trail alone.
        ordered = sorted(asked, key=lambda one: -(len(one.ids) + one.limit))
        most = slots or max(1, len(ordered))
        for start in range(0, len(ordered), most):
            part = ordered[start : start + most]
            params = [SamplingParams(**sampling_arguments(self._settings, one, ends=self._ends)) for one in part]
            for one, output in self._run(part, params):
                self._work.prompt_tokens += len(one.ids)
                self._work.new_tokens += len(output.token_ids)
                yield self._written(one, output)

    def logits_changed(self, asked: Sequence[Asked]) -> float:
        """Mean absolute difference of the logits behind prompts with their adapter and without, by vLLM's word.

        Both are asked in a call of the same prompts, so that the adapter is all that differs.
        """
        changed, plain = self._logits(asked), self._logits([replace(one, adapter=0) for one in asked])
        return float((changed - plain).abs().mean())

    def _logits(self, asked: Sequence[Asked]) -> torch.Tensor:
        from vllm import SamplingParams

        found = {}
        for one, output in self._run(asked, [SamplingParams(**LOGITS) for _ in asked]):
            # The chosen token comes first and again in its place, so there may be one more than tokens.
            found[one] = [entry.logprob for _, entry in sorted(dict(output.logprobs[0]).items())]
        return torch.tensor([found[one] for one in asked])

    def _run(self, asked: Sequence[Asked], params: Sequence[Any]) -> Iterator[tuple[Asked, Any]]:
        """Ask, and give each answer of vLLM as it comes."""
        llm = self.held.llm
        requests = [self.held.adapter(self._folders[one.adapter]) for one in asked]
        names = llm.enqueue(prompts_of(asked), list(params), lora_request=requests, use_tqdm=False)
        # Outputs go by the name without what vLLM puts behind it to tell it from all others.
        open_ = {name.partition("-")[0]: one for name, one in zip(names, asked, strict=True)}
        engine = llm.llm_engine
        try:
            while engine.has_unfinished_requests():
                begin = time.perf_counter()
                outputs = engine.step()
                self._count(engine.get_num_unfinished_requests(), seconds=time.perf_counter() - begin)
                for output in outputs:
                    if output.finished:
                        yield open_.pop(output.request_id), output.outputs[0]
            if open_:
                raise RuntimeError(f"vLLM gave no answer to {len(open_)} of {len(asked)} prompts")
        finally:
            if open_:
                engine.abort_request(list(open_))

    def _count(self, unfinished: int, *, seconds: float) -> None:
        self._work.steps += 1
        self._work.seconds += seconds
        self._work.slot_steps += self._seats
        self._work.used += min(unfinished, self._seats)

    def _written(self, asked: Asked, output: Any) -> Written:
        if output.finish_reason not in ("stop", "length"):
            raise RuntimeError(f"vLLM ended an answer for the reason {output.finish_reason!r}")
        written = written_of(asked, list(output.token_ids), self._ends)
        # A stop string that lies beyond what is looked at here.
        return replace(written, finish="stop") if output.finish_reason == "stop" else written


def _length(question: Question) -> tuple[int, str]:
    return len(question.problem.input), question.problem.id


def _declared(base: Base) -> _Declared:
    """What a base's files say of it.

    Raises:
        ModelError: if they cannot be read.
    """
    where = location_of(base.model) if base.weights is None else str(base.weights)
    options: dict[str, Any] = {} if base.weights is not None else {"revision": base.model.revision}
    try:
        config = AutoConfig.from_pretrained(where, trust_remote_code=base.model.trust_remote_code, **options)
    except (OSError, ValueError) as error:
        raise ModelError(f"the configuration of {base.model.name!r} cannot be read: {error}") from error
    try:
        generation = GenerationConfig.from_pretrained(where, **options)
    except OSError:
        # As transformers has it for a model without such a file.
        generation = GenerationConfig.from_model_config(config)
    return _Declared(config=config, generation_config=generation)


__all__ = ["VllmGenerator", "VllmWriter"]
