"""Run a study: bring every due stage into the ledger, and go on where some cannot.

One decision: each kind of stage has a thread that runs whatever of it has become due, and sleeps until the
stage before it has made more so. Trainings go on while the trials that are trained already write, and while
what those wrote is judged. All that a run knows is in the ledger, so running again is the same as going on.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from pydantic import BaseModel

from orchestrator.attempts import record_failure, record_success
from orchestrator.causes import kind_of, wait_before
from orchestrator.collect import completions_of
from orchestrator.errors import LedgerError, StageFailed
from orchestrator.lease import Lease
from orchestrator.ledger import JUDGED_AGAIN, Attempt, Ledger, StageRecord
from orchestrator.limits import Limits, Meter, leave_stopped
from orchestrator.named import read_named, write_named
from orchestrator.plan import PlannedTrial, judgeable_since, plan, refuse_what_does_not_fit, version_notes
from orchestrator.provenance import provenance
from orchestrator.schedule import local_ray, run_trainings
from orchestrator.search import resolved, run_searches, unfinished
from orchestrator.study import Resources, Study, stored_form
from orchestrator.training import leave_progress, train_trial
from orchestrator.trainings import TrainingQueue
from orchestrator.trial import StageName, TrialSpec, trials_of
from tasks.records import Language, Problem

_STAGES: tuple[StageName, ...] = ("train", "generate", "execute", "score")
_UPSTREAM: dict[StageName, StageName] = {"generate": "train", "execute": "generate", "score": "generate"}
# How often the lease and the limits are looked at, and how long the threads of a run that is stopped may take.
_TICK_S = 1.0
_PARTING_S = 6.0
_Item = TypeVar("_Item")
_Stream = Iterable[tuple[str, Sequence[BaseModel] | StageFailed]]


@dataclass(slots=True, kw_only=True)
class Listener:
    """What a run tells whoever watches it.

    `stage(name, due)` opens a stage for some trials; `done(label, cause)` closes a trial's; `note(text)` says
    what went otherwise than planned.
    """

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


class _Run:
    """A study under way: what is done, what is due, and what the threads tell each other."""

    def __init__(self, study: Study, ledger: Ledger, *, lease: Lease, listener: Listener, meter: Meter) -> None:
        self.study, self.ledger, self.lease, self.listener = study, ledger, lease, listener
        self.trials = trials_of(study)
        self.root = Path(study.data.root)
        self.outcome = Outcome()
        self.meter = meter
        self.changed = threading.Condition()
        self.stopping = False
        self.working: set[StageName] = set()
        self.piping: dict[StageName, Sequence[TrialSpec]] = {}
        self.queue: TrainingQueue | None = None
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
        return self._done[trial.label][stage]

    def facts(self, trial: TrialSpec, stage: StageName) -> dict[str, Any]:
        done = self._done[trial.label]
        return dict(done[stage].facts) if stage in done else {}

    def inputs(self, trial: TrialSpec, stage: StageName) -> dict[str, str]:
        done = self._done[trial.label]
        again = JUDGED_AGAIN if stage in done else {}
        return {done[name].key: done[name].output_digest for name in trial.inputs_of(stage)} | again

    def finished(self, trial: TrialSpec, stage: StageName, failed: StageFailed | None = None) -> None:
        """Take note of a stage's end, for every trial that shares it."""
        key = trial.key(stage)
        with self.changed:
            if failed is not None:
                self._broken.add(key)
                self.outcome.failed[(trial.label, stage)] = failed
            else:
                self.outcome.ran[stage] = self.outcome.ran.get(stage, 0) + 1
                for other in self.trials:
                    if stage in other.stages and other.key(stage) == key:
                        self._done[other.label] = self.ledger.records_of(other)
            self.changed.notify_all()
        self.listener.done(trial.label, str(failed) if failed else "")

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
        return self._not_before.get(trial.key(stage), 0.0) > time.monotonic()

    def active(self) -> list[tuple[TrialSpec, StageName]]:
        """What holds cores or GPUs now: each training, and each pipeline as often as it runs side by side."""
        trained = [(trial, "train") for trial in self.queue.running()] if self.queue else []
        pools = {"generate": self.study.resources.generators}
        piped = [(due[0], stage) for stage, due in list(self.piping.items()) for _ in range(pools.get(stage, 1))]
        return [*trained, *piped]  # type: ignore[list-item]

    def stop(self, why: str) -> None:
        """Start nothing more and leave what runs."""
        with self.changed:
            self.outcome.stopped = self.outcome.stopped or why
            self.stopping = True
            if self.queue is not None:
                self.queue.stop()
            self.changed.notify_all()


