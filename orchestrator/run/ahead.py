"""Judging of what a trial has written while it still writes, on cores that nothing else wants.

One decision: what is judged ahead is no record, and stays in this process until the trial's own stage takes it over.
So keys, records and what a killed run loses are as if nothing were done ahead; a completion is judged ahead once at
most, and its verdict counts only where the stage finds the very same completion. Where generation and trainings fill
all cores nothing is done ahead: it would take from them what it wins.
"""

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import StageFailed
from orchestrator.ledger.completions import Item, Said, Wanted, arrivals, completions_in, item_key
from orchestrator.ledger.storage import Store
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.work.sending import free_cores
from tasks.records import Completion, Problem, Verdict

if TYPE_CHECKING:
    from orchestrator.work.generation import GenerationJob
    from orchestrator.work.messages import EarlyPiece
    from orchestrator.work.sending import Gathered

# A piece is of so many programs, or of fewer that have waited so long: a compiler takes seconds to start.
_MOST, _PATIENCE_S = 16, 6.0
# So many pieces at once at most, whatever the cores: the driver follows each by a thread.
_AT_ONCE = 16
# How often it is looked for free cores, and for what has been written: writers keep it every five seconds.
_LOOK_S, _READ_S = 1.0, 3.0
# For so long the cluster's head may not know of a core that was just given away.
_UNHEARD_S = 3.0

