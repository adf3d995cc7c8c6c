"""Run a study: bring every due stage into the ledger, and go on where some cannot.

One decision: the driver asks the ledger what is missing, runs that, and asks again at the next stage.
It holds no state of its own, so running again after any end is the same as going on.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from orchestrator.collect import completions_of
from orchestrator.ledger import JUDGED_AGAIN, Ledger
from orchestrator.plan import judgeable_since
from orchestrator.schedule import local_ray, record_failure, record_success, run_trainings, train_trial
from orchestrator.study import Resources, Study
from orchestrator.trial import StageName, TrialSpec, trials_of
from tasks.readers.source import DataError
from tasks.records import Language, Problem

if TYPE_CHECKING:
    from evaluators.contamination import Contamination

_LOG = logging.getLogger(__name__)
_Item = TypeVar("_Item")


@dataclass(slots=True, kw_only=True)
class Listener:
    """What a run tells whoever watches it. `stage(name, due)` opens a stage; `done(label, cause)` closes a trial's."""

    stage: Callable[[StageName, int], None] = lambda stage, due: None
    done: Callable[[str, str], None] = lambda label, cause: None


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
    return Ledger(Path(study.storage))


def store_study(study: Study, ledger: Ledger) -> None:
    """Keep the resolved study under its name, for commands that are given the name alone."""
    path = ledger.study_folder(study.study) / "study.json"
    private = path.with_name(f".{path.name}.{os.getpid()}")
    private.write_text(study.model_dump_json(indent=1), encoding="utf-8")
    private.replace(path)


def run_study(study: Study, *, listener: Listener | None = None) -> Outcome:
    """Run whatever of a study is not in the ledger yet.

    Raises:
        DataError, ModelError: if local data or a local model is not there; nothing was run then.
    """
    ledger = ledger_of(study)
    run = _Run(
        study=study,
        trials=trials_of(study),
        ledger=ledger,
        listener=listener or Listener(),
        outcome=Outcome(),
    )
    check_data(run.trials, root=Path(study.data.root))
    store_study(study, ledger)
    if not any(run.due(stage) for stage in ("train", "generate", "execute", "score")):
        return run.outcome
    with local_ray(study.resources):
        _train(run)
        _generate(run)
        _execute(run)
        _score(run)
    return run.outcome


def run_one_here(study: Study, label: str) -> str:
    """Train one trial in this process, for a debugger; returns the cause of a failure, or nothing."""
    trial = next(t for t in trials_of(study) if t.label == label)
    resources = Resources.model_validate({**study.resources.model_dump(), "full_workers": 1})
    return train_trial(
        trial.model_dump_json(),
        storage=study.storage,
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
    scratch = (run.ledger.storage / ".ray-tune").resolve()
    causes = run_trainings(
        due, ledger=run.ledger, root=Path(run.study.data.root), resources=run.study.resources, scratch=scratch
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
        folder = str((run.ledger.folder(record) / str(record.facts["weights"])).resolve()) if record else None
        return Weights(model=trial.model, kind=trial.kind, folder=folder)

    due = run.due("generate")
    jobs = [
        GenerationJob(key=t.key("generate"), weights=weights(t), settings=t.generation, problems=_problems(run, t))
        for t in due
    ]
    _pipeline(run, "generate", due, lambda: run_generation(jobs, resources=run.study.resources), "completions.jsonl")


def _judging_jobs(run: _Run, due: Sequence[TrialSpec], stage: StageName) -> list[Any]:
    from orchestrator.pipelines import JudgingJob

    contamination = _contaminations(run)
    return [
        JudgingJob(
            key=t.key(stage),
            trial=t,
            problems=_problems(run, t),
            completions=completions_of(run.ledger, run.ledger.records_of(t)["generate"]),
            contamination=contamination(t) if stage == "score" else {},
        )
        for t in due
    ]


def _contaminations(run: _Run) -> "Callable[[TrialSpec], dict[str, Contamination]]":
    """Looks for a trial's problems in its training data, once for all trials that have the same of both."""
    from orchestrator.stages import contamination_of

    known: dict[tuple[object, ...], dict[str, Contamination]] = {}

    def find(trial: TrialSpec) -> "dict[str, Contamination]":
        sources = tuple(s.model_dump_json() for s in (*trial.train, *trial.validation, *trial.test))
        if sources not in known:
            try:
                known[sources] = contamination_of(trial, _problems(run, trial), root=Path(run.study.data.root))
            except DataError as error:
                # Scores do not need the training data; the report shows a dash in place of the share.
                _LOG.warning("test problems were not looked for in the training data: %s", error)
                known[sources] = {}
        return known[sources]

    return find


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
    attempts = {key: run.ledger.begin(key) for key in trials}
    inputs = {key: run.inputs(trial, stage) for key, trial in trials.items()}
    started = time.monotonic()
    try:
        for key, results in _timed(stream()):
            attempt, (seconds, records) = attempts.pop(key), results
            _write(attempt.folder / file, records)
            record_success(run.ledger, attempt, stage, inputs=inputs[key], seconds=seconds, facts=facts or {})
            run.finished(trials[key], stage)
    except Exception as error:
        for key, attempt in attempts.items():
            path = record_failure(run.ledger, attempt, stage, error)
            run.finished(trials[key], stage, f"{type(error).__name__}: {error} (log: {path})")
        return
    for key, attempt in attempts.items():
        missing = RuntimeError(f"the pipeline ended after {time.monotonic() - started:.0f} s without this trial")
        record_failure(run.ledger, attempt, stage, missing)
        run.finished(trials[key], stage, str(missing))


def _timed(
    stream: Iterable[tuple[str, Sequence[BaseModel]]],
) -> Iterator[tuple[str, tuple[float, Sequence[BaseModel]]]]:
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
