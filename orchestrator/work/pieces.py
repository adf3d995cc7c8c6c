"""Ray Data: generation, execution and scoring over as many nodes as there are.

One decision: pipelines are of tasks and not of actors. A task holds its cores or its GPU only while it works,
so no GPU waits for CPUs or for the next training, and Ray keeps the processes that imported torch for later
tasks: a further pipeline costs 0.1 s, so one is run for whatever has become due, while other trials train.

A trial's stage is cut into pieces. What a piece raises is data, so one bad trial leaves the others alone, and
a trial's stage is done as soon as its last piece is in.
"""

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from evaluators.contamination import Contamination
from models.locations import ModelError
from orchestrator.causes import kind_of
from orchestrator.errors import PolytuneError, StageFailed
from orchestrator.ledger.artifacts import ScoredCell
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.recorder import Recorder
from orchestrator.study.resources import Resources
from orchestrator.study.trial import TrialSpec
from orchestrator.work import credentials
from orchestrator.work.generation import GenerationJob
from orchestrator.work.judge import execute
from orchestrator.work.messages import (
    Answer,
    ExecutionPiece,
    GenerationPiece,
    Piece,
    PieceFailed,
    PieceFailure,
    ScoringPiece,
    Weights,
)
from orchestrator.work.score import cells_of, score_cell
from tasks.records import Completion, Problem, Record, Verdict
from trainers.methods.table import traits_of

if TYPE_CHECKING:
    from evaluators.generation.shelf import Base, ModelShelf

_PROGRAMS_PER_TASK = 50

_COLUMN = "record"
# Is given a job's key, how many of its pieces are done, and how many there are.
OnPieceDone = Callable[[str, int, int], None]


def _ignore(key: str, done: int, due: int) -> None:
    """For a caller that does not follow the progress."""


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


