"""A study under way: what is done, what is due, what failed, and what its threads tell each other.

One decision: what is done is kept here and read anew for a trial whenever a stage of it ends, so looking for
what is due costs no reading of the ledger, however many trials there are. Each part that several threads use
guards itself.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.causes import kind_of, wait_before
from orchestrator.errors import Cause, StageFailed
from orchestrator.ledger.lease import Lease
from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.ledger.rejudging import JUDGED_AGAIN, judgeable_since, present_tools
from orchestrator.run.ahead import Ahead
from orchestrator.run.budget import Meter
from orchestrator.run.queue import TrainingQueue
from orchestrator.study.cells import Cells
from orchestrator.study.stages import STAGES, Holds, StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.work.data import contamination_of, read_all_problems
from tasks.readers.source import DataError

if TYPE_CHECKING:
    from evaluators.contamination import Contamination
    from tasks.records import Problem

_LOG = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Listener:
    """What a run tells whoever watches it.

    `study(cells)` says what is run, once its lease is held, and again when searches have found more of it;
    `stage(name, due)` opens a stage for some trials; `done(label, stage, cause)` closes a trial's; `note(text)` says
    what went otherwise than planned.
    """

    study: Callable[[Cells], None] = lambda cells: None
    stage: Callable[[StageName, int], None] = lambda stage, due: None
    done: Callable[[str, StageName, str], None] = lambda label, stage, cause: None
    note: Callable[[str], None] = lambda text: None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run did.

    `ran` counts stages; `failed` says how those failed that did, by trial and stage; `retried` what was begun
    again; `stopped` why the run ended before its study was finished, or nothing.
    """

    ran: dict[StageName, int] = field(default_factory=dict)
    failed: dict[tuple[str, StageName], StageFailed] = field(default_factory=dict)
    retried: list[str] = field(default_factory=list)
    stopped: str = ""


class Done:
    """What is done of each trial, and so what is due. Safe to use from several threads."""

    def __init__(self, trials: Sequence[TrialSpec], ledger: Ledger) -> None:
        self.trials = tuple(trials)
        self._ledger, self._tools = ledger, present_tools()
        self._lock = threading.RLock()
        self._records: dict[str, dict[StageName, StageRecord]] = {}
        self._broken: set[str] = set()
        # Made in this run: where another node lacked a tool that is here, it is not made again and again.
        self._made: set[tuple[str, StageName]] = set()
        self._not_before: dict[str, float] = {}
        self._lost: dict[str, int] = {}

    def look(self) -> None:
        """Read what is done of every trial."""
        found = {trial.label: self._ledger.records_of(trial) for trial in self.trials}
        with self._lock:
            self._records = found

    def due(self, stage: StageName) -> list[TrialSpec]:
        """Trials whose `stage` can run now: its inputs are there and its record is not; once by key."""
        found: dict[str, TrialSpec] = {}
        with self._lock:
            for trial in self.trials:
                done = self._records[trial.label]
                ready = stage in trial.stages and all(name in done for name in trial.inputs_of(stage))
                if ready and (stage not in done or self._is_renewed(trial, stage)):
                    found.setdefault(trial.key(stage), trial)
            return [trial for key, trial in found.items() if key not in self._broken]

    def _is_renewed(self, trial: TrialSpec, stage: StageName) -> bool:
        """Whether more of a stage could be judged than its record holds."""
        if (trial.key(stage), stage) in self._made:
            return False
        return bool(judgeable_since(self._records[trial.label][stage], trial, self._tools))

    def record(self, trial: TrialSpec, stage: StageName) -> StageRecord:
        """The record of a stage that is done."""
        with self._lock:
            return self._records[trial.label][stage]

    def before(self, trial: TrialSpec, stage: StageName) -> StageRecord | None:
        """The record that a stage has already, where it is made again; None where it is not."""
        with self._lock:
            return self._records[trial.label].get(stage)

    def inputs(self, trial: TrialSpec, stage: StageName) -> dict[str, str]:
        """Digests of what a stage reads, by upstream key."""
        with self._lock:
            done = self._records[trial.label]
            again = JUDGED_AGAIN if stage in done else {}
            return {done[name].key: done[name].output_digest for name in trial.inputs_of(stage)} | again

    def look_again(self, key: str, stage: StageName) -> StageFailed | None:
        """Read anew what is done of the trials that share a stage; what keeps it from being read is theirs alone."""
        with self._lock:
            self._made.add((key, stage))
        try:
            for other in self.trials:
                if stage in other.stages and other.key(stage) == key:
                    found = self._ledger.records_of(other)
                    with self._lock:
                        self._records[other.label] = found
        except Exception as error:
            return StageFailed(f"it ended, and what is done cannot be read: {error}", kind=kind_of(error))
        return None

    def give_up(self, key: str) -> None:
        """A stage that failed is due no more in this run."""
        with self._lock:
            self._broken.add(key)

    def postpone(self, key: str) -> float:
        """A stage whose node or process is gone stays due, for later; returns the seconds to wait."""
        with self._lock:
            self._lost[key] = self._lost.get(key, 0) + 1
            wait = wait_before(self._lost[key])
            self._not_before[key] = time.monotonic() + wait
            return wait

    def is_postponed(self, key: str) -> bool:
        """Whether a lost stage is not to begin again yet."""
        with self._lock:
            return self._not_before.get(key, 0.0) > time.monotonic()


