"""Ray Data: generation, execution and scoring over as many nodes as there are.

One decision: pipelines are of tasks and not of actors. A task holds its cores or its GPU only while it works,
so no GPU waits for CPUs or for the next training, and Ray keeps the processes that imported torch for later
tasks: a further pipeline costs 0.1 s, so one is run for whatever has become due, while other trials train.

A trial's stage is cut into pieces. What a piece raises is data, so one bad trial leaves the others alone, and
a trial's stage is done as soon as its last piece is in.
"""

import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators.contamination import Contamination
from evaluators.generation.settings import GenerationSettings
from models.spec import ModelSpec
from orchestrator.causes import kind_of
from orchestrator.errors import Cause, PolytuneError, StageFailed
from orchestrator.ledger.artifacts import ScoredCell
from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.study.resources import Resources
from orchestrator.study.trial import TrialSpec
from orchestrator.work import credentials
from orchestrator.work.judge import execute
from orchestrator.work.score import cells_of, score_cell
from tasks.records import Completion, Problem, Record, Verdict
from trainers.methods.table import MethodKind, traits_of

if TYPE_CHECKING:
    from evaluators.generation.shelf import Base, ModelShelf

_PROGRAMS_PER_TASK = 50

# Is on_piece_done a job's key, how many of its pieces are done, and how many there are.
OnPieceDone = Callable[[str, int, int], None]
Piece = dict[str, str]


def _ignore(key: str, done: int, due: int) -> None:
    """For a caller that does not follow the progress."""


class Weights(Record):
    """What to load for generation: the base, and unless it is frozen the training's record in a ledger."""

    model: ModelSpec
    kind: MethodKind
    storage: str
    record: StageRecord | None

    def folder(self) -> Path | None:
        """The trained weights on this machine, verified; None for the base alone.

        Raises:
            ArtifactDamaged: if they are not what the training wrote.
        """
        if self.record is None:
            return None
        name = str(self.record.facts["weights"])
        return Ledger(self.storage).folder(self.record, under=f"{name}/") / name


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationJob:
    """What one trial's generation needs; `key` is its stage's."""

    key: str
    weights: Weights
    settings: GenerationSettings
    problems: tuple[Problem, ...]


class _Order(Record):
    """How a task is to generate for one job."""

    weights: Weights
    settings: GenerationSettings
    threads: int
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingJob:
    """What one trial's execution or scoring needs; `key` is its stage's.

    `contamination` is what scoring is on_piece_done of the problems, by id.
    """

    key: str
    trial: TrialSpec
    problems: tuple[Problem, ...]
    completions: tuple[Completion, ...]
    contamination: Mapping[str, Contamination] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Where pieces run: so many at once (None: as many as fit), each on so much. `in_process`: in this one."""

    size: int | None = None
    cpus: float = 1
    gpus: float = 0
    in_process: bool = False


class _Failure(Record):
    """What a piece raised."""

    cause: str
    kind: Cause
    traceback: str


class PieceFailed(StageFailed):
    """A piece of a job raised; holds the traceback of the process that it ran in."""

    def __init__(self, cause: str, kind: Cause, trace: str) -> None:
        super().__init__(cause, kind=kind)
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return PieceFailed, (self.cause, self.kind, self.trace)


def generate_piece(piece: Piece) -> str:
    """Completions for some of a trial's problems, as JSON."""
    import torch

    from evaluators.generation.protocol import Prompt
    from evaluators.generation.transformers_engine import TransformersGenerator

    order = _Order.model_validate_json(piece["order"])
    torch.set_num_threads(order.threads)
    base, adapter = _placed(order.weights)
    prompts = [Prompt(problem=Problem.model_validate(p), adapter=adapter) for p in json.loads(piece["problems"])]
    size = order.batch_size
    while True:
        generator = TransformersGenerator(_shelf(), base, batch_size=size)
        try:
            return _json([completion for _, completion in generator.complete(prompts, settings=order.settings)])
        except Exception as error:
            # Prompts of a batch do not see each other, so a smaller one says the same.
            if kind_of(error) != Cause.MEMORY or size == 1:
                raise
        size = max(1, size // 2)
        torch.cuda.empty_cache()


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


def execute_piece(piece: Piece) -> str:
    """Verdicts on some of a trial's programs, as JSON."""
    problems, completions = _unpacked(piece)
    return _json(execute(problems, completions, trial=TrialSpec.model_validate_json(piece["trial"])))


def score_piece(piece: Piece) -> str:
    """One (track, data set) of a trial scored, as JSON."""
    problems, completions = _unpacked(piece)
    by_id = {problem.id: problem for problem in problems}
    trial = TrialSpec.model_validate_json(piece["trial"])
    contamination = {key: Contamination(**found) for key, found in json.loads(piece["contamination"]).items()}
    cell = score_cell(
        [by_id[c.problem_id] for c in completions],
        completions,
        quality=trial.quality,
        metrics=trial.metrics,
        contamination=contamination,
    )
    return _json([cell])


def run_generation(
    jobs: Sequence[GenerationJob],
    *,
    resources: Resources,
    on_piece_done: OnPieceDone = _ignore,
    in_process: bool = False,
) -> Iterator[tuple[str, tuple[Completion, ...] | StageFailed]]:
    """Generate for all jobs; yields each job's key and completions, in its problems' order, when done."""
    pool = Pool(
        size=resources.generators, cpus=resources.generator_cpus, gpus=resources.generator_gpus, in_process=in_process
    )
    pieces = []
    for job in jobs:
        order = _Order(
            weights=job.weights,
            settings=job.settings,
            threads=resources.generator_cpus,
            batch_size=resources.generation_batch,
        )
        # Batches of like prompts waste little on padding.
        ordered = sorted(job.problems, key=lambda p: (p.track, len(p.input)))
        size = _problems_per_piece(len(ordered), resources)
        pieces += [
            {"key": job.key, "order": order.model_dump_json(), "problems": _json(ordered[start : start + size])}
            for start in range(0, len(ordered), size)
        ]
    places = {job.key: {problem.id: i for i, problem in enumerate(job.problems)} for job in jobs}
    for key, found in _results(generate_piece, pieces, pool=pool, on_piece_done=on_piece_done):
        if isinstance(found, StageFailed):
            yield key, found
        else:
            completions = [Completion.model_validate(row) for row in found]
            yield key, tuple(sorted(completions, key=lambda c: (places[key][c.problem_id], c.sample)))


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
        {"key": job.key, "trial": job.trial.model_dump_json(), **_packed(problems, completions)}
        for job in jobs
        for problems, completions in _chunks(job)
    ]
    testable = {piece["key"] for piece in pieces}
    yield from ((job.key, ()) for job in jobs if job.key not in testable)
    for key, found in _results(execute_piece, pieces, pool=Pool(in_process=in_process), on_piece_done=on_piece_done):
        if isinstance(found, StageFailed):
            yield key, found
        else:
            verdicts = [Verdict.model_validate(row) for row in found]
            yield key, tuple(sorted(verdicts, key=lambda v: (v.task_id, v.sample)))


