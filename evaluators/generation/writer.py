"""Write many answers with one model: slots that are filled again as soon as they are free.

One decision: which tokens an answer gets depends on its prompt alone. Who else writes, how many slots there are and
when a prompt's turn comes change the order of sums within a matrix product, which 32-bit arithmetic shows in the last
digits of a logit and nowhere else.

Letters of shapes: S slots in use, V vocabulary.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from evaluators.generation.choosing import choose
from evaluators.generation.replay import Replay
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.slots import SlotStore, begin, go_on, reach_of, slot_attending
from models.rack import Adapter, Rack

# Prompts are read in rows of at most so many tokens.
_ROW_TOKENS = {"cpu": 2048, "cuda": 16_384}
# A row costs a pass whatever its length, so slots are filled when this share of them is free.
_FREE_SHARE = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """An answer to write.

    Attributes:
        ids: The prompt's tokens.
        limit: Most new tokens.
        adapter: 0 for the base, n + 1 for the n-th adapter.
        draws: The numbers by which tokens are drawn, one for each; none for greedy decoding.
        ends: Whether an answer is over, given its tokens so far; asked after each token. None: only at an end token.
        seed: What an engine that draws by itself is seeded with; None for greedy decoding.
    """

    ids: Sequence[int]
    limit: int
    adapter: int = 0
    draws: Sequence[float] = ()
    ends: Callable[[Sequence[int]], bool] | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Written:
    """An answer: its tokens, without the one that ended it."""

    asked: Asked
    ids: tuple[int, ...]
    finish: Literal["stop", "length"]


@dataclass(slots=True, eq=False)
class _Open:
    """An answer under way in a slot."""

    asked: Asked
    new: list[int] = field(default_factory=list)

    @property
    def position(self) -> int:
        """Where its last token stands."""
        return len(self.asked.ids) + len(self.new) - 1


@dataclass(slots=True, kw_only=True)
class Work:
    """What a writer did: steps, the slots that they had, those that were in use, tokens, and seconds in the model."""

    steps: int = 0
    slot_steps: int = 0
    used: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0
    seconds: float = 0.0


class SlotWriter:
    """One model with its adapters and slots.

    Args:
        model: A causal language model, in evaluation mode.
        ends: The tokens that end an answer.
        settings: How to decode.
        adapters: What `Asked.adapter` calls for.
        slots: Most answers at once.
        flash: See `SlotStore`.
        work: Where to count what is done.
    """

    def __init__(
        self,
        model: Any,
        *,
        ends: frozenset[int],
        settings: GenerationSettings,
        adapters: Sequence[Adapter] = (),
        slots: int,
        flash: bool = False,
        work: Work | None = None,
    ) -> None:
        self._model, self._ends, self._settings, self._slots, self._flash = model, ends, settings, slots, flash
        self._adapters = tuple(adapters)
        self._rack = Rack(model) if adapters else None
        self._device: torch.device = model.device
        self.work = work or Work()

    @torch.inference_mode()
    def write(self, asked: Sequence[Asked]) -> Iterator[Written]:
        """All answers, each as soon as it is done. The longest prompts come first.

        Raises:
            ModelError: if an adapter does not fit the model.
        """
        # Those of a kind with a good many tokens to come begin early, so that the last ones do not trail alone.
        waiting = deque(sorted(asked, key=lambda one: -(len(one.ids) + one.limit)))
        if not waiting:
            return
        longest = len(waiting[0].ids) + waiting[0].limit
        held = self._rack.holding(self._adapters) if self._rack else nullcontext()
        with slot_attending(self._model), held:
            store = SlotStore(slots=min(self._slots, len(waiting)), length=longest, flash=self._flash)
            replay = Replay(self._model, store, rack=self._rack) if self._device.type == "cuda" else None
            yield from self._run(waiting, store, replay)

    def _run(self, waiting: deque[Asked], store: SlotStore, replay: Replay | None) -> Iterator[Written]:
        live: list[_Open] = []
        seen_SV: Tensor | None = None
        while waiting or live:
            begin = time.perf_counter()
            if waiting and (store.slots - len(live)) * _FREE_SHARE >= min(store.slots, len(waiting)):
                seen_SV = self._fill(waiting, live, store, seen_SV)
            else:
                self._step(live, store, replay, seen_SV)
            self.work.seconds += time.perf_counter() - begin
            yield from self._leave(live, store, seen_SV)

    def _fill(
        self, waiting: deque[Asked], live: list[_Open], store: SlotStore, seen_SV: Tensor | None
    ) -> Tensor | None:
        """Begin answers in free slots, as one row of prompts, and write the first token of each."""
        first, tokens = len(live), 0
        most = _ROW_TOKENS.get(self._device.type, 2048)
        while waiting and len(live) < store.slots:
            if tokens and tokens + len(waiting[0].ids) > most:
                break
            live.append(_Open(waiting.popleft()))
            tokens += len(live[-1].asked.ids)
        begun = live[first:]
        if self._rack:
            self._rack.rows(torch.tensor([o.asked.adapter for o in begun for _ in o.asked.ids], device=self._device))
        prompts = [(first + place, one.asked.ids) for place, one in enumerate(begun)]
        logits_SV = begin(self._model, store, prompts)
        self.work.prompt_tokens += tokens
        if self._settings.repetition_penalty != 1:
            seen_SV = self._seen(seen_SV, prompts, store, vocabulary=logits_SV.shape[-1])
        self._append(begun, logits_SV, None if seen_SV is None else seen_SV[first : len(live)])
        return seen_SV

    def _seen(
        self, seen_SV: Tensor | None, prompts: Sequence[tuple[int, Sequence[int]]], store: SlotStore, *, vocabulary: int
    ) -> Tensor:
        if seen_SV is None:
            seen_SV = torch.zeros((store.slots, vocabulary), dtype=torch.bool, device=self._device)
        for slot, ids in prompts:
            seen_SV[slot] = False
            seen_SV[slot, torch.tensor(ids, device=self._device)] = True
        return seen_SV

    def _step(self, live: list[_Open], store: SlotStore, replay: Replay | None, seen_SV: Tensor | None) -> None:
        """Write one token more of every answer."""
        ids = [one.new[-1] for one in live]
        positions = [one.position for one in live]
        rows = [one.asked.adapter for one in live]
        reach = reach_of(max(positions) + 1, store=store, device=self._device)
        if replay is not None:
            logits_SV = replay.go_on(ids, positions, rows, reach=reach)
        else:
            ids_S, positions_S, rows_S = torch.tensor([ids, positions, rows], device=self._device)
            if self._rack:
                self._rack.rows(rows_S)
            logits_SV = go_on(self._model, store, ids_S, positions_S, reach=reach)
        self.work.steps += 1
        self.work.slot_steps += store.slots
        self.work.used += len(live)
        self._append(live, logits_SV, None if seen_SV is None else seen_SV[: len(live)])

    def _append(self, live: Sequence[_Open], logits_SV: Tensor, seen_SV: Tensor | None) -> None:
        draw_S = None
        if self._settings.temperature > 0:
            draw_S = torch.tensor([o.asked.draws[len(o.new)] for o in live], device=self._device)
        chosen_S = choose(logits_SV, self._settings, draw_S=draw_S, seen_SV=seen_SV)
        if seen_SV is not None:
            seen_SV.scatter_(1, chosen_S[:, None], True)
        for one, token in zip(live, chosen_S.tolist(), strict=True):
            one.new.append(token)
        self.work.new_tokens += len(live)

    def _leave(self, live: list[_Open], store: SlotStore, seen_SV: Tensor | None) -> Iterator[Written]:
        """Take out the answers that are done; the last ones move into their slots."""
        for slot in reversed(range(len(live))):
            written = self._written(live[slot])
            if written is None:
                continue
            last = live.pop()
            if slot < len(live):
                live[slot] = last
                store.move(len(live), slot, tokens=last.position)
                if seen_SV is not None:
                    seen_SV[slot] = seen_SV[len(live)]
            yield written

    def _written(self, one: _Open) -> Written | None:
        """The answer, if its last token ended it."""
        if one.new[-1] in self._ends:
            return Written(asked=one.asked, ids=tuple(one.new[:-1]), finish="stop")
        if one.asked.ends is not None and one.asked.ends(one.new):
            return Written(asked=one.asked, ids=tuple(one.new), finish="stop")
        if len(one.new) >= one.asked.limit:
            return Written(asked=one.asked, ids=tuple(one.new), finish="length")
        return None


__all__ = ["Asked", "SlotWriter", "Work", "Written"]
