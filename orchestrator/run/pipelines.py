"""Generation, execution and scoring of the trials that are due, each recorded as its results arrive.

One decision: a pipeline serves whatever is due when it starts, and what fails in it is its trial's alone.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from orchestrator.causes import kind_of
from orchestrator.errors import Cause, StageFailed
from orchestrator.ledger.artifacts import ScoredCell, completions_of, write_results
from orchestrator.ledger.attempts import record_failure, record_success
from orchestrator.ledger.completions import known_of, owner_of, software
from orchestrator.ledger.ledger import Attempt, StageRecord
from orchestrator.ledger.progress import leave_progress
from orchestrator.ledger.rejudging import facts_of_absent, facts_of_outdated, present_tools
from orchestrator.ledger.writing import words_folder
from orchestrator.run.state import StudyRun
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from tasks.records import Language, Track, UnjudgedReason, Verdict

if TYPE_CHECKING:
    from orchestrator.work.generation import GenerationJob
    from orchestrator.work.pieces import JudgingJob

_LOG = logging.getLogger(__name__)
_Stream = Iterable[tuple[str, Sequence[BaseModel] | StageFailed]]
_OnPieceDone = Callable[[str, int, int, int], None]
_Facts = Callable[[Any, Sequence[BaseModel]], dict[str, Any]]
_Joining = Callable[[], Sequence[TrialSpec]]
_More = Callable[[], Sequence[Any]]


def _nobody() -> Sequence[TrialSpec]:
    """No trial joins a pipeline that is under way."""
    return ()


def _generate(
    run: StudyRun, due: Sequence[TrialSpec], *, joining: _Joining = _nobody, in_process: bool = False
) -> None:
    from orchestrator.work.generation import run_generation

    resources = run.study.resources

    def stream(jobs: "Sequence[GenerationJob]", on_piece_done: _OnPieceDone, more: "_More") -> _Stream:
        return run_generation(
            jobs,
            resources=resources,
            words=words_folder(run.study.study),
            on_piece_done=on_piece_done,
            joining=more,
            in_process=in_process,
        )

    record_as_they_arrive(
        run,
        StageName.GENERATE,
        due,
        job=lambda trial: _generation_job(run, trial),
        stream=stream,
        facts=lambda job, completions: job.facts(),
        standing=lambda job: job.counts,
        took=lambda job, waited: job.work["seconds"] / resources.generators,
        joining=joining,
    )


def _generation_job(run: StudyRun, trial: TrialSpec) -> "GenerationJob":
    """What a trial's generation needs, with what is there of it already."""
    from orchestrator.work.generation import generation_job
    from orchestrator.work.messages import Weights

    trained = run.done.record(trial, StageName.TRAIN) if trial.traits.is_trained else None
    owner = owner_of(trial, trained, device="cuda" if run.study.resources.generator_gpus else "cpu")
    known = known_of(run.ledger.store, owner)
    job = generation_job(
        trial.key(StageName.GENERATE),
        run.test_data.problems(trial),
        weights=Weights(model=trial.model, kind=trial.kind, storage=run.ledger.address, record=trained),
        owner=owner,
        settings=trial.generation,
        known=known,
    )
    for name in known.damaged:
        run.listener.note(f"{trial.label} generate: {name} is not what was written; what it held is asked again")
    for made_with in job.made_with:
        if made_with != (now := software(owner.engine)):
            text = f"completions that were there were made with {made_with}, and this is {now}"
            run.listener.note(f"{trial.label} generate: {text}; they are kept as they are")
    run.ahead.begin(trial, job)
    return job


def _judging_job(run: StudyRun, trial: TrialSpec, stage: StageName) -> "JudgingJob":
    from orchestrator.work.pieces import JudgingJob

    completions = completions_of(run.ledger, run.done.record(trial, StageName.GENERATE))
    known, early_s = run.ahead.take(trial, completions) if stage == StageName.EXECUTE else ((), 0.0)
    return JudgingJob(
        key=trial.key(stage),
        trial=trial,
        problems=run.test_data.problems(trial),
        completions=completions,
        contamination=run.test_data.contamination(trial) if stage == StageName.SCORE else {},
        known=known,
        early_s=early_s,
    )


def _execute(run: StudyRun, due: Sequence[TrialSpec], *, joining: _Joining = _nobody, in_process: bool = False) -> None:
    from orchestrator.work.pieces import run_execution
    from orchestrator.work.sending import all_cores

    cores = 1 if in_process else all_cores()
    record_as_they_arrive(
        run,
        StageName.EXECUTE,
        due,
        job=lambda trial: _judging_job(run, trial, StageName.EXECUTE),
        stream=lambda jobs, on_piece_done, more: run_execution(
            jobs, cores=cores, on_piece_done=on_piece_done, joining=more, in_process=in_process
        ),
        facts=_wanting_toolchains,
        took=lambda job, waited: waited + job.early_s,
        joining=joining,
    )


def _score(run: StudyRun, due: Sequence[TrialSpec], *, joining: _Joining = _nobody, in_process: bool = False) -> None:
    from orchestrator.work.pieces import run_scoring

    record_as_they_arrive(
        run,
        StageName.SCORE,
        due,
        job=lambda trial: _judging_job(run, trial, StageName.SCORE),
        stream=lambda jobs, told, more: run_scoring(jobs, on_piece_done=told, joining=more, in_process=in_process),
        facts=lambda job, cells: _absent_analyzers(cells),
        joining=joining,
    )


