"""Code and local data from the driver to every node of a cluster, without a folder that they share.

One decision: nodes come and go while a study runs, so nothing is copied to nodes beforehand. Ray hands a job's packages
to whichever node starts a worker for it; a training that finds the driver's data missing or different on its node
fetches them from an actor beside the driver, into a copy that is named by what it holds. Where a folder is shared, the
files are the driver's own and nothing is copied.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.errors import Cause, StageFailed
from orchestrator.ledger.storage import copies_folder

_NAMESPACE = "polytune"
# The packages of this project, which a worker imports.
PACKAGES = ("polytune", "orchestrator", "trainers", "evaluators", "models", "tasks")
_PART = 16 * 2**20
# A file that another node made is seen over NFS after a while.
_SEEN_WITHIN_S = 60.0


class Listed(NamedTuple):
    """A file below the data root: its place there, its bytes, and when it was written in ns since 1970."""

    name: str
    size: int
    written: int


def packages_for_workers() -> dict[str, Any]:
    """The part of a job's runtime environment by which every worker runs the driver's code; it holds no secret."""
    here = Path(__file__).resolve().parents[2]
    return {"py_modules": [str(here / name) for name in PACKAGES], "excludes": ["**/__pycache__/**"]}


class _Depot:
    """Reads files below the driver's data root for whoever asks, and knows a file of the driver's storage."""

    def __init__(self, root: str, mark: str) -> None:
        self._root, self._mark = Path(root), mark

    def mark(self) -> str:
        return self._mark

    def list(self, path: str) -> list[Listed]:
        return listed(self._root, path)

    def read(self, name: str, start: int) -> bytes:
        with (self._root / name).open("rb") as file:
            file.seek(start)
            return file.read(_PART)


def listed(root: Path, path: str) -> list[Listed]:
    """The files of one source, which is a file or a folder below the root; none if it is not there."""
    top = root / path
    files = sorted(f for f in top.rglob("*") if f.is_file()) if top.is_dir() else [top] * top.is_file()
    stats = ((f, f.stat()) for f in files)
    return [Listed(str(f.relative_to(root)), stat.st_size, stat.st_mtime_ns) for f, stat in stats]


def offer(root: Path, *, mark: Path | None) -> object:
    """Let workers of this driver have what lies below `root`; the data are there as long as what is returned.

    `mark` is a file that is in the driver's storage by now, if that is a folder: a node that does not see it has
    another folder of the same name.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(num_cpus=0)(_Depot).options(name=_name(), namespace=_NAMESPACE, scheduling_strategy=here)
    depot: object = actor.remote(str(root.resolve()), str(mark.resolve()) if mark else "")
    return depot


def root_here(root: Path, paths: Iterable[str]) -> Path:
    """Where this node has the driver's data: at `root` itself, or in a copy that is made by this call.

    Args:
        root: The driver's data root.
        paths: Files and folders below it. Absolute ones are a place that the node is meant to have.

    Raises:
        StageFailed: if the node sees another storage than the driver, or the data cannot be fetched or kept.
    """
    depot = _depot()
    if depot is None:
        return root
    _see(depot)
    relative = [path for path in paths if not Path(path).is_absolute()]
    there = [file for path in relative for file in _ask(depot.list, path)]
    if all(file in here for path in relative for here in [listed(root, path)] for file in _below(there, path)):
        return root
    return _fetched(there, depot)


def _below(files: Iterable[Listed], path: str) -> list[Listed]:
    top = os.path.normpath(path)
    return [file for file in files if top == "." or file.name == top or file.name.startswith(f"{top}/")]


def _fetched(files: list[Listed], depot: Any) -> Path:
    digest = hashlib.sha256("\n".join(f"{f.name} {f.size} {f.written}" for f in files).encode()).hexdigest()
    copy = copies_folder() / "data" / digest[:24]
    try:
        for file in files:
            if listed(copy, file.name) != [file]:
                _fetch(file, depot, copy)
    except OSError as error:
        raise StageFailed(
            f"the study's data cannot be kept on {os.uname().nodename} in {copy}: {error.strerror}; make room, or "
            "point POLYTUNE_CACHE to another folder there",
            kind=Cause.DISK,
        ) from error
    return copy


def _fetch(file: Listed, depot: Any, copy: Path) -> None:
    target = copy / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    # Another process of this node may be at it too.
    made = target.with_name(f".{target.name}.{os.getpid()}")
    with made.open("wb") as out:
        for start in range(0, file.size, _PART):
            out.write(_ask(depot.read, file.name, start))
    os.utime(made, ns=(file.written, file.written))
    made.rename(target)


def _see(depot: Any) -> None:
    """See that this node's storage is the driver's.

    Raises:
        StageFailed: if it is not.
    """
    mark = Path(_ask(depot.mark))
    until = time.monotonic() + _SEEN_WITHIN_S
    while str(mark) != "." and not mark.exists():
        if time.monotonic() > until:
            raise StageFailed(
                f"{os.uname().nodename} does not see the study's storage: {mark} is not there; set storage to a "
                "bucket, or mount the driver's folder there under the same path",
                kind=Cause.SETTINGS,
            )
        time.sleep(1.0)


def _depot() -> Any:
    """The actor beside this process's driver; None where nothing was offered, as on the driver's own machine."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    try:
        return ray.get_actor(_name(), namespace=_NAMESPACE)
    except ValueError:
        return None


def _ask(method: Any, *arguments: Any) -> Any:
    import ray

    return ray.get(method.remote(*arguments))


def _name() -> str:
    import ray

    return f"polytune-data-{ray.get_runtime_context().get_job_id()}"


__all__ = ["PACKAGES", "offer", "packages_for_workers", "root_here"]
