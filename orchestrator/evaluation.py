"""Generation, execution and scoring of the trials that are due, each recorded as its results arrive.

One decision: a pipeline serves whatever is due when it starts, and what fails in it is its trial's alone.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from orchestrator.attempts import record_failure, record_success
from orchestrator.causes import kind_of
from orchestrator.collect import completions_of
from orchestrator.errors import LedgerError, StageFailed
from orchestrator.instances import write_instances
from orchestrator.ledger import Attempt
from orchestrator.training import leave_progress
from orchestrator.trial import StageName, TrialSpec
from orchestrator.underway import StudyRun
from tasks.readers.source import DataError
from tasks.records import Language, Problem

if TYPE_CHECKING:
    from evaluators.contamination import Contamination

_LOG = logging.getLogger(__name__)
_Stream = Iterable[tuple[str, Sequence[BaseModel] | StageFailed]]


def _problems(run: StudyRun, trial: TrialSpec) -> tuple[Problem, ...]:
    """A trial's test problems, read once for trials with the same."""
    from orchestrator.stages import read_all_problems

    sources = tuple(s.model_dump_json() for s in trial.test)
    if sources not in run.problems:
        run.problems[sources] = read_all_problems(trial.test, root=run.root)
    return run.problems[sources]


def _generate(run: StudyRun, due: Sequence[TrialSpec], *, here: bool = False) -> None:
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
    pipeline(
        run,
        "generate",
        due,
        lambda told: run_generation(jobs, resources=run.study.resources, told=told, here=here),
        "completions.jsonl",
    )


def _judging_jobs(run: StudyRun, due: Sequence[TrialSpec], stage: StageName) -> list[Any]:
    from orchestrator.pipelines import JudgingJob

    return [
        JudgingJob(
            key=trial.key(stage),
            trial=trial,
            problems=_problems(run, trial),
            completions=completions_of(run.ledger, run.record(trial, "generate")),
            contamination=_contamination(run, trial) if stage == "score" else {},
        )
        for trial in due
    ]


def _contamination(run: StudyRun, trial: TrialSpec) -> "Mapping[str, Contamination]":
    """What a trial's problems share with its training data, looked for once for trials with the same of both."""
    from orchestrator.stages import contamination_of

    sources = tuple(s.model_dump_json() for s in (*trial.train, *trial.validation, *trial.test))
    if sources not in run.contamination:
        try:
            run.contamination[sources] = contamination_of(trial, _problems(run, trial), root=run.root)
        except DataError as error:
            # Scores do not need the training data; the report shows a dash in place of the share.
            _LOG.warning("test problems were not looked for in the training data: %s", error)
            run.contamination[sources] = {}
    return run.contamination[sources]


def _execute(run: StudyRun, due: Sequence[TrialSpec], *, here: bool = False) -> None:
    from evaluators.sandbox import missing_toolchain
    from orchestrator.pipelines import run_execution

    absent = [language.value for language in Language if missing_toolchain(language)]
    facts = {"absent_toolchains": absent} if absent else {}
    pipeline(
        run,
        "execute",
        due,
        lambda told: run_execution(_judging_jobs(run, due, "execute"), told=told, here=here),
        "verdicts.jsonl",
        facts=facts,
    )


def _score(run: StudyRun, due: Sequence[TrialSpec], *, here: bool = False) -> None:
    from orchestrator.pipelines import run_scoring

    pipeline(
        run,
        "score",
        due,
        lambda told: run_scoring(_judging_jobs(run, due, "score"), told=told, here=here),
        "cells.json",
    )


PIPELINES: dict[StageName, Callable[..., None]] = {"generate": _generate, "execute": _execute, "score": _score}


def pipeline(
    run: StudyRun,
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
                if stage == "score":
                    write_instances(attempt.folder / "instances.parquet", result)
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


def _failed(run: StudyRun, trial: TrialSpec, stage: StageName, attempt: Attempt | None, error: Exception) -> None:
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


__all__ = ["PIPELINES", "pipeline"]