_AnyPiece = TypeVar("_AnyPiece", bound=Piece)
_AnyRecord = TypeVar("_AnyRecord", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Where pieces run: so many at once (None: as many as fit), each on so much. `in_process`: in this one."""

    size: int | None = None
    cpus: float = 1
    gpus: float = 0
    in_process: bool = False


def generate_piece(piece: GenerationPiece) -> list[Completion]:
    """Completions of what is wanted of a trial."""
    import torch

    from evaluators.generation.protocol import Prompt
    from evaluators.generation.transformers_engine import TransformersGenerator
    from models.loading import device_of

    torch.set_num_threads(piece.threads)
    store, owner = Ledger(piece.weights.storage).store, piece.owner.on(device_of("auto").type)
    with Recorder(store, owner, piece.wanted, settings=piece.settings) as recorder:
        if left := recorder.missing:
            base, adapter = _placed(piece.weights)
            prompts = [Prompt(problem=one.problem, adapter=adapter) for one in left]
            generator = TransformersGenerator(_shelf(), base, slots=piece.batch_size)
            for _, done in generator.complete(prompts, settings=piece.settings):
                if isinstance(done, ModelError):
                    raise done
                recorder.add(done)
    return recorder.completions


@cache
def _shelf() -> "ModelShelf":
    """The base that this process holds: it serves one trial after another, and most share theirs."""
    from evaluators.generation.shelf import ModelShelf

    return ModelShelf()


def _placed(weights: Weights) -> "tuple[Base, Path | None]":
    """Which base a trial's completions are of, and the adapter on it."""
    from evaluators.generation.shelf import Base
    from models.loading import device_of

    traits, device, folder = traits_of(weights.kind), device_of("auto"), weights.folder()
    base = Base(
        model=weights.model,
        precision=traits.precision_on(device.type),
        device=device,
        weights=folder if traits.has_own_weights else None,
    )
    return base, folder if traits.has_adapter else None


def execute_piece(piece: ExecutionPiece) -> list[Verdict]:
    """Verdicts on some of a trial's programs."""
    return list(execute(piece.problems, piece.completions, limits=piece.limits))


def score_piece(piece: ScoringPiece) -> list[ScoredCell]:
    """One (track, data set) of a trial scored."""
    by_id = {problem.id: problem for problem in piece.problems}
    cell = score_cell(
        [by_id[c.problem_id] for c in piece.completions],
        piece.completions,
        quality=piece.quality,
        metrics=piece.metrics,
        contamination=piece.contamination,
    )
    return [cell]


def run_generation(
    jobs: Sequence[GenerationJob],
    *,
    resources: Resources,
    on_piece_done: OnPieceDone = _ignore,
    in_process: bool = False,
) -> Iterator[tuple[str, tuple[Completion, ...] | StageFailed]]:
    """Generate what is missing of all jobs; yields each job's key and completions, in its problems' order, when done.

    A job that misses nothing starts no process.
    """
    pool = Pool(
        size=resources.generators, cpus=resources.generator_cpus, gpus=resources.generator_gpus, in_process=in_process
    )
    pieces = [piece for job in jobs for piece in _generation_pieces(job, resources)]
    by_key, asked = {job.key: job for job in jobs}, {piece.key for piece in pieces}
    yield from ((job.key, job.whole(())) for job in jobs if job.key not in asked)
    for key, found in _results(generate_piece, pieces, of=Completion, pool=pool, on_piece_done=on_piece_done):
        yield key, found if isinstance(found, StageFailed) else by_key[key].whole(found)


def _generation_pieces(job: GenerationJob, resources: Resources) -> Iterator[GenerationPiece]:
    # Batches of like prompts waste little on padding.
    ordered = tuple(sorted(job.missing, key=lambda one: (one.problem.track, len(one.problem.input))))
    size = _problems_per_piece(len(ordered), resources)
    for start in range(0, len(ordered), size):
        yield GenerationPiece(
            key=job.key,
            weights=job.weights,
            owner=job.owner,
            settings=job.settings,
            threads=resources.generator_cpus,
            batch_size=resources.generation_batch,
            wanted=ordered[start : start + size],
        )


def _problems_per_piece(problems: int, resources: Resources) -> int:
    """A batch; on GPUs, where a task's process is not kept, an equal share for each generator."""
    batch = resources.generation_batch
    if not resources.generator_gpus:
        return batch
    return max(batch, -(-problems // (batch * resources.generators)) * batch)


def run_execution(
    jobs: Sequence[JudgingJob], *, on_piece_done: OnPieceDone = _ignore, in_process: bool = False
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
    for key, found in _results(execute_piece, pieces, of=Verdict, pool=pool, on_piece_done=on_piece_done):
        if isinstance(found, StageFailed):
            yield key, found
        else:
            yield key, tuple(sorted(found, key=lambda v: (v.task_id, v.sample)))


def run_scoring(
    jobs: Sequence[JudgingJob], *, on_piece_done: OnPieceDone = _ignore, in_process: bool = False
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
    for key, found in _results(score_piece, pieces, of=ScoredCell, pool=pool, on_piece_done=on_piece_done):
        if isinstance(found, StageFailed):
            yield key, found
        else:
            yield key, tuple(sorted(found, key=lambda cell: (cell.track, cell.dataset)))


def _results(
    body: Callable[[_AnyPiece], Sequence[Record]],
    pieces: Sequence[_AnyPiece],
    *,
    of: type[_AnyRecord],
    pool: Pool,
    on_piece_done: OnPieceDone,
) -> Iterator[tuple[str, list[_AnyRecord] | StageFailed]]:
    """Run pieces; yields a job's key and records when its last piece is in, or what its first bad piece raised."""
    due = Counter(piece.key for piece in pieces)
    waiting, found = dict(due), dict[str, list[_AnyRecord]]()
    for answer in _answers(body, pieces, pool=pool):
        key, failure = answer.key, answer.failure
        if key not in waiting:
            continue
        if failure is not None:
            del waiting[key]
            yield key, PieceFailed(failure.cause, failure.kind, failure.traceback)
            continue
        found.setdefault(key, []).extend(of.model_validate(row) for row in answer.rows)
        waiting[key] -= 1
        on_piece_done(key, due[key] - waiting[key], due[key])
        if not waiting[key]:
            del waiting[key]
            yield key, found.pop(key)


def _answers(
    body: Callable[[_AnyPiece], Sequence[Record]], pieces: Sequence[_AnyPiece], *, pool: Pool
) -> Iterator[Answer]:
    if pool.in_process:
        yield from (guarded(body, piece) for piece in pieces)
        return
    if not pieces:
        return
    import ray.data

    _quiet()
    rows = [{_COLUMN: piece.model_dump_json()} for piece in pieces]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        _Guarded(body, type(pieces[0])),
        compute=ray.data.TaskPoolStrategy(size=pool.size),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
    )
    for row in dataset.iter_rows():
        yield Answer.model_validate_json(row[_COLUMN])


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A piece's body as Ray Data calls it, which moves rows of columns."""

    body: Callable[[Any], Sequence[Record]]
    kind: type[Piece]

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        credentials.take()
        return {_COLUMN: guarded(self.body, self.kind.model_validate_json(row[_COLUMN])).model_dump_json()}


def guarded(body: Callable[[_AnyPiece], Sequence[Record]], piece: _AnyPiece) -> Answer:
    """A piece's records, or how it failed."""
    try:
        return Answer(key=piece.key, rows=tuple(record.model_dump(mode="json") for record in body(piece)))
    except Exception as error:
        cause = str(error) if isinstance(error, PolytuneError) else f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        return Answer(key=piece.key, failure=PieceFailure(cause=cause, kind=kind_of(error), traceback=trace))


def _quiet() -> None:
    """Ray Data draws bars and logs plans; what a person watches is drawn by the command line."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


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