def _wanting_toolchains(job: "JudgingJob", verdicts: Sequence[BaseModel]) -> dict[str, Any]:
    """Languages that cannot be run here, compilers too old for some programs, and how much was judged ahead."""
    tools = present_tools()
    refused = {
        verdict.task_id
        for verdict in verdicts
        if isinstance(verdict, Verdict) and verdict.reason == UnjudgedReason.TOOLCHAIN_TOO_OLD
    }
    outdated = {target for p in job.problems if p.id in refused and (target := Track.parse(p.track).target)}
    return {
        **({"judged_ahead": len(job.known)} if job.known else {}),
        **facts_of_absent(StageName.EXECUTE, [name for name in Language if name not in tools.names]),
        **facts_of_outdated(outdated, tools),
    }


def _absent_analyzers(cells: Sequence[BaseModel]) -> dict[str, Any]:
    names = {name for cell in cells if isinstance(cell, ScoredCell) for name in cell.missing_tools}
    return facts_of_absent(StageName.SCORE, names)


PIPELINES: dict[StageName, Callable[..., None]] = {
    StageName.GENERATE: _generate,
    StageName.EXECUTE: _execute,
    StageName.SCORE: _score,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A trial's stage that a pipeline works on: its attempt, digests of what it reads, and its job.

    `before` is the record that it has already, where it is made again; `since` is when it was begun, by the clock that
    never goes back.
    """

    trial: TrialSpec
    attempt: Attempt
    inputs: dict[str, str]
    before: StageRecord | None
    job: Any
    since: float = field(default_factory=time.monotonic)


def record_as_they_arrive(
    run: StudyRun,
    stage: StageName,
    due: Sequence[TrialSpec],
    *,
    job: Callable[[TrialSpec], Any],
    stream: Callable[[list[Any], _OnPieceDone, _More], _Stream],
    facts: _Facts = lambda job, results: {},
    standing: Callable[[Any], Mapping[str, int]] = lambda job: {},
    took: Callable[[Any, float], float] = lambda job, waited: waited,
    joining: _Joining = _nobody,
) -> None:
    """Record each trial's stage as its results arrive; trials that a broken pipeline left get its cause.

    Args:
        run: The study under way.
        stage: What is made.
        due: Trials to make it for.
        job: Makes what a trial's stage needs; what it raises is that trial's failure.
        stream: Runs jobs; yields each one's key and results, or how it failed. It may ask for more jobs meanwhile.
        facts: Makes what to record beside a trial's results, of its job and of them.
        standing: Makes what to say of a job, beside how far it is, while it is under way.
        took: Says how long a job took, in seconds, given the time since the result before.
        joining: Gives further trials that have become due.
    """
    run.listener.stage(stage, len(due))
    begun = _begin(run, stage, due, job)
    started = time.monotonic()

    def on_piece_done(key: str, done: int, pieces: int, records: int) -> None:
        one = begun[key]
        now = {"step": done, "total_steps": pieces, "records": records, "seconds": time.monotonic() - one.since}
        leave_progress(one.attempt.folder, {**now, "time": time.time(), **standing(one.job)})

    def opened(more: Mapping[str, _Begun]) -> list[Any]:
        for one in more.values():
            if found := standing(one.job):
                leave_progress(one.attempt.folder, {"step": 0, "seconds": 0.0, "time": time.time(), **found})
        return [one.job for one in more.values()]

    def more() -> list[Any]:
        trials = joining()
        if not trials:
            return []
        run.listener.stage(stage, len(trials))
        joined = _begin(run, stage, trials, job)
        begun.update(joined)
        return opened(joined)

    error: Exception
    try:
        for key, (seconds, result) in _timed(stream(opened(begun), on_piece_done, more)):
            one = begun.pop(key)
            _end(run, stage, one, result, seconds=took(one.job, seconds), facts=facts)
        error = RuntimeError(f"the pipeline ended after {time.monotonic() - started:.0f} s without this trial")
    except Exception as broken:
        error = broken
    for left in begun.values():
        _failed(run, left.trial, stage, left.attempt, error)


def _begin(
    run: StudyRun, stage: StageName, due: Sequence[TrialSpec], job: Callable[[TrialSpec], Any]
) -> dict[str, _Begun]:
    """Open each trial's attempt and make its job, by key; where that fails, the other trials go on."""
    begun: dict[str, _Begun] = {}
    for trial in due:
        key, attempt = trial.key(stage), None
        try:
            attempt = run.ledger.begin(key)
            inputs, before = run.done.inputs(trial, stage), run.done.before(trial, stage)
            begun[key] = _Begun(trial=trial, attempt=attempt, inputs=inputs, before=before, job=job(trial))
        except Exception as error:
            _failed(run, trial, stage, attempt, error)
    return begun


def _end(
    run: StudyRun,
    stage: StageName,
    begun: _Begun,
    result: Sequence[BaseModel] | StageFailed,
    *,
    seconds: float,
    facts: _Facts,
) -> None:
    """Record one trial's results, or why there are none."""
    attempt, trial = begun.attempt, begun.trial
    try:
        if isinstance(result, StageFailed):
            raise result
        write_results(stage, attempt.folder, result)
        record_success(
            run.ledger,
            attempt,
            trial,
            stage,
            inputs=begun.inputs,
            seconds=seconds,
            facts=facts(begun.job, result),
            instead_of=begun.before,
        )
    except Exception as error:
        _failed(run, trial, stage, attempt, error)
    else:
        run.finished(trial, stage)


def _failed(run: StudyRun, trial: TrialSpec, stage: StageName, attempt: Attempt | None, error: Exception) -> None:
    """Take note of a stage that failed; what fails because the run is being stopped is no failure."""
    if run.stopping:
        return
    if attempt is None:
        run.finished(trial, stage, StageFailed(str(error), kind=kind_of(error)))
        return
    failed = record_failure(run.ledger, attempt, stage, error)
    if failed.kind == Cause.LOST:
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


__all__ = ["PIPELINES", "record_as_they_arrive"]
