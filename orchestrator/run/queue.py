"""Which training starts next, and what becomes of one that ended.

One decision: everything that decides about trainings sits in one queue that knows no Ray: their order, their
retries, the tokens a pass that were learnt from those that ran out of memory, and a stop. Tune asks it for the
next one whenever it has room, so a decision is taken as late as it can be.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.causes import wait_before
from orchestrator.errors import Cause, StageFailed
from orchestrator.ledger.record import Retry
from orchestrator.plan.families import known_rows
from orchestrator.study.passes import passes_for, saying
from orchestrator.study.resources import Resources
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec, processes_of
from orchestrator.work.training import TrainingOrder
from trainers.memory import Passes, lighter, lightest

# What a training ended with, told to whoever watches: the trial, how it failed (None: it is done), the next try.
Ended = Callable[[TrialSpec, StageFailed | None, str], None]

# With fewer tokens a pass nearly every example is a pass alone, so there is nothing left to halve.
_LEAST_TOKENS = 64


@dataclass(slots=True, kw_only=True)
class _Training:
    trial: TrialSpec
    lost: int = 0
    not_before: float = 0.0
    passes: Passes | None = None
    retried: list[Retry] = field(default_factory=list)


class TrainingQueue:
    """Trainings that are due, longest first. Safe to use from several threads.

    Args:
        trials: The trials to train.
        resources: How they run.
        ended: Is told of each end, also of those that are followed by another try.
        may_start: Whether there is still time and money for a trial; asked once, when it is its turn.
        hours: What a training is estimated to take, None where nothing tells.
        passes: How a training is cut into forward passes; by default as a device of unknown size has it.
    """

    def __init__(
        self,
        trials: Sequence[TrialSpec],
        *,
        resources: Resources,
        ended: Ended,
        may_start: Callable[[TrialSpec], bool] = lambda trial: True,
        hours: Callable[[TrialSpec], float | None] = lambda trial: None,
        passes: Callable[[TrialSpec], Passes | None] = lambda trial: None,
    ) -> None:
        self._resources, self._ended, self._may_start, self._hours = resources, ended, may_start, hours
        self._lock = threading.RLock()
        self._waiting = [_Training(trial=trial) for trial in self._longest_first(trials)]
        self._running: dict[str, _Training] = {}
        self._passes = passes
        self._learnt: dict[tuple[str, str], Passes] = {}
        self._stopped = False

    @property
    def resources(self) -> Resources:
        """How the trainings run, as the study says."""
        return self._resources

    @property
    def has_full(self) -> bool:
        """Whether a training by several processes is among those to come or under way."""
        with self._lock:
            return any(t.trial.traits.in_many_processes for t in (*self._waiting, *self._running.values()))

    @property
    def stopped(self) -> bool:
        """Whether nothing may start any more."""
        return self._stopped

    @property
    def waiting(self) -> bool:
        """Whether a training is still to start, be it later."""
        return bool(self._waiting)

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing will."""
        with self._lock:
            return not self._running and (self._stopped or not self._waiting)

    def running(self) -> list[TrialSpec]:
        """The trials that are being trained."""
        with self._lock:
            return [training.trial for training in self._running.values()]

    def add(self, trials: Sequence[TrialSpec]) -> None:
        """More trials to train."""
        with self._lock:
            self._waiting += [_Training(trial=trial) for trial in self._longest_first(trials)]

    def stop(self) -> None:
        """Start no more."""
        with self._lock:
            self._stopped = True

    def next(self, *, room: int | None = None) -> TrainingOrder | None:
        """The next training to start, or None if none may start now.

        Args:
            room: How many processes find place on the cluster. A training that needs more than are free waits,
                and so do those behind it, lest smaller ones keep it waiting for ever. None: there is no telling.
        """
        with self._lock:
            while not self._stopped:
                ready = [training for training in self._waiting if training.not_before <= time.monotonic()]
                if not ready or not self._fits(ready[0].trial, room):
                    return None
                training = ready[0]
                self._waiting.remove(training)
                if self._may_start(training.trial):
                    return self._start(training)
            return None

    def _start(self, training: _Training) -> TrainingOrder:
        trial = training.trial
        # One that goes on after a loss is cut as it was, so it comes to the same bytes.
        chosen = training.passes or self._passes(trial) or passes_for(trial, self._resources)
        learnt = self._learnt.get(_like(trial))
        training.passes = chosen if learnt is None else lightest(chosen, learnt)
        self._running[trial.key(StageName.TRAIN)] = training
        rows, resources = known_rows(trial.model), saying(self._resources, training.passes)
        return TrainingOrder(trial=trial, resources=resources, retried=tuple(training.retried), rows=rows)

    def _fits(self, trial: TrialSpec, room: int | None) -> bool:
        if room is None or not self._running:
            return True
        taken = sum(self._processes(training.trial) for training in self._running.values())
        return taken + self._processes(trial) <= room

    def _processes(self, trial: TrialSpec) -> int:
        return processes_of(trial, self._resources)

    def end(self, trial: TrialSpec, failed: StageFailed | None) -> None:
        """Take note of a training's end, and put it back into the queue if its cause says so."""
        with self._lock:
            training = self._running.pop(trial.key(StageName.TRAIN))
            again = "" if failed is None or self._stopped else self._again(training, failed)
            if failed is not None and again:
                training.retried.append(Retry(kind=failed.kind, cause=failed.cause))
                self._waiting.insert(0, training)
        self._ended(trial, failed, again)

    def _again(self, training: _Training, failed: StageFailed) -> str:
        """What is done differently at the next try; nothing if there is none."""
        if failed.kind == Cause.LOST:
            training.lost += 1
            wait = wait_before(training.lost)
            training.not_before = time.monotonic() + wait
            return f"goes on in {wait:.0f} s"
        return self._with_less(training) if failed.kind == Cause.MEMORY else ""

    def _with_less(self, training: _Training) -> str:
        before = training.passes
        assert before is not None, "what ended was started"
        after = lighter(
            before,
            least=min(_LEAST_TOKENS, before.micro_tokens),
            on_cpu=self._resources.trial_gpus == 0,
            may_recompute=self._resources.gradient_checkpointing == "auto",
        )
        if after is None:
            return ""
        self.learn(training.trial, after)
        if after.micro_tokens == before.micro_tokens:
            return "goes on with activations that are computed again"
        return f"goes on with {after.micro_tokens} tokens a pass instead of {before.micro_tokens}"

    def learn(self, trial: TrialSpec, passes: Passes) -> None:
        """Take over what was found to fit for a trial's model and method, by an earlier run or by a failure."""
        with self._lock:
            self._learnt[_like(trial)] = lightest(passes, self._learnt.get(_like(trial), passes))

    def _longest_first(self, trials: Sequence[TrialSpec]) -> list[TrialSpec]:
        """By estimated hours; where nothing tells, full fine-tunings first, then by the number of tracks.

        The longest must not start last. Unknown ones go first: one of them may be the longest.
        """
        known = {trial.label: self._hours(trial) for trial in trials}

        def order(trial: TrialSpec) -> tuple[bool, float, bool, int, str]:
            hours = known[trial.label]
            return (
                hours is not None,
                -(hours or 0.0),
                not trial.traits.has_own_weights,
                -len(trial.tracks),
                trial.label,
            )

        return sorted(trials, key=order)


def _like(trial: TrialSpec) -> tuple[str, str]:
    """What trainings share that need the same memory."""
    return trial.model.name, trial.method_name


__all__ = ["Ended", "TrainingQueue"]