def ledger_of(study: Study) -> Ledger:
    """The ledger that a study's storage setting names."""
    return Ledger(study.storage)


def store_study(study: Study, ledger: Ledger) -> None:
    """Keep the resolved study under its name, for commands that are given the name alone, and what it names."""
    ledger.write_study_file(study.study, "study.json", json.dumps(stored_form(study), indent=1))
    write_named(ledger, study.study, trials_of(study))


def plan_study(study: Study, *, verify: bool = False) -> tuple[tuple[PlannedTrial, ...], tuple[str, ...]]:
    """What running a study would do, and what a person ought to know before it; see `plan.plan`."""
    ledger = ledger_of(study)
    study = resolved(study, ledger)
    return _plan(study, trials_of(study), ledger, verify=verify)


def _plan(
    study: Study, trials: Sequence[TrialSpec], ledger: Ledger, *, verify: bool
) -> tuple[tuple[PlannedTrial, ...], tuple[str, ...]]:
    before = read_named(ledger, study.study)
    planned = plan(trials, ledger, resources=study.resources, before=before, verify=verify)
    searches = tuple(
        f"the search for {name} has not finished: {count} trainings on the validation split come first"
        for name, count in unfinished(study).items()
    )
    return planned, (*version_notes(planned, ledger, provenance()), *searches)


def run_study(study: Study, *, listener: Listener | None = None, limits: Limits | None = None) -> Outcome:
    """Run whatever of a study is not in the ledger yet.

    Raises:
        DataError, ModelError: if local data or a local model is not there.
        DoesNotFit: if a training can fit no device.
        LedgerError: if the ledger cannot be written, or another process runs the study.
        In each case nothing was run.
    """
    ledger, told = ledger_of(study), listener or Listener()
    study = resolved(study, ledger)
    trials = trials_of(study)
    planned, notes = _plan(study, trials, ledger, verify=False)
    refuse_what_does_not_fit(planned)
    check_data(trials, root=Path(study.data.root))
    with ledger.lease(study.study) as lease, ExitStack() as stack:
        for note in notes:
            told.note(note)
        meter = Meter(study, ledger, limits or Limits())
        failed: dict[str, StageFailed] = {}
        if unfinished(study) and not meter.reached():
            store_study(study, ledger)
            stack.enter_context(local_ray(study.resources))
            with meter:
                study, failed = run_searches(study, ledger, meter=meter, note=told.note)
        run = _Run(study, ledger, lease=lease, listener=told, meter=meter)
        run.outcome.failed.update({(label, "train"): cause for label, cause in failed.items()})
        _go_on_from(run)
        store_study(study, ledger)
        run.look()
        if any(run.due(stage) for stage in _STAGES) or (unfinished(study) and meter.reached()):
            _run_due(run)
    return run.outcome


def _run_due(run: _Run) -> None:
    """Run what is due on a Ray cluster, within the limits, and leave word of an end before the study's.

    Raises:
        StudyHeld: if another process took the study over.
    """
    why = run.meter.reached()
    if why:
        run.stop(why)
    try:
        if not why:
            with run.meter, local_ray(run.study.resources):
                _run_threads(run)
        run.outcome.stopped = run.outcome.stopped or run.meter.left_out()
    finally:
        leave_stopped(run.study.study, run.ledger, run.outcome.stopped)


def _go_on_from(run: _Run) -> None:
    """Condemn what is damaged of the study's finished stages, so that it runs again, and say so."""
    seen: dict[str, str] = {}
    for trial in run.trials:
        found = run.ledger.find(trial, hash_up_to=float("inf"), condemn=True)
        for stage, fault in found.damaged.items():
            seen.setdefault(trial.key(stage), f"{trial.label} {stage} runs again, artifact damaged: {fault}")
    for text in seen.values():
        run.listener.note(text)


def run_one_here(study: Study, label: str) -> Outcome:
    """Run one trial's due stages in this process and thread, for a debugger."""
    resources = Resources.model_validate({**study.resources.model_dump(), "full_workers": 1})
    study = study.model_copy(update={"resources": resources})
    ledger = ledger_of(study)
    with ledger.lease(study.study) as lease:
        run = _Run(study, ledger, lease=lease, listener=Listener(), meter=Meter(study, ledger, Limits()))
        run.trials = tuple(trial for trial in run.trials if trial.label == label)
        store_study(study, ledger)
        run.look()
        for trial in run.due("train"):
            failed = train_trial(
                trial.model_dump_json(),
                storage=ledger.address,
                root=study.data.root,
                resources_json=resources.model_dump_json(),
            )
            run.finished(trial, "train", failed)
        for stage, pipeline in _PIPELINES.items():
            if due := run.due(stage):
                pipeline(run, due, here=True)
    return run.outcome


