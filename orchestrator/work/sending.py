"""Pieces of work, sent out by Ray Data to as many nodes as there are, and their answers.

One decision: pipelines are of tasks and not of actors. A task holds its cores or its GPU only while it works,
so no GPU waits for CPUs or for the next training, and Ray keeps the processes that imported torch for later
tasks: a further pipeline costs 0.1 s, so one is run for whatever has become due, while other trials train.

A job's stage is cut into pieces. What a piece raises is data, so one bad trial leaves the others alone, and
a job is done as soon as its last piece is in.
"""

import logging
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from pydantic import JsonValue

from orchestrator.causes import kind_of
from orchestrator.errors import PolytuneError, StageFailed
from orchestrator.work import credentials
from orchestrator.work.messages import Answer, Piece, PieceFailed, PieceFailure
from tasks.records import Record

# How often it is looked whether more work has joined, and how many pipelines of as many tasks as fit go side by side.
_LOOK_S = 1.0
_PIPELINES = 4
_COLUMN = "record"

OnPieceDone = Callable[[str, int, int, int], None]
"""Is given a job's key, how many of its pieces are done, how many there are, and how many records came of those."""

_AnyPiece = TypeVar("_AnyPiece", bound=Piece)
_AnyRecord = TypeVar("_AnyRecord", bound=Record)
Body = Callable[[_AnyPiece], Iterable[Answer]]
"""What is done with a piece, where it is done."""


def ignore(key: str, done: int, due: int, records: int) -> None:
    """For a caller that does not follow the progress."""


def none_join() -> Sequence[Any]:
    """For pieces that are all there are."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Where pieces run: so many at once (None: as many as fit), each on so much. `in_process`: in this one.

    A pool with a name has processes of its own, which hold what they have read: Ray gives a task to any process that
    is idle and has the same environment.
    """

    size: int | None = None
    cpus: float = 1
    gpus: float = 0
    name: str = ""
    in_process: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All records of a job, and what its pieces say beside them: facts, and counts in sum."""

    records: list[Any] = field(default_factory=list)
    facts: dict[str, JsonValue] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


def results(
    body: Body[_AnyPiece],
    pieces: Sequence[_AnyPiece],
    *,
    of: type[Record],
    pool: Pool,
    on_piece_done: OnPieceDone,
    joining: Callable[[], Sequence[_AnyPiece]] = none_join,
) -> Iterator[tuple[str, Gathered | StageFailed]]:
    """Run pieces; yields a job's key and what it gave when its last piece is in, or what its first bad piece raised.

    Args:
        body: What is done with a piece.
        pieces: What there is to do.
        of: What the answers' rows are.
        pool: Where it is done.
        on_piece_done: Is told of each piece that is done.
        joining: Gives pieces of further jobs, asked again and again while others run; they take their turn behind them.
    """
    due: Counter[str] = Counter()
    waiting, found = Counter[str](), dict[str, Gathered]()

    def counted(more: Sequence[_AnyPiece]) -> Sequence[_AnyPiece]:
        keys = Counter(key for piece in more for key in piece.keys)
        due.update(keys)
        waiting.update(keys)
        return more

    for answer in _answers(body, counted(pieces), pool=pool, joining=lambda: counted(joining())):
        key, failure = answer.key, answer.failure
        if key not in waiting:
            continue
        if failure is not None:
            del waiting[key]
            yield key, PieceFailed(failure.cause, failure.kind, failure.traceback)
            continue
        gathered = found.setdefault(key, Gathered())
        gathered.records.extend(of.model_validate(row) for row in answer.rows)
        gathered.facts.update(answer.facts)
        gathered.counts.update(answer.counts)
        waiting[key] -= 1
        on_piece_done(key, due[key] - waiting[key], due[key], len(gathered.records))
        if not waiting[key]:
            del waiting[key]
            yield key, found.pop(key)


def _answers(
    body: Body[_AnyPiece],
    pieces: Sequence[_AnyPiece],
    *,
    pool: Pool,
    joining: Callable[[], Sequence[_AnyPiece]],
) -> Iterator[Answer]:
    if pool.in_process:
        for piece in pieces:
            yield from guarded(body, piece)
    else:
        yield from _in_turn(body, pieces, pool=pool, joining=joining)


def _in_turn(
    body: Body[_AnyPiece],
    pieces: Sequence[_AnyPiece],
    *,
    pool: Pool,
    joining: Callable[[], Sequence[_AnyPiece]],
) -> Iterator[Answer]:
    """What joins meanwhile takes its turn, and nothing waits for a wave.

    In a pool of a size there is a pipeline for each piece, so many at once; in another, one for whatever waits.
    """
    waiting, running, most = deque(pieces), 0, pool.size or _PIPELINES
    answers: SimpleQueue[Answer | BaseException | None] = SimpleQueue()

    def run(together: Sequence[_AnyPiece]) -> None:
        try:
            for answer in _pipeline(body, together, pool=pool):
                answers.put(answer)
            answers.put(None)
        except BaseException as error:
            answers.put(error)

    while waiting or running:
        waiting.extend(joining())
        while waiting and running < most:
            together = [waiting.popleft() for _ in range(1 if pool.size else len(waiting))]
            threading.Thread(target=run, args=(together,), name="piece", daemon=True).start()
            running += 1
        try:
            came = answers.get(timeout=_LOOK_S)
        except Empty:
            continue
        if isinstance(came, BaseException):
            raise came
        if came is None:
            running -= 1
        else:
            yield came


def _pipeline(body: Body[_AnyPiece], pieces: Sequence[_AnyPiece], *, pool: Pool) -> Iterator[Answer]:
    if not pieces:
        return
    import ray.data

    _quiet()
    rows = [{_COLUMN: piece.model_dump_json()} for piece in pieces]
    # Ray ends a process that has used a GPU after each task, unless it is told that any number is right.
    kept: dict[str, Any] = {"max_calls": 0} if pool.gpus else {}
    if pool.name:
        kept["runtime_env"] = {"env_vars": {"POLYTUNE_POOL": pool.name}}
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).flat_map(
        _Guarded(body, type(pieces[0])),
        compute=ray.data.TaskPoolStrategy(size=pool.size and min(pool.size, len(pieces))),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
        **kept,
    )
    for row in dataset.iter_rows():
        yield Answer.model_validate_json(row[_COLUMN])


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A piece's body as Ray Data calls it, which moves rows of columns."""

    body: Callable[[Any], Iterable[Answer]]
    kind: type[Piece]

    def __call__(self, row: dict[str, str]) -> list[dict[str, str]]:
        credentials.take()
        answers = guarded(self.body, self.kind.model_validate_json(row[_COLUMN]))
        return [{_COLUMN: answer.model_dump_json()} for answer in answers]


