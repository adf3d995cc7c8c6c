"""Execution and scoring of trials in pieces.

One decision: a piece of execution is of one language, so that a warm compiler serves the whole of it.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evaluators.contamination import Contamination
from orchestrator.errors import StageFailed
from orchestrator.ledger.artifacts import ScoredCell
from orchestrator.study.trial import TrialSpec
from orchestrator.work.judge import execute
from orchestrator.work.messages import Answer, EarlyPiece, ExecutionPiece, ScoringPiece
from orchestrator.work.score import analyse_ahead, cells_of, score_cell
from orchestrator.work.sending import OnPieceDone, Pool, answered, ignore, none_join, results
from tasks.records import Completion, Problem, Verdict

# Programs of a piece of execution: fewer where there are cores for more pieces, but a compiler takes a while to start.
_MOST_PROGRAMS, _LEAST_PROGRAMS = 50, 10

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingJob:
    """What one trial's execution or scoring needs; `key` is its stage's.

    `contamination` is what scoring is told of the problems, by id; `known` are verdicts that are there already, and
    `early_s` is what they took.
    """

    key: str
    trial: TrialSpec
    problems: tuple[Problem, ...]
    completions: tuple[Completion, ...]
    contamination: Mapping[str, Contamination] = field(default_factory=dict)
    known: tuple[Verdict, ...] = ()
    early_s: float = 0.0


def execute_piece(piece: ExecutionPiece) -> list[Answer]:
    """Verdicts on some of a trial's programs."""
    return [answered(piece.key, execute(piece.problems, piece.completions, limits=piece.limits))]


def early_piece(piece: EarlyPiece) -> list[Answer]:
    """Verdicts on some of what a trial has written so far; what the analyzers say is left in their cache."""
    begin = time.monotonic()
    found = execute(piece.problems, piece.completions, limits=piece.limits)
    if piece.quality:
        by_id = {problem.id: problem for problem in piece.problems}
        try:
            analyse_ahead([by_id[c.problem_id] for c in piece.completions], piece.completions)
        except Exception:
            # Whatever it is, it comes again where it is to be told of.
            _LOG.warning("outputs could not be analysed ahead", exc_info=True)
    return [answered(piece.key, found, counts={"seconds": time.monotonic() - begin})]


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
    jobs: Sequence[JudgingJob],
    *,
    cores: int = 1,
    on_piece_done: OnPieceDone = ignore,
    joining: Callable[[], Sequence[JudgingJob]] = none_join,
    in_process: bool = False,
) -> Iterator[tuple[str, tuple[Verdict, ...] | StageFailed]]:
    """Execute for all jobs, on so many cores; yields each job's key and verdicts when done.

    A job of a data set without tests (CodeXGLUE's pairs) has nothing to run and is done at once, and so is one whose
    verdicts are all there. `joining` gives further jobs while others are under way.
    """
    open_: dict[str, JudgingJob] = {}
    whole: deque[JudgingJob] = deque()

    def pieces(of: Sequence[JudgingJob]) -> list[ExecutionPiece]:
        open_.update({job.key: job for job in of})
        found = [piece for job in of for piece in _execution_pieces(job, cores)]
        testable = {piece.key for piece in found}
        whole.extend(job for job in of if job.key not in testable)
        return found

    def complete() -> Iterator[tuple[str, tuple[Verdict, ...]]]:
        while whole:
            job = whole.popleft()
            yield job.key, _in_order(job.known)

    first = pieces(jobs)
    yield from complete()
    for key, found in results(
        execute_piece,
        first,
        of=Verdict,
        pool=Pool(in_process=in_process),
        on_piece_done=on_piece_done,
        joining=lambda: pieces(joining()),
    ):
        yield key, found if isinstance(found, StageFailed) else _in_order([*open_[key].known, *found.records])
        yield from complete()
    yield from complete()


def _in_order(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    return tuple(sorted(verdicts, key=lambda v: (v.task_id, v.sample)))


def _execution_pieces(job: JudgingJob, cores: int) -> Iterator[ExecutionPiece]:
    known = {(verdict.task_id, verdict.sample) for verdict in job.known}
    testable = {problem.id for problem in job.problems if problem.tests is not None}
    left = [c for c in job.completions if c.problem_id in testable and (c.problem_id, c.sample) not in known]
    most = min(_MOST_PROGRAMS, max(_LEAST_PROGRAMS, -(-len(left) // cores)))
    for problems, completions in in_one_language(job.problems, left, most=most):
        yield ExecutionPiece(key=job.key, limits=job.trial.limits, problems=problems, completions=completions)


def run_scoring(
    jobs: Sequence[JudgingJob],
    *,
    on_piece_done: OnPieceDone = ignore,
    joining: Callable[[], Sequence[JudgingJob]] = none_join,
    in_process: bool = False,
) -> Iterator[tuple[str, tuple[ScoredCell, ...] | StageFailed]]:
    """Score all jobs; yields each job's key and cells when done. `joining` gives further jobs meanwhile."""
    for key, found in results(
        score_piece,
        _scoring_pieces(jobs),
        of=ScoredCell,
        pool=Pool(in_process=in_process),
        on_piece_done=on_piece_done,
        joining=lambda: _scoring_pieces(joining()),
    ):
        if isinstance(found, StageFailed):
            yield key, found
        else:
            yield key, tuple(sorted(found.records, key=lambda cell: (cell.track, cell.dataset)))


def _scoring_pieces(jobs: Sequence[JudgingJob]) -> list[ScoringPiece]:
    return [
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


def in_one_language(
    problems: Sequence[Problem], completions: Iterable[Completion], *, most: int
) -> Iterator[tuple[tuple[Problem, ...], tuple[Completion, ...]]]:
    """Completions of one language at a time, at most so many, so that a warm compiler serves all of them."""
    by_id = {problem.id: problem for problem in problems}
    by_language: dict[object, list[Completion]] = {}
    for completion in completions:
        by_language.setdefault(by_id[completion.problem_id].parsed_track.target, []).append(completion)
    for group in by_language.values():
        for start in range(0, len(group), most):
            chunk = tuple(group[start : start + most])
            yield tuple({c.problem_id: by_id[c.problem_id] for c in chunk}.values()), chunk


__all__ = [
    "JudgingJob",
    "early_piece",
    "execute_piece",
    "in_one_language",
    "run_execution",
    "run_scoring",
    "score_piece",
]
