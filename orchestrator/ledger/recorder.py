"""Keeps completions in the ledger while they come, so that a process that is killed has done little for nothing.

One decision: to keep a completion is of use to a later run alone, so a ledger that cannot be written for a moment fails
nothing here. It is said, and the completions are handed on all the same.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from evaluators.generation.settings import GenerationSettings
from orchestrator.errors import LedgerError
from orchestrator.ledger.completions import (
    Item,
    Owner,
    Said,
    Wanted,
    completions_in,
    item_key,
    items_of,
    known_of,
    missing,
    said_of,
    write_chunk,
)
from orchestrator.ledger.storage import Store
from orchestrator.study.fingerprint import fingerprint
from tasks.records import Completion, Problem

# What a process that is killed has done for nothing is at most so much. A bucket takes some 20 ms for each chunk that
# is read again, so chunks are no smaller than they must be.
_CHUNK_ITEMS = 256
_CHUNK_AGE_S = 5.0

_LOG = logging.getLogger(__name__)


class Recorder:
    """Keeps what one process generates for one owner, so that the next finds it whatever becomes of this one.

    Holds what is there already of its part of the work, from a process that was killed over the same part. A chunk is
    written at so many completions, so many seconds after the first that is in none, and at the end.

    Attributes:
        proof: What was measured of what is written, see `evaluators.generation.proof`; kept in each chunk from the
            moment that it is said. None while nobody has.
    """

    def __init__(
        self,
        store: Store,
        owner: Owner,
        wanted: Sequence[Wanted],
        *,
        settings: GenerationSettings,
        chunk_items: int = _CHUNK_ITEMS,
        chunk_age_s: float = _CHUNK_AGE_S,
    ) -> None:
        self._store, self._owner, self._wanted, self._settings = store, owner, tuple(wanted), settings
        self._chunk_items, self._chunk_age_s = chunk_items, chunk_age_s
        self._items = frozenset(item for one in wanted for item in items_of(one, settings))
        self._part = fingerprint(sorted([key, sample] for key, sample in self._items))[:16]
        self._lock = threading.Lock()
        self._unwritten: dict[Item, Said] = {}
        self._timer: threading.Timer | None = None
        self._said: dict[Item, Said] = {}
        self.proof: JsonValue = None
        with _harmless():
            known = known_of(store, owner, part=self._part)
            self._said |= known.said
            self.proof = known.proof

    @property
    def missing(self) -> tuple[Wanted, ...]:
        """What of the wanted is not there yet."""
        return missing(self._wanted, self._said, self._settings)

    @property
    def completions(self) -> list[Completion]:
        """What of the wanted is there."""
        return completions_in(self._said, self._wanted, self._settings)

    def add(self, completion: Completion, *, of: Problem) -> None:
        """Keep a completion of a problem; one that is not wanted, or is there, is left as it is.

        The problem may be another trial's, as long as it is the same item.
        """
        item = item_key(of, self._settings), completion.sample
        if item not in self._items or item in self._said:
            return
        with self._lock:
            self._said[item] = self._unwritten[item] = said_of(completion)
            full = len(self._unwritten) >= self._chunk_items
            if self._timer is None and not full:
                self._timer = threading.Timer(self._chunk_age_s, self._flush)
                self._timer.daemon = True
                self._timer.start()
        if full:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()

    def _flush(self) -> None:
        """Write what is in no chunk yet."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not self._unwritten:
                return
            # Once: a bucket that is away would hold up every completion from here on.
            unwritten, self._unwritten = self._unwritten, {}
            with _harmless():
                write_chunk(self._store, self._owner, self._part, unwritten, proof=self.proof)


@contextmanager
def _harmless() -> Iterator[None]:
    """For what is of use to a later run alone: that the ledger cannot be reached is said, and fails nothing."""
    try:
        yield
    except LedgerError as error:
        _LOG.warning("completions are not kept for a later run: %s", error)


__all__ = ["Recorder"]