def run_scoring(
    jobs: Sequence[JudgingJob], *, on_piece_done: OnPieceDone = _ignore, in_process: bool = False
) -> Iterator[tuple[str, tuple[ScoredCell, ...] | StageFailed]]:
    """Score all jobs; yields each job's key and cells when done."""
    pieces = [
        {
            "key": job.key,
            "trial": job.trial.model_dump_json(),
            "contamination": json.dumps(
                {p.id: asdict(job.contamination[p.id]) for p in problems if p.id in job.contamination}
            ),
            **_packed(tuple({p.id: p for p in problems}.values()), completions),
        }
        for job in jobs
        for problems, completions in cells_of(job.problems, job.completions)
    ]
    for key, found in _results(score_piece, pieces, pool=Pool(in_process=in_process), on_piece_done=on_piece_done):
        if isinstance(found, StageFailed):
            yield key, found
        else:
            cells = [ScoredCell.model_validate(row) for row in found]
            yield key, tuple(sorted(cells, key=lambda cell: (cell.track, cell.dataset)))


def _results(
    body: Callable[[Piece], str], pieces: Sequence[Piece], *, pool: Pool, on_piece_done: OnPieceDone
) -> Iterator[tuple[str, list[Any] | StageFailed]]:
    """Run pieces; yields a job's key and rows when its last piece is in, or what its first bad piece raised."""
    due: dict[str, int] = {}
    for piece in pieces:
        due[piece["key"]] = due.get(piece["key"], 0) + 1
    waiting, found = dict(due), dict[str, list[Any]]()
    for row in _rows(body, pieces, pool=pool):
        key = row["key"]
        if key not in waiting:
            continue
        if row["failure"]:
            failure = _Failure.model_validate_json(row["failure"])
            del waiting[key]
            yield key, PieceFailed(failure.cause, failure.kind, failure.traceback)
            continue
        found.setdefault(key, []).extend(json.loads(row["result"]))
        waiting[key] -= 1
        on_piece_done(key, due[key] - waiting[key], due[key])
        if not waiting[key]:
            del waiting[key]
            yield key, found.pop(key)


def _rows(body: Callable[[Piece], str], pieces: Sequence[Piece], *, pool: Pool) -> Iterator[dict[str, str]]:
    if pool.in_process:
        yield from (guarded(body, piece) for piece in pieces)
        return
    if not pieces:
        return
    import ray.data

    _quiet()
    dataset = ray.data.from_items(list(pieces), override_num_blocks=len(pieces)).map(
        _Guarded(body),
        compute=ray.data.TaskPoolStrategy(size=pool.size),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
    )
    yield from dataset.iter_rows()


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A piece's body as Ray Data calls it."""

    body: Callable[[Piece], str]

    def __call__(self, piece: Piece) -> dict[str, str]:
        credentials.take()
        return guarded(self.body, piece)


def guarded(body: Callable[[Piece], str], piece: Piece) -> dict[str, str]:
    """A piece's result, or how it failed."""
    try:
        return {"key": piece["key"], "result": body(piece), "failure": ""}
    except Exception as error:
        cause = str(error) if isinstance(error, PolytuneError) else f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        failure = _Failure(cause=cause, kind=kind_of(error), traceback=trace)
        return {"key": piece["key"], "result": "", "failure": failure.model_dump_json()}


def _quiet() -> None:
    """Ray Data draws bars and logs plans; what a person watches is drawn by the command line."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _json(records: Sequence[Record]) -> str:
    return json.dumps([record.model_dump(mode="json") for record in records])


def _unpacked(piece: Piece) -> tuple[list[Problem], list[Completion]]:
    problems = [Problem.model_validate(p) for p in json.loads(piece["problems"])]
    return problems, [Completion.model_validate(c) for c in json.loads(piece["completions"])]


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


def _packed(problems: Sequence[Problem], completions: Sequence[Completion]) -> dict[str, str]:
    """Records as JSON: what crosses between processes is plain text."""
    return {"problems": _json(problems), "completions": _json(completions)}
