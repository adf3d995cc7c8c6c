"""A training where it runs: in a Tune trial's own process, or under Ray Train from a coordinator.

One decision: whatever happens to a training is what `train_trial` returns or what its attempt keeps, so the
same function serves a cluster, a test and a debugger.

A single-process training runs where `train_trial` is called. A full fine-tuning is run by Ray Train.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import FULL, LedgerError, StageFailed
from orchestrator.ledger.artifacts import summary_in
from orchestrator.ledger.attempts import run_stage
from orchestrator.ledger.ledger import Attempt, Ledger
from orchestrator.ledger.progress import leave_progress
from orchestrator.study.resources import Resources
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec, processes_of
from orchestrator.work import credentials
from orchestrator.work.processes import crashes_told, memory_limit
from trainers.spec import Runtime

if TYPE_CHECKING:
    from trainers.loop.log import Row


def runtime_of(trial: TrialSpec, resources: Resources) -> Runtime:
    """How one training process of a trial runs."""
    return Runtime(
        threads=resources.trial_cpus,
        micro_batch=largest_micro_batch(trial, resources),
        zero_stage=resources.zero_stage,
        gradient_checkpointing=resources.gradient_checkpointing,
    )


def largest_micro_batch(trial: TrialSpec, resources: Resources) -> int:
    """The rows of a forward pass: what the study allows, or a process's whole share of a batch if that is less."""
    processes = processes_of(trial, resources)
    share = -(-trial.training.batch_size // processes) if trial.training else resources.micro_batch
    return max(1, min(resources.micro_batch, share))


def train_trial(
    trial_json: str,
    *,
    storage: str,
    root: str,
    resources_json: str,
    retried: Sequence[str] = (),
    listen: "Callable[[Row], None]" = lambda row: None,
) -> StageFailed | None:
    """Train one trial and record it; returns how it failed, if it did. Runs anywhere.

    `retried` says what ended the tries before this one, for the record; `listen` is told each logged row.
    """
    trial = TrialSpec.model_validate_json(trial_json)
    resources = Resources.model_validate_json(resources_json)
    runtime = runtime_of(trial, resources)

    def body(attempt: Attempt) -> dict[str, Any]:
        with crashes_told(attempt.folder):
            if trial.traits.in_many_processes:
                facts = _train_full(trial, attempt, storage=storage, root=root, resources=resources)
            else:
                from orchestrator.work.train import train

                told = _progress(attempt.folder)

                def report(row: "Row") -> None:
                    told(row)
                    listen(row)

                with memory_limit(resources.trial_memory_mb):
                    summary = train(trial, attempt.folder, root=Path(root), runtime=runtime, report=report)
                facts = summary.model_dump(mode="json")
        how = {**runtime.model_dump(mode="json"), "processes": processes_of(trial, resources)}
        return {**facts, "runtime": how, **({"retried": list(retried)} if retried else {})}

    try:
        run_stage(Ledger(storage), trial, StageName.TRAIN, inputs={}, body=body)
    except StageFailed as failed:
        return failed
    except LedgerError as unwritable:
        return StageFailed(str(unwritable), kind="disk" if unwritable.errno in FULL else "code")
    return None


def _progress(folder: Path) -> "Callable[[Row], None]":
    """Leave the newest row where `status` finds it; hidden, so it is no part of the stage's output."""
    newest: Row = {}

    def report(row: "Row") -> None:
        # A row of validation lacks the speed and the time that the step before it told.
        newest.update(row)
        leave_progress(folder, newest)

    return report


def _train_full(trial: TrialSpec, attempt: Attempt, *, storage: str, root: str, resources: Resources) -> dict[str, Any]:
    """Full fine-tuning by Ray Train, from the trial's coordinator, which may run on another node than its workers."""
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    from trainers.methods.full import missing_for_full

    missing = missing_for_full()
    if missing:
        raise StageFailed(missing, kind="missing")
    on_gpu = resources.trial_gpus > 0
    ledger = Ledger(storage)
    trainer = TorchTrainer(
        _full_worker,
        train_loop_config={
            "trial": trial.model_dump_json(),
            "key": attempt.key,
            "attempt": attempt.id,
            "storage": storage,
            "root": root,
            "runtime": runtime_of(trial, resources).model_dump_json(),
            "memory_mb": str(resources.trial_memory_mb or ""),
        },
        torch_config=TorchConfig(backend="nccl" if on_gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=resources.full_workers,
            use_gpu=on_gpu,
            resources_per_worker={"CPU": resources.trial_cpus, **({"GPU": 1} if on_gpu else {})},
        ),
        # Train restores any snapshot under a run's name, so the name is the attempt's alone.
        run_config=ray.train.RunConfig(
            name=f"{attempt.key[:16]}-{attempt.id}",
            storage_path=str(ledger.storage / ".ray-train"),
        ),
    )
    trainer.fit()
    ledger.download(attempt)
    return summary_in(attempt.folder)


def _full_worker(config: dict[str, str]) -> None:
    """One process of a full fine-tuning, in Ray Train's process group."""
    from orchestrator.work.train import train

    credentials.take()
    ledger = Ledger(config["storage"])
    attempt = ledger.attempt(config["key"], config["attempt"])
    trial = TrialSpec.model_validate_json(config["trial"])
    limit = config["memory_mb"]
    with memory_limit(int(limit) if limit else None):
        train(
            trial,
            attempt.folder,
            root=Path(config["root"]),
            runtime=Runtime.model_validate_json(config["runtime"]),
            report=_progress(attempt.folder),
        )
    ledger.upload(attempt)


__all__ = ["largest_micro_batch", "runtime_of", "train_trial"]