class TestData:
    """Test problems, and what they share with training data, read once for trials with the same sources."""

    __test__ = False  # pytest would take the name for a test's

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._problems: dict[tuple[str, ...], tuple[Problem, ...]] = {}
        self._contamination: dict[tuple[str, ...], Mapping[str, Contamination]] = {}

    def problems(self, trial: TrialSpec) -> "tuple[Problem, ...]":
        """A trial's test problems.

        Raises:
            DataError: if they cannot be read.
        """
        sources = tuple(source.model_dump_json() for source in trial.test)
        with self._lock:
            if sources not in self._problems:
                self._problems[sources] = read_all_problems(trial.test, root=self.root)
            return self._problems[sources]

    def contamination(self, trial: TrialSpec) -> "Mapping[str, Contamination]":
        """What a trial's problems share with its training data; nothing where that cannot be read any more."""
        problems = self.problems(trial)
        sources = tuple(source.model_dump_json() for source in (*trial.train, *trial.validation, *trial.test))
        with self._lock:
            if sources not in self._contamination:
                try:
                    self._contamination[sources] = contamination_of(trial, problems, root=self.root)
                except DataError as error:
                    # Scores do not need the training data; the report shows a dash in place of the share.
                    _LOG.warning("test problems were not looked for in the training data: %s", error)
                    self._contamination[sources] = {}
            return self._contamination[sources]


class StudyRun:
    """A study under way. `changed` wakes whoever waits for more to become due, or for the end."""

    def __init__(self, cells: Cells, ledger: Ledger, *, lease: Lease, listener: Listener, meter: Meter) -> None:
        self.study, self.ledger, self.lease, self.listener, self.meter = cells.study, ledger, lease, listener, meter
        self.done = Done(cells.trials, ledger)
        self.test_data = TestData(Path(self.study.data.root))
        self.outcome = Outcome()
        self.changed = threading.Condition()
        self.stopping = False
        # Stages with a thread at work, the trials in each one's pipeline, and the trainings.
        self.working: set[StageName] = set()
        self.in_pipeline: dict[StageName, Sequence[TrialSpec]] = {}
        self.queue: TrainingQueue | None = None
        self.ahead = Ahead(ledger.store, changed=self._wake)

    def _wake(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def finished(self, trial: TrialSpec, stage: StageName, failed: StageFailed | None = None) -> None:
        """Take note of a stage's end, for every trial that shares it."""
        key = trial.key(stage)
        if stage == StageName.GENERATE:
            self.ahead.end(trial)
        with self.changed:
            failed = failed or self.done.look_again(key, stage)
            if failed is not None:
                self.done.give_up(key)
                self.outcome.failed[(trial.label, stage)] = failed
            else:
                self.outcome.ran[stage] = self.outcome.ran.get(stage, 0) + 1
            self.changed.notify_all()
        # Of what lacks a tool there is nothing in a log that its cause does not say.
        lacks = failed is not None and failed.kind == Cause.MISSING
        told = f"{stage} not run: {failed.cause}" if failed and lacks else str(failed or "")
        self.listener.done(trial.label, stage, told)

    def is_ready(self, trial: TrialSpec, stage: StageName) -> bool:
        """Whether a stage that is due may begin now: it is not to wait after a loss, nor for what is judged ahead."""
        ahead = stage == StageName.EXECUTE and self.ahead.is_busy(trial)
        return not (ahead or self.done.is_postponed(trial.key(stage)))

    def begins_again(self, trial: TrialSpec, stage: StageName, failed: StageFailed, how: str) -> None:
        """Take note of a try that is followed by another."""
        text = f"{trial.label} {stage} {how}: {failed.cause}"
        self.outcome.retried.append(text)
        self.listener.note(text)

    def lost(self, trial: TrialSpec, stage: StageName, failed: StageFailed) -> None:
        """Take note of a stage whose node or process is gone."""
        if stage == StageName.GENERATE:
            self.ahead.end(trial)
        wait = self.done.postpone(trial.key(stage))
        self.begins_again(trial, stage, failed, f"begins again in {wait:.0f} s")

    def active(self) -> list[tuple[TrialSpec, StageName]]:
        """What holds cores or GPUs now: each training, and each pipeline as often as it runs side by side."""
        found = [(trial, StageName.TRAIN) for trial in self.queue.running()] if self.queue else []
        for stage, due in list(self.in_pipeline.items()):
            side_by_side = self.study.resources.generators if STAGES[stage].holds == Holds.GENERATOR else 1
            found += [(due[0], stage)] * side_by_side
        return found

    def stop(self, why: str) -> None:
        """Start nothing more and leave what runs."""
        with self.changed:
            self.outcome.stopped = self.outcome.stopped or why
            self.stopping = True
            if self.queue is not None:
                self.queue.stop()
            self.changed.notify_all()


__all__ = ["Done", "Listener", "Outcome", "StudyRun", "TestData"]