_LOG = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Written:
    """A trial that writes: its job, the chunks that were read, and the completions that wait to be judged.

    `problems` are those of each item, by its key, once somebody has looked.
    """

    trial: TrialSpec
    job: "GenerationJob"
    problems: dict[str, list[Problem]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    come: set[Item] = field(default_factory=set)
    waiting: list[Completion] = field(default_factory=list)
    waiting_since: float | None = None
    read_at: float = -math.inf

    def look(self, store: Store) -> None:
        """Let what has come since wait, if it is time to look and there is anything to do for it."""
        job, now = self.job, time.monotonic()
        if now - self.read_at < _READ_S:
            return
        said: dict[Item, Said] = dict(job.known) if not self.problems else {}
        for wanted in job.wanted if not self.problems else ():
            self.problems.setdefault(item_key(wanted.problem, job.settings), []).append(wanted.problem)
        said |= arrivals(store, job.owner, read=self.read)
        new = [item for item in said if item not in self.come]
        asked = [
            Wanted(problem=problem, samples=(sample,))
            for key, sample in new
            for problem in self.problems.get(key, ())
            if sample < job.settings.samples and _is_code(problem, quality=self.trial.quality)
        ]
        self.come.update(new)
        self.waiting += completions_in(said, asked, job.settings)
        self.read_at = now

    def chunks(self) -> Iterator[tuple[tuple[Problem, ...], tuple[Completion, ...]]]:
        """What waits, in pieces that are full or have waited long enough."""
        from orchestrator.work.pieces import in_one_language

        if not self.waiting:
            self.waiting_since = None
            return
        now = time.monotonic()
        self.waiting_since = self.waiting_since or now
        problems = [wanted.problem for wanted in self.job.wanted]
        for of, completions in in_one_language(problems, self.waiting, most=_MOST):
            if len(completions) == _MOST or now - self.waiting_since >= _PATIENCE_S:
                yield of, completions


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What a piece under way is of."""

    trial: TrialSpec
    completions: tuple[Completion, ...]


@dataclass(slots=True, kw_only=True)
class Judged:
    """Verdicts that are there, of which completions, and how long they took on how many cores together."""

    verdicts: dict[Completion, Verdict] = field(default_factory=dict)
    seconds: float = 0.0


class Ahead:
    """What is judged ahead of its stage. Safe to use from several threads.

    Args:
        store: Where writers keep completions.
        changed: Is called when a piece has ended.
    """

    def __init__(self, store: Store, *, changed: Callable[[], None]) -> None:
        self._store, self._changed = store, changed
        self._lock = threading.RLock()
        self._written: dict[str, _Written] = {}
        self._given: dict[str, _Given] = {}
        self._judged: dict[str, Judged] = {}

    def begin(self, trial: TrialSpec, job: "GenerationJob") -> None:
        """A trial begins to write."""
        with self._lock:
            self._written[job.key] = _Written(trial=trial, job=job)

    def end(self, trial: TrialSpec) -> None:
        """A trial writes no more; what is left of it is its stages'."""
        with self._lock:
            self._written.pop(trial.key(StageName.GENERATE), None)

    def is_busy(self, trial: TrialSpec) -> bool:
        """Whether some of a trial is being judged ahead; its execution waits for that."""
        key = trial.key(StageName.GENERATE)
        with self._lock:
            return any(given.trial.key(StageName.GENERATE) == key for given in self._given.values())

    def take(self, trial: TrialSpec, completions: Sequence[Completion]) -> tuple[tuple[Verdict, ...], float]:
        """The verdicts on those of a trial's completions that were judged ahead, and what they took, in seconds."""
        with self._lock:
            found = self._judged.pop(trial.key(StageName.GENERATE), Judged())
        return tuple(found.verdicts[c] for c in completions if c in found.verdicts), found.seconds

    def work(self, going_on: Callable[[], bool]) -> None:
        """Judge ahead for as long as somebody may write. Whatever goes wrong is left to the stages."""
        from orchestrator.work.pieces import early_piece
        from orchestrator.work.sending import Pool, all_cores, ignore, results

        try:
            cores = all_cores()
            room = Room()
            while going_on():
                more = self.pieces(room)
                if not more:
                    time.sleep(_LOOK_S)
                for key, found in results(
                    early_piece,
                    more,
                    of=Verdict,
                    pool=Pool(size=min(cores, _AT_ONCE)),
                    on_piece_done=ignore,
                    joining=lambda: self.pieces(room) if going_on() else [],
                ):
                    self.keep(key, found, cores=cores)
        except Exception:
            # What comes after a stop says nothing but that Ray has ended.
            if going_on():
                _LOG.warning("nothing more is judged ahead", exc_info=True)
        finally:
            with self._lock:
                self._given.clear()
                self._written.clear()
            self._changed()

    def keep(self, piece: str, found: "Gathered | StageFailed", *, cores: int) -> None:
        """Take in what became of a piece; what failed, or could not be judged, is its stage's to do again."""
        with self._lock:
            given = self._given.pop(piece, None)
            if given is not None and not isinstance(found, StageFailed):
                by_id = {(c.problem_id, c.sample): c for c in given.completions}
                judged = self._judged.setdefault(given.trial.key(StageName.GENERATE), Judged())
                judged.seconds += found.counts["seconds"] / cores
                for verdict in found.records:
                    if verdict.verdict != "unjudged":
                        judged.verdicts[by_id[verdict.task_id, verdict.sample]] = verdict
        self._changed()

    def pieces(self, room: "Room") -> list["EarlyPiece"]:
        """What is to be judged now: no more pieces than there are cores that nothing holds."""
        with self._lock:
            writing, under_way = list(self._written.values()), len(self._given)
        cores = min(room.cores(), _AT_ONCE - under_way) if writing else 0
        found: list[EarlyPiece] = []
        for written in writing if cores > 0 else ():
            written.look(self._store)
            for problems, completions in written.chunks():
                if len(found) == cores:
                    break
                found += self._give(written, problems, completions)
        room.given(len(found))
        return found

    def _give(
        self, written: _Written, problems: tuple[Problem, ...], completions: tuple[Completion, ...]
    ) -> list["EarlyPiece"]:
        """A piece under way; none where the trial has ended meanwhile."""
        from orchestrator.work.messages import EarlyPiece

        key, trial = uuid.uuid4().hex, written.trial
        with self._lock:
            if written.job.key not in self._written:
                return []
            given = {(c.problem_id, c.sample) for c in completions}
            written.waiting = [c for c in written.waiting if (c.problem_id, c.sample) not in given]
            self._given[key] = _Given(trial=trial, completions=completions)
        quality, limits = trial.quality, trial.limits
        return [EarlyPiece(key=key, limits=limits, problems=problems, completions=completions, quality=quality)]


def _is_code(problem: Problem, *, quality: bool) -> bool:
    """Whether there is anything to do ahead for a problem."""
    return problem.tests is not None or (quality and problem.parsed_track.target is not None)


class Room:
    """Cores that are free, less those that were given away since the cluster's head last knew.

    `free` asks the head.
    """

    def __init__(self, free: Callable[[], int] = free_cores) -> None:
        self._free = free
        self._given_at: list[float] = []

    def cores(self) -> int:
        """How many pieces may begin now."""
        now = time.monotonic()
        self._given_at = [at for at in self._given_at if now - at < _UNHEARD_S]
        return self._free() - len(self._given_at)

    def given(self, count: int) -> None:
        """So many pieces begin."""
        self._given_at += [time.monotonic()] * count


__all__ = ["Ahead", "Judged", "Room"]
