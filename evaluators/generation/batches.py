"""Answers by the model's own `generate`, for families whose cache or attention has no slots.

One decision: prompts of a batch have the same number of tokens, so nothing is padded. What a recurrent state or an
alternating window does with padding differs from family to family, and where it does something an answer would
depend on its company.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from evaluators.generation.choosing import choose
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.writer import Asked, Work, Written


class _Choosing(LogitsProcessor):
    """Leaves the chosen token alone, so that `generate` takes it."""

    def __init__(self, batch: Sequence[Asked], settings: GenerationSettings) -> None:
        self._batch, self._settings = batch, settings

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores of which all but the chosen one's are minus infinity."""
        place = input_ids.shape[1] - len(self._batch[0].ids)
        draw_S = seen_SV = None
        if self._settings.temperature > 0:
            draw_S = torch.tensor([asked.draws[place] for asked in self._batch], device=scores.device)
        if self._settings.repetition_penalty != 1:
            seen_SV = torch.zeros_like(scores, dtype=torch.bool).scatter(1, input_ids, True)
        chosen_S = choose(scores, self._settings, draw_S=draw_S, seen_SV=seen_SV)
        return torch.full_like(scores, -torch.inf).scatter(1, chosen_S[:, None], 0.0)


class _Ending(StoppingCriteria):
    """Ends the answers that are over by their text."""

    def __init__(self, batch: Sequence[Asked]) -> None:
        self._batch = batch

    def __call__(self, input_ids: Tensor, scores: Tensor, **ignored: Any) -> Tensor:
        """Which rows are over, (B,); `generate` remembers those that were."""
        over = []
        for asked, row in zip(self._batch, input_ids.tolist(), strict=True):
            over.append(asked.ends is not None and asked.ends(row[len(asked.ids) :]))
        return torch.tensor(over, dtype=torch.bool, device=input_ids.device)


@torch.inference_mode()
def write_in_batches(
    model: Any,
    asked: Sequence[Asked],
    *,
    ends: frozenset[int],
    settings: GenerationSettings,
    size: int,
    work: Work | None = None,
) -> Iterator[Written]:
    """All answers of one model, whatever is on it now, a batch after the other.

    Args:
        model: A causal language model, in evaluation mode.
        asked: The answers to write; their adapters are not looked at.
        ends: The tokens that end an answer.
        settings: How to decode.
        size: Most answers of a batch.
        work: Where to count what is done; a batch is known when it is over.
    """
    work = work or Work()
    ordered = sorted(asked, key=_shape)
    for _, group in groupby(ordered, key=_shape):
        alike = list(group)
        for start in range(0, len(alike), size):
            batch, begin = alike[start : start + size], time.perf_counter()
            written = list(_batch(model, batch, ends=ends, settings=settings))
            _count(work, written, size=size)
            work.seconds += time.perf_counter() - begin
            yield from written


def _count(work: Work, written: Sequence[Written], *, size: int) -> None:
    """What a batch took: as many steps as its longest answer, each for a token of those that were not over."""
    tokens = [len(one.ids) + (one.finish == "stop") for one in written]
    work.steps += max(tokens)
    work.slot_steps += size * max(tokens)
    work.used += sum(tokens)
    work.prompt_tokens += sum(len(one.asked.ids) for one in written)
    work.new_tokens += sum(tokens)


def _shape(asked: Asked) -> tuple[int, int]:
    return len(asked.ids), asked.limit


def _batch(
    model: Any, batch: Sequence[Asked], *, ends: frozenset[int], settings: GenerationSettings
) -> Iterator[Written]:
    ids_BT = torch.tensor([list(asked.ids) for asked in batch], device=model.device)
    out_BT = model.generate(
        input_ids=ids_BT,
        attention_mask=torch.ones_like(ids_BT),
        generation_config=GenerationConfig(
            max_new_tokens=batch[0].limit, eos_token_id=sorted(ends), pad_token_id=min(ends), do_sample=False
        ),
        logits_processor=LogitsProcessorList([_Choosing(batch, settings)]),
        stopping_criteria=StoppingCriteriaList([_Ending(batch)] if any(asked.ends for asked in batch) else []),
    )
    for asked, row in zip(batch, out_BT[:, ids_BT.shape[1] :].tolist(), strict=True):
        yield written_of(asked, row, ends)


def written_of(asked: Asked, row: Sequence[int], ends: frozenset[int]) -> Written:
    """The answer in a row of new tokens, which may go on behind its end."""
    new: list[int] = []
    for token in row:
        if token in ends:
            return Written(asked=asked, ids=tuple(new), finish="stop")
        new.append(token)
        if asked.ends is not None and asked.ends(new):
            return Written(asked=asked, ids=tuple(new), finish="stop")
    return Written(asked=asked, ids=tuple(new), finish="length")


__all__ = ["write_in_batches", "written_of"]
