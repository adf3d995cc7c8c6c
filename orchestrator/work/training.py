"""A training where it runs: in a Tune trial's own process, or under Ray Train from a coordinator.

One decision: whatever happens to a training is what `train_trial` returns or what its attempt keeps, so the
same function serves a cluster, a test and a debugger.

A single-process training runs where `train_trial` is called. A full fine-tuning is run by Ray Train.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.errors import FULL, Cause, LedgerError, StageFailed
from orchestrator.ledger.artifacts import summary_in
from orchestrator.ledger.attempts import run_stage
from orchestrator.ledger.checkpoints import TrainingCheckpoints
from orchestrator.ledger.ledger import Attempt, Ledger
from orchestrator.ledger.progress import leave_progress
from orchestrator.ledger.record import Retry
from orchestrator.study.passes import passes_for
from orchestrator.study.resources import Resources
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec, processes_of
from orchestrator.work import credentials
from orchestrator.work.delivery import root_here
from orchestrator.work.processes import crashes_told, memory_limit
from tasks.records import Record
from trainers.spec import Runtime

if TYPE_CHECKING:
    from trainers.loop.log import Row
    from trainers.loop.resume import Resuming

# How often a cluster is asked whether a node is to go.
_ASKED_EVERY_S = 5.0


def runtime_of(trial: TrialSpec, resources: Resources, *, rows: Literal["flat", "single"] | None = None) -> Runtime:
    """How one training process of a trial runs; what is left to `auto` here is as a device of unknown size has it."""
    passes = passes_for(trial, resources, single=rows == "single")
    return Runtime(
        rows=rows,
        threads=resources.trial_cpus,
        micro_tokens=passes.micro_tokens,
        zero_stage=resources.zero_stage,
        gradient_checkpointing=passes.gradient_checkpointing,
        checkpoint_minutes=resources.checkpoint_minutes,
    )


class TrainingOrder(Record):
    """A training to run: of which trial, with what, how its examples go, and why it was begun again if it was."""

    trial: TrialSpec
    resources: Resources
    retried: tuple[Retry, ...] = ()
    rows: Literal["flat", "single"] | None = None


class Place(Record):
    """Where a training finds its data and leaves its result: the ledger's address and the root of local data."""

    storage: str
    root: str


class _WorkerOrder(Record):
    """What each process of a training by several is told: the order, its place, and the attempt to write into."""

    order: TrainingOrder
    place: Place
    key: str
    attempt: str


def train_trial(
    order: TrainingOrder, place: Place, *, listen: "Callable[[Row], None]" = lambda row: None
) -> StageFailed | None:
    """Train one trial and record it; returns how it failed, if it did. Runs anywhere.

    `listen` is told each logged row of a training in one process.
    """
    trial, resources = order.trial, order.resources

    def body(attempt: Attempt) -> dict[str, Any]:
        with crashes_told(attempt.folder):
            if trial.traits.in_many_processes:
                facts = _train_full(order, place, attempt)
            else:
                facts = _train_here(order, place, attempt, listen=listen)
        how = {
            **runtime_of(trial, resources, rows=order.rows).model_dump(mode="json"),
            "processes": processes_of(trial, resources),
        }
        retried = [retry.model_dump(mode="json") for retry in order.retried]
        return {**facts, "runtime": how, **({"retried": retried} if retried else {})}

    try:
        ledger = Ledger(place.storage)
        record = run_stage(ledger, trial, StageName.TRAIN, inputs={}, body=body)
        TrainingCheckpoints(ledger, record.key, attempt=record.attempt).clear()
    except StageFailed as failed:
        return failed
    except LedgerError as unwritable:
        return StageFailed(str(unwritable), kind=Cause.DISK if unwritable.errno in FULL else Cause.CODE)
    return None


def _train_here(
    order: TrainingOrder, place: Place, attempt: Attempt, *, listen: "Callable[[Row], None]"
) -> dict[str, Any]:
    """A training in this process."""
    from orchestrator.work.train import train

    leave = _progress(attempt.folder)

    def report(row: "Row") -> None:
        leave(row)
        listen(row)

    with memory_limit(order.resources.trial_memory_mb):
        summary = train(
            order.trial,
            attempt.folder,
            root=_data_root(order.trial, place),
            runtime=runtime_of(order.trial, order.resources, rows=order.rows),
            report=report,
            resuming=_resuming(Ledger(place.storage), attempt, order.resources, leaving=_node_drains),
        )
    return summary.model_dump(mode="json")


