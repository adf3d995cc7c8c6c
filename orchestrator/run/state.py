"""A study under way: what is done, what is due, what failed, and what its threads tell each other.

One decision: what is done is kept here and read anew for a trial whenever a stage of it ends, so looking for
what is due costs no reading of the ledger, however many trials there are.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.causes import kind_of, wait_before
from orchestrator.errors import StageFailed
from orchestrator.ledger.lease import Lease
from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.ledger.rejudging import JUDGED_AGAIN, judgeable_since
from orchestrator.run.budget import Meter
from orchestrator.run.queue import TrainingQueue
from orchestrator.study.cells import Cells
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

if TYPE_CHECKING:
    from evaluators.contamination import Contamination
    from tasks.records import Problem


@dataclass(slots=True, kw_only=True)
class Listener:
    """What a run tells whoever watches it.

    `study(cells)` says what is run, once its lease is held, and again when searches have found more of it;
    `stage(name, due)` opens a stage for some trials; `done(label, cause)` closes a trial's; `note(text)` says
    what went otherwise than planned.
    """

    study: Callable[[Cells], None] = lambda cells: None
    stage: Callable[[StageName, int], None] = lambda stage, due: None
    done: Callable[[str, str], None] = lambda label, cause: None
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


class StudyRun:
    """A study under way: what is done, what is due, and what the threads tell each other."""

    def __init__(self, cells: Cells, ledger: Ledger, *, lease: Lease, listener: Listener, meter: Meter) -> None:
        self.study, self.ledger, self.lease, self.listener = cells.study, ledger, lease, listener
        self.trials = cells.trials
        self.root = Path(self.study.data.root)
        self.outcome = Outcome()
        self.meter = meter
        self.changed = threading.Condition()
        self.stopping = False
        self.working: set[StageName] = set()
        self.piping: dict[StageName, Sequence[TrialSpec]] = {}
        self.queue: TrainingQueue | None = None
        # Test problems, and what they share with training data, by their sources.
        self.problems: dict[tuple[str, ...], tuple[Problem, ...]] = {}
        self.contamination: dict[tuple[str, ...], Mapping[str, Contamination]] = {}
        self._done: dict[str, dict[StageName, StageRecord]] = {}
        self._broken: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._lost: dict[str, int] = {}

    def look(self) -> None:
        """Read what is done of every trial."""
        self._done = {trial.label: self.ledger.records_of(trial) for trial in self.trials}

    def due(self, stage: StageName) -> list[TrialSpec]:
        """Trials whose `stage` can run now: its inputs are there and its record is not; once by key."""
        found: dict[str, TrialSpec] = {}
        for trial in self.trials:
            done = self._done[trial.label]
            ready = stage in trial.stages and all(name in done for name in trial.inputs_of(stage))
            if ready and (stage not in done or judgeable_since(done[stage], trial)):
                found.setdefault(trial.key(stage), trial)
        return [trial for key, trial in found.items() if key not in self._broken]

    def record(self, trial: TrialSpec, stage: StageName) -> StageRecord:
        """The record of a stage that is done."""
        return self._done[trial.label][stage]

    def before(self, trial: TrialSpec, stage: StageName) -> StageRecord | None:
        """The record that a stage has already, where it is made again; None where it is not."""
        return self._done[trial.label].get(stage)

    def facts(self, trial: TrialSpec, stage: StageName) -> dict[str, Any]:
        """The facts of a stage's record; none if it is not done."""
        done = self._done[trial.label]
        return dict(done[stage].facts) if stage in done else {}

    def inputs(self, trial: TrialSpec, stage: StageName) -> dict[str, str]:
        """Digests of what a stage reads, by upstream key."""
        done = self._done[trial.label]
        again = JUDGED_AGAIN if stage in done else {}
        return {done[name].key: done[name].output_digest for name in trial.inputs_of(stage)} | again

    def finished(self, trial: TrialSpec, stage: StageName, failed: StageFailed | None = None) -> None:
        """Take note of a stage's end, for every trial that shares it."""
        key = trial.key(stage)
        with self.changed:
            failed = failed or self._look_again(key, stage)
            if failed is not None:
                self._broken.add(key)
                self.outcome.failed[(trial.label, stage)] = failed
            else:
                self.outcome.ran[stage] = self.outcome.ran.get(stage, 0) + 1
            self.changed.notify_all()
        self.listener.done(trial.label, str(failed) if failed else "")

    def _look_again(self, key: str, stage: StageName) -> StageFailed | None:
        """Read anew what is done of the trials that share a stage; what keeps it from being read is theirs alone."""
        try:
            for other in self.trials:
                if stage in other.stages and other.key(stage) == key:
                    self._done[other.label] = self.ledger.records_of(other)
        except Exception as error:
            return StageFailed(f"it ended, and what is done cannot be read: {error}", kind=kind_of(error))
        return None

    def begins_again(self, trial: TrialSpec, stage: StageName, failed: StageFailed, how: str) -> None:
        """Take note of a try that is followed by another."""
        text = f"{trial.label} {stage} {how}: {failed.cause}"
        self.outcome.retried.append(text)
        self.listener.note(text)

    def lost(self, trial: TrialSpec, stage: StageName, failed: StageFailed) -> None:
        """A stage whose node or process is gone stays due, for later."""
        key = trial.key(stage)
        self._lost[key] = self._lost.get(key, 0) + 1
        wait = wait_before(self._lost[key])
        self._not_before[key] = time.monotonic() + wait
        self.begins_again(trial, stage, failed, f"begins again in {wait:.0f} s")

    def waits(self, trial: TrialSpec, stage: StageName) -> bool:
        """Whether a lost stage is not to begin again yet."""
        return self._not_before.get(trial.key(stage), 0.0) > time.monotonic()

    def active(self) -> list[tuple[TrialSpec, StageName]]:
        """What holds cores or GPUs now: each training, and each pipeline as often as it runs side by side."""
        trained = [(trial, StageName.TRAIN) for trial in self.queue.running()] if self.queue else []
        pools = {StageName.GENERATE: self.study.resources.generators}
        piped = [(due[0], stage) for stage, due in list(self.piping.items()) for _ in range(pools.get(stage, 1))]
        return [*trained, *piped]

    def stop(self, why: str) -> None:
        """Start nothing more and leave what runs."""
        with self.changed:
            self.outcome.stopped = self.outcome.stopped or why
            self.stopping = True
            if self.queue is not None:
                self.queue.stop()
            self.changed.notify_all()


__all__ = ["Listener", "Outcome", "StudyRun"]