def check_data(trials: Sequence[TrialSpec], *, root: Path) -> None:
    """Read every local source once, so that a fault in data stops a study before anything is trained.

    Raises:
        DataError: if a source cannot be read or holds nothing for its track.
    """
    from orchestrator.stages import read_all_examples, read_all_problems

    seen: set[str] = set()
    for trial in trials:
        for role, sources in (("examples", (*trial.train, *trial.validation)), ("problems", trial.test)):
            for source in sources:
                mark = f"{role} {source.model_dump_json()}"
                if mark in seen or source.source.repository is not None:
                    continue
                seen.add(mark)
                (read_all_examples if role == "examples" else read_all_problems)((source,), root=root)


def _run_threads(run: _Run) -> None:
    """A thread for each kind of stage; this one looks after the lease and the limits.

    Raises:
        StudyHeld: if another process took the study over.
    """
    errors: list[BaseException] = []

    def guarded(stage: StageName) -> None:
        try:
            if stage == "train":
                _train(run)
            else:
                _whenever_due(run, stage)
        except BaseException as error:
            errors.append(error)
        finally:
            with run.changed:
                run.working.discard(stage)
                run.changed.notify_all()

    run.working = set(_STAGES)
    threads = [threading.Thread(target=guarded, args=(stage,), name=stage, daemon=True) for stage in _STAGES]
    for thread in threads:
        thread.start()
    try:
        while run.working and not errors and not run.stopping:
            with run.changed:
                run.changed.wait(_TICK_S)
            run.lease.check()
            why = run.meter.tick(run.active())
            if why:
                run.stop(why)
    except BaseException:
        run.stop("interrupted")
        raise
    finally:
        until = time.monotonic() + _PARTING_S
        for thread in threads:
            # Whatever has not come to an end by then ends with Ray.
            thread.join(max(0.0, until - time.monotonic()) if run.stopping or errors else None)
    if errors and not run.stopping:
        raise errors[0]


def _train(run: _Run) -> None:
    due = run.due("train")
    if not due:
        return
    run.listener.stage("train", len(due))

    def ended(trial: TrialSpec, failed: StageFailed | None, again: str) -> None:
        if run.stopping and failed is not None:
            return
        if failed is not None and again:
            run.begins_again(trial, "train", failed, again)
        else:
            run.finished(trial, "train", failed)

    queue = TrainingQueue(
        due,
        resources=run.study.resources,
        ended=ended,
        may_start=lambda trial: run.meter.may_start(trial, "train"),
        hours=lambda trial: run.meter.hours(trial, "train"),
    )
    _recall(run, queue)
    run.queue = queue
    # Tune's own state is of no use afterwards, and must not fail where the ledger's disk is full.
    with TemporaryDirectory(prefix="polytune-tune-", ignore_cleanup_errors=True) as scratch:
        run_trainings(queue, ledger=run.ledger, root=run.root, scratch=Path(scratch))


def _recall(run: _Run, queue: TrainingQueue) -> None:
    """Begin with the micro-batches that earlier runs found to fit."""
    for trial in run.trials:
        facts = run.facts(trial, "train")
        runtime = facts.get("runtime")
        if isinstance(runtime, dict) and any(str(why).startswith("memory") for why in facts.get("retried", [])):
            queue.learn(trial, int(str(runtime["micro_batch"])))


def _whenever_due(run: _Run, stage: StageName) -> None:
    """Run a stage for all trials that have become due, again and again until no more can."""
    while not run.stopping:
        with run.changed:
            # What comes in after this look wakes the wait below, or is seen in the next round.
            more = _UPSTREAM[stage] in run.working
            due = run.due(stage)
            ready = [trial for trial in due if not run.waits(trial, stage)]
            if not ready and (more or due):
                run.changed.wait(_TICK_S)
                continue
        allowed = [trial for trial in ready if run.meter.may_start(trial, stage)]
        if not allowed:
            return
        run.piping[stage] = allowed
        try:
            _PIPELINES[stage](run, allowed)
        finally:
            del run.piping[stage]


def _problems(run: _Run, trial: TrialSpec) -> tuple[Problem, ...]:
    from orchestrator.stages import read_all_problems

    return read_all_problems(trial.test, root=run.root)