def _data_root(trial: TrialSpec, place: Place) -> Path:
    """Where this node has the trial's local data."""
    paths = (s.source.path for s in (*trial.train, *trial.validation) if s.source.path is not None)
    return root_here(Path(place.root), paths)


def _resuming(ledger: Ledger, attempt: Attempt, resources: Resources, *, leaving: "Callable[[], bool]") -> "Resuming":
    """Where this training's checkpoints are kept, and when one is due."""
    from trainers.loop.resume import Resuming

    store = TrainingCheckpoints(ledger, attempt.key, attempt=attempt.id)
    return Resuming(store=store, every_s=60 * resources.checkpoint_minutes, leaving=_now_and_then(leaving))


def _now_and_then(ask: "Callable[[], bool]") -> "Callable[[], bool]":
    """Ask the cluster at most every few seconds."""
    asked, answer = -math.inf, False

    def told() -> bool:
        nonlocal asked, answer
        if time.monotonic() - asked >= _ASKED_EVERY_S:
            asked, answer = time.monotonic(), ask()
        return answer

    return told


def _node_drains() -> bool:
    """Whether the node of this process is about to be taken away; Ray tells a Tune trial nothing of it by itself."""
    import ray
    from ray._private.state import state

    if not ray.is_initialized():
        return False
    return ray.get_runtime_context().get_node_id() in state.get_draining_nodes()


def _workers_are_preempted() -> bool:
    """Whether Ray Train has notice that a node of this training is about to be taken away."""
    import ray.train

    return ray.train.get_preemption_info() is not None


def _progress(folder: Path) -> "Callable[[Row], None]":
    """Leave the newest row where `status` finds it; hidden, so it is no part of the stage's output."""
    newest: Row = {}

    def report(row: "Row") -> None:
        # A row of validation lacks the speed and the time that the step before it told.
        newest.update(row)
        leave_progress(folder, newest)

    return report


def _train_full(order: TrainingOrder, place: Place, attempt: Attempt) -> dict[str, Any]:
    """Full fine-tuning by Ray Train, from the trial's coordinator, which may run on another node than its workers."""
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    from trainers.methods.full import missing_for_full

    missing = missing_for_full()
    if missing:
        raise StageFailed(missing, kind=Cause.MISSING)
    resources = order.resources
    on_gpu = resources.trial_gpus > 0
    ledger = Ledger(place.storage)
    worker = _WorkerOrder(order=order, place=place, key=attempt.key, attempt=attempt.id)
    trainer = TorchTrainer(
        _full_worker,
        train_loop_config={"order": worker.model_dump_json()},
        torch_config=TorchConfig(backend="nccl" if on_gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=resources.full_workers,
            use_gpu=on_gpu,
            resources_per_worker={"CPU": resources.trial_cpus, **({"GPU": 1} if on_gpu else {})},
        ),
        # Train restores any snapshot under a run's name, so the name is the attempt's alone.
        run_config=ray.train.RunConfig(
            name=f"{attempt.key[:16]}-{attempt.id}",
            storage_path=str(ledger.ray_train_folder),
        ),
    )
    trainer.fit()
    ledger.download(attempt)
    return summary_in(attempt.folder)


def _full_worker(config: dict[str, str]) -> None:
    """One process of a full fine-tuning, in Ray Train's process group."""
    from orchestrator.work.train import train

    credentials.take()
    told = _WorkerOrder.model_validate_json(config["order"])
    ledger = Ledger(told.place.storage)
    attempt = ledger.attempt(told.key, told.attempt)
    trial, resources = told.order.trial, told.order.resources
    with memory_limit(resources.trial_memory_mb):
        train(
            trial,
            attempt.folder,
            root=_data_root(trial, told.place),
            runtime=runtime_of(trial, resources, rows=told.order.rows),
            report=_progress(attempt.folder),
            resuming=_resuming(ledger, attempt, resources, leaving=_workers_are_preempted),
        )
    ledger.upload(attempt)


__all__ = ["Place", "TrainingOrder", "runtime_of", "train_trial"]
