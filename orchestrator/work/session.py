"""A Ray session for the length of a study: a cluster that is there, or one of our own on this machine.

One decision: all that Ray, Tune and Train read from the environment is set in this one place, before they are started.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from orchestrator.errors import PolytuneError
from orchestrator.provenance import end_with_children, usable_cores
from orchestrator.study.resources import Resources, cluster_address
from orchestrator.work import credentials
from orchestrator.work.delivery import packages_for_workers

# What the coordinator of a training by several processes holds, see `orchestrator.run.tune`.
TRIAL_RESOURCE = "trial"
_COORDINATORS = 1000.0
_PENDING = 16
_KEEP_IDLE_MS = 10 * 60 * 1000
# How Ray's core acknowledges RAY_BACKEND_LOG_LEVEL, whatever the level is.
_LEVEL_IS_SET = b"Set ray log level from environment variable"
_LAST_WORDS_S = 0.5
# Threads that ask Ray for things: Tune's, our pieces', what is judged ahead, and those of Ray Data.
_USERS = ("train", "search", "piece", "ahead", "StreamingExecutor")
_left: list[bool] = []


@contextmanager
def local_ray(resources: Resources, *, num_cpus: int | None = None) -> Iterator[None]:
    """A Ray cluster for the length of a study: at `resources.address` or `RAY_ADDRESS`, or one of our own.

    `num_cpus` is how many cores our own offers; all that this process may use, unless it is given. Where a run that
    was stopped has left threads that use Ray, it is not shut down, see `end_if_left`.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    # Tune takes Ctrl-C for itself: it would end the trainings, and the study would go on without them.
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    # A model's path may be relative to where the study was begun.
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    # Tune would write every trial's results three times over, and its own state every few seconds.
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "86400")
    # A training's last word has no metric.
    os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    # A trial that waits already has an actor at hand when another ends, and an autoscaler sees what is wanted.
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(_PENDING))
    # Processes that have imported torch are kept for the next stage's tasks.
    os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", str(_KEEP_IDLE_MS))
    # Tune's newer output prints a banner even when it is told to be silent.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    # Ray Data restarts lost actors, of which the core warns on the terminal each time.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    address = cluster_address(resources)
    with _unheard(_LEVEL_IS_SET):
        if address:
            _join(address, common)
        else:
            ray.init(
                # Without this word Ray joins whichever cluster was last started on this machine.
                address="local",
                num_cpus=num_cpus or usable_cores(),
                resources={TRIAL_RESOURCE: _COORDINATORS},
                object_store_memory=resources.object_store_mb * 2**20,
                include_dashboard=False,
                **common,
            )
    if address:
        credentials.share()
    try:
        yield
    finally:
        if any(thread.name.startswith(_USERS) for thread in threading.enumerate()):
            _left.append(True)
        else:
            ray.shutdown()


def end_if_left(status: int) -> None:
    """End this process at once, with its children, if Ray was left running.

    A thread that asks Ray for something while it is shut down, at the interpreter's end too, ends the process with
    status 1 and not a word.
    """
    if not _left:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    end_with_children(status)


@contextmanager
def _unheard(line: bytes) -> Iterator[None]:
    """Keep lines that hold these words off standard error; all else goes on to it as it comes.

    What writes them is C++ that goes by no logger, and in the middle of a table that is being redrawn.
    """
    read, write = os.pipe()
    kept = os.dup(2)

    def forward() -> None:
        while chunk := os.read(read, 65536):
            if line in chunk:
                chunk = b"".join(one for one in chunk.splitlines(keepends=True) if line not in one)
            # Whoever reads it may be gone.
            with suppress(OSError):
                os.write(kept, chunk)
        os.close(read)
        os.close(kept)

    thread = threading.Thread(target=forward, name="stderr", daemon=True)
    os.dup2(write, 2)
    os.close(write)
    thread.start()
    try:
        yield
    finally:
        os.dup2(kept, 2)
        # What Ray has started may hold the pipe for as long as it lives.
        thread.join(_LAST_WORDS_S)


def _join(address: str, common: dict[str, Any]) -> None:
    import ray

    try:
        ray.init(address=address, job_config=_job(), **common)
    except ConnectionError as error:
        raise PolytuneError(
            f"no Ray cluster answers at {address}; start it (`ray up FILE`, `ray start --head`), then run again"
        ) from error


def _job() -> Any:
    """A job whose workers have the driver's packages from Ray, wherever they run."""
    from ray.job_config import JobConfig

    class Job(JobConfig):
        # Ray would put the driver's folder first on every worker's path, where another node may keep older code.
        def _runtime_env_has_working_dir(self) -> bool:
            return True

    return Job(runtime_env=packages_for_workers())


__all__ = ["TRIAL_RESOURCE", "end_if_left", "local_ray"]