def free_cores() -> int:
    """Cores of the cluster that nothing holds, as far as its head has been told."""
    import ray

    free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    return int(free.get("CPU", 0.0))


def all_cores() -> int:
    """Cores of the cluster."""
    import ray

    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(1, int(have.get("CPU", 0.0)))


def guarded(body: Body[_AnyPiece], piece: _AnyPiece) -> list[Answer]:
    """A piece's answers, or how it failed, for each of its jobs."""
    try:
        return list(body(piece))
    except Exception as error:
        return [failed(key, error) for key in piece.keys]


def answered(
    key: str, records: Iterable[Record], *, counts: Mapping[str, float] | None = None, **facts: JsonValue
) -> Answer:
    """A job's part of a piece, done."""
    rows = tuple(record.model_dump(mode="json") for record in records)
    return Answer(key=key, rows=rows, facts=facts, counts=dict(counts or {}))


def failed(key: str, error: Exception) -> Answer:
    """A job's part of a piece, not done."""
    cause = str(error) if isinstance(error, PolytuneError) else f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    return Answer(key=key, failure=PieceFailure(cause=cause, kind=kind_of(error), traceback=trace))


def _quiet() -> None:
    """Ray Data draws bars, logs plans, and logs errors that it raises too; what a person sees is drawn elsewhere."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


__all__ = [
    "Body",
    "Gathered",
    "OnPieceDone",
    "Pool",
    "all_cores",
    "answered",
    "failed",
    "free_cores",
    "guarded",
    "ignore",
    "none_join",
    "results",
]
