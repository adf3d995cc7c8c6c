"""Why stages fail, and what follows from it: one kind of cause, one policy.

    lost       a node, or the process that worked on the stage, is gone    again, later and later, without limit
    memory     the device or the host had no more                          again with half the micro-batch
    diverged   a loss or gradient that is no finite number                 not again; the evidence is kept
    disk       the ledger's disk is full                                   not again
    missing    a program that the stage needs is not installed             not again
    settings   the study asks for what cannot be done                      not again
    pruned     a search stopped a candidate that did worse than most       not again
    code       anything else, so a fault of ours                           not again

One decision: the kind is read from the exceptions themselves, whatever library raised or wrapped them, so
that a stage's code need not know that it may be run again.
"""

import errno
import re
from collections.abc import Iterator

from orchestrator.errors import FULL, Cause, LedgerError, StageFailed

# What CUDA, PyTorch's host allocator, cuBLAS, the C++ library, and Ray's watch over a node's memory say.
_MEMORY = re.compile(
    r"out of memory|can(no|')t allocate memory|CUBLAS_STATUS_ALLOC_FAILED|std::bad_alloc|running low on memory", re.I
)
# Ray's exceptions, by name: this module is imported where Ray is not.
_LOST = {
    "RayActorError", "ActorDiedError", "ActorUnavailableError", "WorkerCrashedError", "LocalRayletDiedError",
    "NodeDiedError", "OwnerDiedError", "ObjectLostError", "WorkerHealthCheckFailedError",
    "WorkerHealthCheckTimeoutError", "ObjectFetchTimedOutError", "RaySystemError",
}  # fmt: skip
# What the other processes of a distributed training see of one that is gone.
_LOST_WORDS = re.compile(r"connection (closed|reset) by peer|actor (died|is dead)|worker (crashed|died)", re.I)
_DISK_WORDS = re.compile(r"no space left|os error 28|disk quota", re.I)

_LONGEST_WAIT_S = 300.0


def kind_of(error: BaseException) -> Cause:
    """The kind of an exception: of all that it wraps, the one that explains the others."""
    kinds = {_own_kind(inner) for inner in _wrapped(error)}
    return next(kind for kind in Cause if kind in kinds)


def _own_kind(error: BaseException) -> Cause:
    text = str(error)
    if isinstance(error, StageFailed):
        return error.kind
    # Writers in other languages tell of a full disk in words.
    if getattr(error, "errno", None) in FULL or _DISK_WORDS.search(text):
        return Cause.DISK
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or _MEMORY.search(text):
        return Cause.MEMORY
    names = {base.__name__ for base in type(error).__mro__}
    if names & _LOST or _LOST_WORDS.search(text):
        return Cause.LOST
    if "TrainingDiverged" in names:
        return Cause.DIVERGED
    settings = isinstance(error, ValueError) and not isinstance(error, LedgerError)
    return Cause.SETTINGS if settings else Cause.CODE


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it stands for: its causes, and those of a distributed training's processes."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        inner = waiting.pop()
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        yield inner
        by_rank = getattr(inner, "worker_failures", None)
        causes = [inner.__cause__, getattr(inner, "cause", None), *(by_rank.values() if by_rank else ())]
        waiting += [cause for cause in causes if isinstance(cause, BaseException)]


def wait_before(tries: int) -> float:
    """Seconds to wait before a lost stage is begun again, after so many tries: doubling, up to five minutes."""
    return min(_LONGEST_WAIT_S, 2.0 ** (tries - 1))


__all__ = ["kind_of", "wait_before"]
