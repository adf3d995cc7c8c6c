"""What processes that write completions say of themselves meanwhile: how far they are, and how fast.

    studies/NAME/writing/PIECE.json      the newest word of the process that has this piece, gone when it is done

One decision: a word is a file of the ledger, so a driver, `status` in another terminal and another machine's `status`
read the same, in a bucket too. All in it was counted or timed where the model writes. Nothing depends on one: that it
cannot be left is no fault, and one that is old is of a process that is gone.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Literal, Protocol, Self

from pydantic import ValidationError

from orchestrator.errors import LedgerError
from orchestrator.ledger.storage import Store
from orchestrator.provenance import process
from tasks.records import Record

# How often a word is left, and when one is of a process that says nothing any more.
_EVERY_S = 2.0
_OLD_S = 60.0


class Counted(Protocol):
    """What an engine counts while it writes: steps, the slots that they had, those in use, tokens, and its seconds."""

    steps: int
    slot_steps: int
    used: int
    new_tokens: int
    seconds: float


class Share(Record):
    """How far a process is with one job: completions `there` of its part, those that it `made`, and their tokens."""

    there: int
    made: int
    new_tokens: int


class Writing(Record):
    """A process's word.

    `seconds` is how long it has been writing this piece; rates are of the time since the word before: new tokens a
    second, the slots that a step had and those of them in use, and the share of the time in which the GPU computed
    (`busy_of` is `gpu`) or, where nobody knows that, in which the engine was at the model (`engine`).
    """

    process: str
    time: float
    seconds: float
    shares: dict[str, Share]
    tokens_per_s: float
    slots: float
    slots_used: float
    busy: float
    busy_of: Literal["gpu", "engine"]

    @property
    def made_per_s(self) -> float:
        """Completions a second, since it began."""
        return sum(share.made for share in self.shares.values()) / max(self.seconds, 1e-3)


def words_folder(study: str) -> str:
    """Where the words on a study lie."""
    return f"studies/{study}/writing/"


def words_on(store: Store, study: str) -> tuple[Writing, ...]:
    """The words of all processes that write for a study now.

    Raises:
        LedgerError: if the store cannot be read.
    """
    found = []
    for entry in store.entries(words_folder(study)):
        try:
            word = Writing.model_validate_json(store.read(entry.name) or b"")
        except ValidationError:
            # It is done since, or another version's.
            continue
        if time.time() - word.time < _OLD_S:
            found.append(word)
    return tuple(found)


def clear_words(store: Store, study: str) -> None:
    """Remove what processes that were killed have left; for whoever holds the study's lease."""
    store.delete([entry.name for entry in store.entries(words_folder(study))])


class Telling:
    """Leaves a process's word while it writes a piece, as a context manager.

    Args:
        store: Where it is left.
        name: Under which name; empty for nowhere.
        work: What the engine counts.
        there: Completions of each job that are there already.
        gpu: The GPU's busy share just now, None where nobody knows.
        every_s: How often a word is left.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        work: Counted,
        there: Mapping[str, int],
        gpu: Callable[[], float | None] = lambda: None,
        every_s: float = _EVERY_S,
    ) -> None:
        self._store, self._name, self._work, self._gpu, self._every_s = store, name, work, gpu, every_s
        self._there = dict(there)
        self.made = dict.fromkeys(there, 0)
        self.new_tokens = dict.fromkeys(there, 0)
        self._began = self._last = time.monotonic()
        self._before = _figures(work)
        self._samples: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="telling", daemon=True)

    def add(self, key: str, *, tokens: int) -> None:
        """A completion of a job is made."""
        self.made[key] += 1
        self.new_tokens[key] += tokens

    def __enter__(self) -> Self:
        if self._name:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._name:
            self._thread.join()
            with suppress(LedgerError):
                self._store.delete([self._name])

    def _tell(self) -> None:
        while not self._stop.wait(self._every_s / 4):
            self._samples += [busy for busy in (self._gpu(),) if busy is not None]
            if time.monotonic() - self._last >= self._every_s:
                with suppress(LedgerError):
                    self._store.write(self._name, self._word().model_dump_json().encode())

    def _word(self) -> Writing:
        now, figures = time.monotonic(), _figures(self._work)
        took, (steps, slot_steps, used, tokens, seconds) = now - self._last, _less(figures, self._before)
        samples = self._samples
        self._last, self._before, self._samples = now, figures, []
        who = process()
        return Writing(
            process=f"{who['host']}:{who['pid']}",
            time=time.time(),
            seconds=now - self._began,
            shares={
                key: Share(there=there + self.made[key], made=self.made[key], new_tokens=self.new_tokens[key])
                for key, there in self._there.items()
            },
            tokens_per_s=tokens / took,
            slots=slot_steps / steps if steps else 0.0,
            slots_used=used / steps if steps else 0.0,
            busy=sum(samples) / len(samples) if samples else min(1.0, seconds / took),
            busy_of="gpu" if samples else "engine",
        )


def _figures(work: Counted) -> tuple[float, ...]:
    return work.steps, work.slot_steps, work.used, work.new_tokens, work.seconds


def _less(now: Iterable[float], before: Iterable[float]) -> tuple[float, ...]:
    return tuple(a - b for a, b in zip(now, before, strict=True))


__all__ = ["Counted", "Share", "Telling", "Writing", "clear_words", "words_folder", "words_on"]