def _generate(run: _Run, due: Sequence[TrialSpec], *, here: bool = False) -> None:
    from orchestrator.pipelines import GenerationJob, run_generation
    from orchestrator.stages import Weights

    jobs = [
        GenerationJob(
            key=trial.key("generate"),
            weights=Weights(
                model=trial.model,
                kind=trial.kind,
                storage=run.ledger.address,
                record=None if trial.kind == "frozen" else run.record(trial, "train"),
            ),
            settings=trial.generation,
            problems=_problems(run, trial),
        )
        for trial in due
    ]
    _pipeline(
        run,
        "generate",
        due,
        lambda told: run_generation(jobs, resources=run.study.resources, told=told, here=here),
        "completions.jsonl",
    )


def _judging_jobs(run: _Run, due: Sequence[TrialSpec], stage: StageName) -> list[Any]:
    from orchestrator.pipelines import JudgingJob

    return [
        JudgingJob(
            key=trial.key(stage),
            trial=trial,
            problems=_problems(run, trial),
            completions=completions_of(run.ledger, run.record(trial, "generate")),
        )
        for trial in due
    ]


def _execute(run: _Run, due: Sequence[TrialSpec], *, here: bool = False) -> None:
    from evaluators.sandbox import isolation, missing_toolchain
    from orchestrator.pipelines import run_execution

    absent = [language.value for language in Language if missing_toolchain(language)]
    facts = {"isolation": isolation(), **({"absent_toolchains": absent} if absent else {})}
    _pipeline(
        run,
        "execute",
        due,
        lambda told: run_execution(_judging_jobs(run, due, "execute"), told=told, here=here),
        "verdicts.jsonl",
        facts=facts,
    )


def _score(run: _Run, due: Sequence[TrialSpec], *, here: bool = False) -> None:
    from orchestrator.pipelines import run_scoring

    _pipeline(
        run,
        "score",
        due,
        lambda told: run_scoring(_judging_jobs(run, due, "score"), told=told, here=here),
        "cells.json",
    )


_PIPELINES: dict[StageName, Callable[..., None]] = {"generate": _generate, "execute": _execute, "score": _score}


def _pipeline(
    run: _Run,
    stage: StageName,
    due: Sequence[TrialSpec],
    stream: Callable[[Callable[[str, int, int], None]], _Stream],
    file: str,
    *,
    facts: dict[str, Any] | None = None,
) -> None:
    """Record each trial's stage as its results arrive; trials that a broken pipeline left get its cause."""
    run.listener.stage(stage, len(due))
    trials = {trial.key(stage): trial for trial in due}
    inputs = {key: run.inputs(trial, stage) for key, trial in trials.items()}
    attempts: dict[str, Attempt] = {}
    started = time.monotonic()

    def told(key: str, done: int, pieces: int) -> None:
        now = {"step": done, "total_steps": pieces, "seconds": time.monotonic() - started, "time": time.time()}
        leave_progress(attempts[key].folder, now)

    error: Exception
    try:
        attempts.update({key: run.ledger.begin(key) for key in trials})
        for key, (seconds, result) in _timed(stream(told)):
            attempt, trial = attempts.pop(key), trials.pop(key)
            try:
                if isinstance(result, StageFailed):
                    raise result
                _write(attempt.folder / file, result)
                record_success(
                    run.ledger, attempt, trial, stage, inputs=inputs[key], seconds=seconds, facts=facts or {}
                )
            except (OSError, LedgerError, StageFailed) as failed:
                _failed(run, trial, stage, attempt, failed)
            else:
                run.finished(trial, stage)
        error = RuntimeError(f"the pipeline ended after {time.monotonic() - started:.0f} s without this trial")
    except Exception as broken:
        error = broken
    for key, trial in trials.items():
        _failed(run, trial, stage, attempts.get(key), error)


def _failed(run: _Run, trial: TrialSpec, stage: StageName, attempt: Attempt | None, error: Exception) -> None:
    """Take note of a stage that failed; what fails because the run is being stopped is no failure."""
    if run.stopping:
        return
    if attempt is None:
        run.finished(trial, stage, StageFailed(str(error), kind=kind_of(error)))
        return
    failed = record_failure(run.ledger, attempt, stage, error)
    if failed.kind == "lost":
        run.lost(trial, stage, failed)
    else:
        run.finished(trial, stage, failed)


def _timed(stream: _Stream) -> Iterator[tuple[str, tuple[float, Sequence[BaseModel] | StageFailed]]]:
    """Add to each result the seconds since the one before: a pipeline's trials share its processes."""
    since = time.monotonic()
    for key, records in stream:
        now = time.monotonic()
        yield key, (now - since, records)
        since = time.monotonic()


def _write(path: Path, records: Sequence[BaseModel]) -> None:
    rows = [record.model_dump(mode="json") for record in records]
    text = json.dumps(rows) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
