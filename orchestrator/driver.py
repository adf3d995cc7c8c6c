"""Run a study: bring every due stage into the ledger, and go on where some cannot.

One decision: the driver asks the ledger what is missing, runs that, and asks again at the next stage.
It holds no state of its own, so running again after any end is the same as going on.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from pydantic import BaseModel

from orchestrator.collect import completions_of
from orchestrator.errors import LedgerError
from orchestrator.lease import Lease
from orchestrator.ledger import JUDGED_AGAIN, Attempt, Ledger
from orchestrator.named import read_named, write_named
from orchestrator.plan import PlannedTrial, judgeable_since, plan, refuse_what_does_not_fit, version_notes
from orchestrator.provenance import provenance
from orchestrator.schedule import local_ray, record_failure, record_success, run_trainings, train_trial
from orchestrator.study import Resources, Study
from orchestrator.trial import StageName, TrialSpec, trials_of
from tasks.records import Language, Problem

_Item = TypeVar("_Item")


@dataclass(slots=True, kw_only=True)
class Listener:
    """What a run tells whoever watches it.

    `stage(name, due)` opens a stage; `done(label, cause)` closes a trial's; `note(text)` is to be read by a person.
    """

    stage: Callable[[StageName, int], None] = lambda stage, due: None
    done: Callable[[str, str], None] = lambda label, cause: None
    note: Callable[[str], None] = lambda text: None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run did: how many stages it ran, and the causes of those that failed, by trial and stage."""

    ran: dict[StageName, int] = field(default_factory=dict)
    failed: dict[tuple[str, StageName], str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Run:
    study: Study
    trials: tuple[TrialSpec, ...]
    ledger: Ledger
    lease: Lease
    listener: Listener
    outcome: Outcome

    def due(self, stage: StageName) -> list[TrialSpec]:
        """Trials whose `stage` can run now: its inputs are there and its record is not; once by key."""
        found: dict[str, TrialSpec] = {}
        for trial in self.trials:
            done = self.ledger.records_of(trial)
            ready = stage in trial.stages and all(name in done for name in trial.inputs_of(stage))
            if ready and (stage not in done or judgeable_since(done[stage], trial)):
                found.setdefault(trial.key(stage), trial)
        return list(found.values())

    def inputs(self, trial: TrialSpec, stage: StageName) -> dict[str, str]:
        done = self.ledger.records_of(trial)
        again = JUDGED_AGAIN if stage in done else {}
        return {done[name].key: done[name].output_digest for name in trial.inputs_of(stage)} | again

    def finished(self, trial: TrialSpec, stage: StageName, cause: str = "") -> None:
        if cause:
            self.outcome.failed[(trial.label, stage)] = cause
        else:
            self.outcome.ran[stage] = self.outcome.ran.get(stage, 0) + 1
        self.listener.done(trial.label, cause)


def ledger_of(study: Study) -> Ledger:
    """The ledger that a study's storage setting names."""
    return Ledger(study.storage)


def store_study(study: Study, ledger: Ledger) -> None:
    """Keep the resolved study under its name, for commands that are given the name alone, and what it names."""
    ledger.write_study_file(study.study, "study.json", study.model_dump_json(indent=1))
    write_named(ledger, study.study, trials_of(study))


def plan_study(study: Study, *, verify: bool = False) -> tuple[tuple[PlannedTrial, ...], tuple[str, ...]]:
    """What running a study would do, and what a person ought to know before it; see `plan.plan`."""
    return _plan(study, trials_of(study), ledger_of(study), verify=verify)


def _plan(
    study: Study, trials: Sequence[TrialSpec], ledger: Ledger, *, verify: bool
) -> tuple[tuple[PlannedTrial, ...], tuple[str, ...]]:
    before = read_named(ledger, study.study)
    planned = plan(trials, ledger, resources=study.resources, before=before, verify=verify)
    return planned, version_notes(planned, ledger, provenance())


def run_study(study: Study, *, listener: Listener | None = None) -> Outcome:
    """Run whatever of a study is not in the ledger yet.

    Raises:
        DataError, ModelError: if local data or a local model is not there.
        DoesNotFit: if a training can fit no device.
        LedgerError: if the ledger cannot be written, or another process runs the study.
        In each case nothing was run.
    """
    ledger, trials, told = ledger_of(study), trials_of(study), listener or Listener()
    planned, notes = _plan(study, trials, ledger, verify=False)
    refuse_what_does_not_fit(planned)
    check_data(trials, root=Path(study.data.root))
    with ledger.lease(study.study) as lease:
        run = _Run(study=study, trials=trials, ledger=ledger, lease=lease, listener=told, outcome=Outcome())
        for note in notes:
            told.note(note)
        _go_on_from(run)
        store_study(study, ledger)
        if any(run.due(stage) for stage in _BODIES):
            with local_ray(study.resources):
                for body in _BODIES.values():
                    lease.check()
                    body(run)
    return run.outcome


def _go_on_from(run: _Run) -> None:
    """Condemn what is damaged of the study's finished stages, so that it runs again, and say so."""
    seen: dict[str, str] = {}
    for trial in run.trials:
        found = run.ledger.find(trial, hash_up_to=float("inf"), condemn=True)
        for stage, fault in found.damaged.items():
            seen.setdefault(trial.key(stage), f"{trial.label} {stage} runs again, artifact damaged: {fault}")
    for text in seen.values():
        run.listener.note(text)


def run_one_here(study: Study, label: str) -> str:
    """Train one trial in this process, for a debugger; returns the cause of a failure, or nothing."""
    trial = next(t for t in trials_of(study) if t.label == label)
    resources = Resources.model_validate({**study.resources.model_dump(), "full_workers": 1})
    ledger = ledger_of(study)
    with ledger.lease(study.study):
        store_study(study, ledger)
        return train_trial(
            trial.model_dump_json(),
            storage=ledger.address,
            root=study.data.root,
            resources_json=resources.model_dump_json(),
        )


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


def _train(run: _Run) -> None:
    due = run.due("train")
    if not due:
        return
    run.listener.stage("train", len(due))
    # Tune's own state is of no use afterwards, and must not fail where the ledger's disk is full.
    with TemporaryDirectory(prefix="polytune-tune-") as scratch:
        causes = run_trainings(
            due,
            ledger=run.ledger,
            root=Path(run.study.data.root),
            resources=run.study.resources,
            scratch=Path(scratch),
        )
    for trial in due:
        # The ledger decides, whatever Tune says: a trial may have been recorded before its actor died.
        recorded = "train" in run.ledger.records_of(trial)
        run.finished(trial, "train", "" if recorded else causes[trial.label])


def _problems(run: _Run, trial: TrialSpec) -> tuple[Problem, ...]:
    from orchestrator.stages import read_all_problems

    return read_all_problems(trial.test, root=Path(run.study.data.root))


def _generate(run: _Run) -> None:
    from orchestrator.pipelines import GenerationJob, run_generation
    from orchestrator.stages import Weights

    def weights(trial: TrialSpec) -> Weights:
        record = run.ledger.records_of(trial).get("train")
        return Weights(model=trial.model, kind=trial.kind, storage=run.ledger.address, record=record)

    due = run.due("generate")
    jobs = [
        GenerationJob(key=t.key("generate"), weights=weights(t), settings=t.generation, problems=_problems(run, t))
        for t in due
    ]
    _pipeline(run, "generate", due, lambda: run_generation(jobs, resources=run.study.resources), "completions.jsonl")


def _judging_jobs(run: _Run, due: Sequence[TrialSpec], stage: StageName) -> list[Any]:
    from orchestrator.pipelines import JudgingJob

    return [
        JudgingJob(
            key=t.key(stage),
            trial=t,
            problems=_problems(run, t),
            completions=completions_of(run.ledger, run.ledger.records_of(t)["generate"]),
        )
        for t in due
    ]


def _execute(run: _Run) -> None:
    from evaluators.sandbox import isolation, missing_toolchain
    from orchestrator.pipelines import run_execution

    due = run.due("execute")
    facts: dict[str, Any] = {}
    if due:
        absent = [language.value for language in Language if missing_toolchain(language)]
        facts = {"isolation": isolation(), **({"absent_toolchains": absent} if absent else {})}
    _pipeline(
        run, "execute", due, lambda: run_execution(_judging_jobs(run, due, "execute")), "verdicts.jsonl", facts=facts
    )


def _score(run: _Run) -> None:
    from orchestrator.pipelines import run_scoring

    due = run.due("score")
    _pipeline(run, "score", due, lambda: run_scoring(_judging_jobs(run, due, "score")), "cells.json")


def _pipeline(
    run: _Run,
    stage: StageName,
    due: Sequence[TrialSpec],
    stream: Callable[[], Iterable[tuple[str, Sequence[BaseModel]]]],
    file: str,
    *,
    facts: dict[str, Any] | None = None,
) -> None:
    """Record each trial's stage as its results arrive; trials that a broken pipeline left get its cause."""
    if not due:
        return
    run.listener.stage(stage, len(due))
    trials = {trial.key(stage): trial for trial in due}
    inputs = {key: run.inputs(trial, stage) for key, trial in trials.items()}
    attempts: dict[str, Attempt] = {}
    started = time.monotonic()
    error: Exception
    try:
        attempts.update({key: run.ledger.begin(key) for key in trials})
        for key, (seconds, records) in _timed(stream()):
            attempt, trial = attempts.pop(key), trials.pop(key)
            try:
                _write(attempt.folder / file, records)
                record_success(
                    run.ledger, attempt, trial, stage, inputs=inputs[key], seconds=seconds, facts=facts or {}
                )
            except (OSError, LedgerError) as unwritable:
                run.finished(trial, stage, str(record_failure(run.ledger, attempt, stage, unwritable)))
            else:
                run.finished(trial, stage)
        error = RuntimeError(f"the pipeline ended after {time.monotonic() - started:.0f} s without this trial")
    except Exception as broken:
        error = broken
    for key, trial in trials.items():
        told = record_failure(run.ledger, attempts[key], stage, error) if key in attempts else error
        run.finished(trial, stage, str(told))


def _timed(
    stream: Iterable[tuple[str, Sequence[BaseModel]]],
) -> Iterator[tuple[str, tuple[float, Sequence[BaseModel]]]]:
    """Add to each result the seconds since the one before: a pipeline's trials share its processes."""
    since = time.monotonic()
    for key, records in stream:
        now = time.monotonic()
        yield key, (now - since, records)
        since = time.monotonic()


_BODIES: dict[StageName, Callable[[_Run], None]] = {
    "train": _train,
    "generate": _generate,
    "execute": _execute,
    "score": _score,
}


def _write(path: Path, records: Sequence[BaseModel]) -> None:
    rows = [record.model_dump(mode="json") for record in records]
    text = json.dumps(rows) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
