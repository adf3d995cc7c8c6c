"""Execution and scoring of trials in pieces.

One decision: a piece of execution is of one language, so that a warm compiler serves the whole of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evaluators.contamination import Contamination
from orchestrator.errors import StageFailed
from orchestrator.ledger.artifacts import ScoredCell
from orchestrator.study.trial import TrialSpec
from orchestrator.work.judge import execute
from orchestrator.work.messages import Answer, ExecutionPiece, ScoringPiece
from orchestrator.work.score import cells_of, score_cell
from orchestrator.work.sending import OnPieceDone, Pool, answered, ignore, results
from tasks.records import Completion, Problem, Verdict

_PROGRAMS_PER_TASK = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingJob:
    """What one trial's execution or scoring needs; `key` is its stage's.

    `contamination` is what scoring is told of the problems, by id.
    """

    key: str
    trial: TrialSpec
    problems: tuple[Problem, ...]
    completions: tuple[Completion, ...]
    contamination: Mapping[str, Contamination] = field(default_factory=dict)


def execute_piece(piece: ExecutionPiece) -> list[Answer]:
    """Verdicts on some of a trial's programs."""
    return [answered(piece.key, execute(piece.problems, piece.completions, limits=piece.limits))]


def score_piece(piece: ScoringPiece) -> list[Answer]:
    """One (track, data set) of a trial scored."""
    by_id = {problem.id: problem for problem in piece.problems}
    cell = score_cell(
        [by_id[c.problem_id] for c in piece.completions],
        piece.completions,
        quality=piece.quality,
        metrics=piece.metrics,
        contamination=piece.contamination,
    )
    return [answered(piece.key, [cell])]


def run_execution(
    jobs: Sequence[JudgingJob], *, on_piece_done: OnPieceDone = ignore, in_process: bool = False
) -> Iterator[tuple[str, tuple[Verdict, ...] | StageFailed]]:
    """Execute for all jobs; yields each job's key and verdicts when done.

    A job of a data set without tests (CodeXGLUE's pairs) has nothing to run and is done at once.
    """
    pieces = [
        ExecutionPiece(key=job.key, limits=job.trial.limits, problems=problems, completions=completions)
        for job in jobs
        for problems, completions in _chunks(job)
    ]
    testable = {piece.key for piece in pieces}
    yield from ((job.key, ()) for job in jobs if job.key not in testable)
    pool = Pool(in_process=in_process)
    for key, found in results(execute_piece, pieces, of=Verdict, pool=pool, on_piece_done=on_piece_done):
        if isinstance(found, StageFailed):
            yield key, found
        else:
            yield key, tuple(sorted(found.records, key=lambda v: (v.task_id, v.sample)))


def run_scoring(
    jobs: Sequence[JudgingJob], *, on_piece_done: OnPieceDone = ignore, in_process: bool = False
) -> Iterator[tuple[str, tuple[ScoredCell, ...] | StageFailed]]:
    """Score all jobs; yields each job's key and cells when done."""
    pieces = [
        ScoringPiece(
            key=job.key,
            quality=job.trial.quality,
            metrics=job.trial.metrics,
            problems=tuple({p.id: p for p in problems}.values()),
            completions=completions,
            contamination={p.id: job.contamination[p.id] for p in problems if p.id in job.contamination},
        )
        for job in jobs
        for problems, completions in cells_of(job.problems, job.completions)
    ]
    pool = Pool(in_process=in_process)
    for key, found in results(score_piece, pieces, of=ScoredCell, pool=pool, on_piece_done=on_piece_done):
        if isinstance(found, StageFailed):
            yield key, found
        else:
            yield key, tuple(sorted(found.records, key=lambda cell: (cell.track, cell.dataset)))


def _chunks(job: JudgingJob) -> Iterator[tuple[tuple[Problem, ...], tuple[Completion, ...]]]:
    """Testable completions of one language at a time, so that a warm compiler serves a whole chunk."""
    by_id = {problem.id: problem for problem in job.problems}
    by_language: dict[object, list[Completion]] = {}
    for completion in job.completions:
        problem = by_id[completion.problem_id]
        if problem.tests is not None:
            by_language.setdefault(problem.parsed_track.target, []).append(completion)
    for group in by_language.values():
        for start in range(0, len(group), _PROGRAMS_PER_TASK):
            chunk = tuple(group[start : start + _PROGRAMS_PER_TASK])
            yield tuple({c.problem_id: by_id[c.problem_id] for c in chunk}.values()), chunk
