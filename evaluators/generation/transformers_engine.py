"""Generation by transformers: prompts through the shared renderer, completions as decoded.

One decision: decoding is fully said by `GenerationSettings`. A model's own generation defaults
(Qwen2.5's repetition penalty and sampling, for one) are set aside, so that greedy means greedy.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from evaluators.generation.protocol import Prompt
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.shelf import Base, ModelShelf
from models.folders import context_of
from tasks.prompts import Rendered, render_prompt, written_behind
from tasks.records import Completion, Problem

_WIDTH_STEP = 16  # prompts are padded to a multiple: on CPU, matrix kernels are made anew for each width


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    problem: Problem
    rendered: Rendered

    @property
    def ids(self) -> tuple[int, ...]:
        return self.rendered.prompt_ids


class TransformersGenerator:
    """A `Generator` over one base on a shelf; the prompts of one adapter follow each other."""

    def __init__(self, shelf: ModelShelf, base: Base, *, batch_size: int) -> None:
        self._shelf, self._base, self._batch_size = shelf, base, batch_size

    def complete(
        self, prompts: Sequence[Prompt], *, settings: GenerationSettings
    ) -> Iterator[tuple[Prompt, Completion]]:
        """See `Generator`."""
        for adapter in dict.fromkeys(prompt.adapter for prompt in prompts):
            mine = {prompt.problem.id: prompt for prompt in prompts if prompt.adapter == adapter}
            ready = self._shelf.ready(self._base, adapter=adapter)
            problems = [prompt.problem for prompt in mine.values()]
            for completion in _completions(
                ready.model, ready.tokenizer, problems, settings=settings, batch_size=self._batch_size
            ):
                yield mine[completion.problem_id], completion


def generate(
    model: Any, tokenizer: Any, problems: Sequence[Problem], *, settings: GenerationSettings, batch_size: int
) -> tuple[Completion, ...]:
    """Completions of a model that is at hand, `settings.samples` for every problem, in the order of `problems`."""
    places = {problem.id: place for place, problem in enumerate(problems)}
    found = _completions(model, tokenizer, problems, settings=settings, batch_size=batch_size)
    return tuple(sorted(found, key=lambda c: (places[c.problem_id], c.sample)))


def _completions(
    model: Any, tokenizer: Any, problems: Sequence[Problem], *, settings: GenerationSettings, batch_size: int
) -> Iterator[Completion]:
    """Completions as they are done; prompts of like length share a batch.

    A prompt that leaves no room for the allowed new tokens in the model's context is `skipped` rather than cut.
    """
    encoded = [
        _Encoded(
            problem=problem,
            rendered=render_prompt(tokenizer, track=problem.parsed_track, text=problem.input),
        )
        for problem in problems
    ]
    context = context_of(model.config.get_text_config().to_dict())
    fitting = []
    for prompt in encoded:
        if context is None or len(prompt.ids) + settings.limit(prompt.problem) <= context:
            fitting.append(prompt)
        else:
            yield from (_skipped(prompt, sample) for sample in range(settings.samples))
    for batch in _batches(fitting, settings=settings, size=batch_size):
        yield from _decode(model, tokenizer, batch, settings=settings)


_Asked = tuple[_Encoded, int]  # a prompt and the number of its sample


def _batches(prompts: list[_Encoded], *, settings: GenerationSettings, size: int) -> Iterable[list[_Asked]]:
    """Greedy prompts in batches of like length; sampled ones with a problem's samples to themselves.

    Drawn tokens depend on a batch's random numbers, so a batch that mixed problems would make what a
    problem gets depend on its company.
    """
    if settings.temperature > 0:
        for prompt in prompts:
            yield [(prompt, sample) for sample in range(settings.samples)]
        return
    by_limit: dict[int, list[_Encoded]] = {}
    for prompt in prompts:
        by_limit.setdefault(settings.limit(prompt.problem), []).append(prompt)
    for group in by_limit.values():
        group.sort(key=lambda p: (len(p.ids), p.problem.id))
        for start in range(0, len(group), size):
            yield [(prompt, 0) for prompt in group[start : start + size]]


def _skipped(prompt: _Encoded, sample: int) -> Completion:
    return Completion(
        problem_id=prompt.problem.id,
        track=prompt.problem.track,
        dataset=prompt.problem.dataset,
        sample=sample,
        text="",
        finish="skipped",
        prompt_tokens=len(prompt.ids),
        new_tokens=0,
    )


def _decode(model: Any, tokenizer: Any, batch: list[_Asked], *, settings: GenerationSettings) -> list[Completion]:
    longest = max(len(prompt.ids) for prompt, _ in batch)
    width = -(-longest // _WIDTH_STEP) * _WIDTH_STEP
    ids_BT = torch.full((len(batch), width), tokenizer.pad_token_id)
    mask_BT = torch.zeros((len(batch), width), dtype=torch.long)
    for row, (prompt, _) in enumerate(batch):
        ids_BT[row, width - len(prompt.ids) :] = torch.tensor(prompt.ids)
        mask_BT[row, width - len(prompt.ids) :] = 1
    first = batch[0][0].problem
    torch.manual_seed(_seed(settings.seed, first.id))
    ends = _ends(model, tokenizer)
    with torch.inference_mode():
        out_BT = model.generate(
            input_ids=ids_BT.to(model.device),
            attention_mask=mask_BT.to(model.device),
            generation_config=_config(settings, limit=settings.limit(first), ends=ends, tokenizer=tokenizer),
        )
    rows = out_BT[:, width:].tolist()
    return [
        _completion(prompt, row, ends=ends, tokenizer=tokenizer, sample=sample)
        for (prompt, sample), row in zip(batch, rows, strict=True)
    ]


def _config(settings: GenerationSettings, *, limit: int, ends: list[int], tokenizer: Any) -> Any:
    sampled = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
    return GenerationConfig(
        max_new_tokens=limit,
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
        **(sampled if settings.temperature > 0 else {"do_sample": False}),
    )


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Every token that ends a turn: the tokenizer's, and those that the model declares."""
    declared = getattr(model.generation_config, "eos_token_id", None)
    listed = declared if isinstance(declared, list) else [declared]
    return sorted({tokenizer.eos_token_id, *(e for e in listed if e is not None)})


def _completion(prompt: _Encoded, row: list[int], *, ends: list[int], tokenizer: Any, sample: int) -> Completion:
    stop = next((i for i, token in enumerate(row) if token in ends), None)
    new = row if stop is None else row[:stop]
    return Completion(
        problem_id=prompt.problem.id,
        track=prompt.problem.track,
        dataset=prompt.problem.dataset,
        sample=sample,
        text=written_behind(tokenizer, prompt.ids, new).removeprefix(prompt.rendered.lead),
        finish="length" if stop is None else "stop",
        prompt_tokens=len(prompt.ids),
        new_tokens=len(new),
    )


def _seed(seed: int, problem_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{problem_id}".encode()).digest()[:4])
