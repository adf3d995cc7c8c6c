"""Ray Tune and Ray Train: trials onto nodes and GPUs.

One decision: a Tune trial is one training and reports only whether it ended well. Its weights and
metrics go to the ledger, which its own actor commits to, so nothing is lost when the driver dies and
nothing of Tune's own state is needed to go on.

A single-process training runs inside the trial's actor. A full fine-tuning is run by Ray Train from
a coordinator that holds nothing but the custom resource `trial`: Tune refuses a trial without
resources, and a coordinator that held CPUs would starve its own workers on a small machine.
"""

import json
import os
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StageFailed
from orchestrator.ledger import Attempt, Failure, Ledger, StageRecord, digests_of
from orchestrator.provenance import provenance
from orchestrator.study import Resources
from orchestrator.trial import StageName, TrialSpec
from trainers.spec import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainers.train import Row

TRIAL_RESOURCE = "trial"
_COORDINATORS = 1000.0


@contextmanager
def local_ray(resources: Resources, *, num_cpus: int | None = None) -> "Iterator[None]":
    """A Ray cluster for the length of a study: the one at `resources.address`, or one of our own.

    `num_cpus` is how many cores our own offers; all that this process may use, unless it is given.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    # Tune takes Ctrl-C for itself: it would end the trainings, and the study would go on without them.
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    # Tune's newer output prints a banner even when it is told to be silent.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    # Ray Data restarts lost actors, of which the core warns on the terminal each time.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if resources.address:
        ray.init(address=resources.address, **common)
    else:
        ray.init(
            num_cpus=num_cpus or len(os.sched_getaffinity(0)),
            resources={TRIAL_RESOURCE: _COORDINATORS},
            object_store_memory=resources.object_store_mb * 2**20,
            include_dashboard=False,
            **common,
        )
    try:
        yield
    finally:
        ray.shutdown()


def runtime_of(trial: TrialSpec, resources: Resources) -> Runtime:
    """How one training process of a trial runs."""
    return Runtime(
        threads=resources.trial_cpus,
        micro_batch=resources.micro_batch,
        zero_stage=resources.zero_stage,
        gradient_checkpointing=resources.gradient_checkpointing,
    )


def run_stage(
    ledger: Ledger,
    trial: TrialSpec,
    stage: StageName,
    *,
    inputs: dict[str, str],
    body: Callable[[Path], dict[str, Any]],
) -> StageRecord:
    """Run a stage's body in a fresh attempt and record it.

    `body` is given the attempt's folder and returns facts for the record.

    Raises:
        StageFailed: if the body raised; the attempt keeps the traceback.
    """
    attempt = ledger.begin(trial.key(stage))
    started = time.monotonic()
    try:
        facts = body(attempt.folder)
    except Exception as error:
        path = record_failure(ledger, attempt, stage, error)
        raise StageFailed(f"{type(error).__name__}: {error}", str(path)) from error
    return record_success(ledger, attempt, stage, inputs=inputs, seconds=time.monotonic() - started, facts=facts)


def record_success(
    ledger: Ledger,
    attempt: Attempt,
    stage: StageName,
    *,
    inputs: dict[str, str],
    seconds: float,
    facts: dict[str, Any],
) -> StageRecord:
    """Make what lies in an attempt's folder the stage's result."""
    record = StageRecord(
        key=attempt.key,
        stage=stage,
        attempt=attempt.id,
        inputs=inputs,
        outputs=digests_of(attempt.folder),
        seconds=seconds,
        finished_at=time.time(),
        facts=facts,
        provenance=provenance(),
    )
    return ledger.commit(attempt, record)


def record_failure(ledger: Ledger, attempt: Attempt, stage: StageName, error: BaseException) -> Path:
    """Leave an error's cause and traceback with its attempt."""
    failure = Failure(
        stage=stage,
        cause=f"{type(error).__name__}: {error}",
        kind=_kind(error),
        traceback="".join(traceback.format_exception(error)),
        failed_at=time.time(),
    )
    return ledger.fail(attempt, failure)


def _kind(error: BaseException) -> str:
    """The sort of cause, which a retry policy would look at."""
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "memory"
    if type(error).__name__ == "TrainingDiverged":
        return "diverged"
    return "settings" if isinstance(error, ValueError) else "code"


def train_trial(trial_json: str, *, storage: str, root: str, resources_json: str) -> str:
    """Train one trial and record it; returns the cause of a failure, or nothing. Runs anywhere."""
    trial = TrialSpec.model_validate_json(trial_json)
    resources = Resources.model_validate_json(resources_json)
    ledger = Ledger(Path(storage))

    def body(folder: Path) -> dict[str, Any]:
        if trial.kind == "full":
            return _train_full(trial, folder, root=root, resources=resources)
        from orchestrator.stages import train

        summary = train(trial, folder, root=Path(root), runtime=runtime_of(trial, resources), report=_progress(folder))
        return summary.model_dump(mode="json")

    try:
        run_stage(ledger, trial, "train", inputs={}, body=body)
    except StageFailed as error:
        return str(error)
    return ""


def _progress(folder: Path) -> "Callable[[Row], None]":
    """Leave the newest row where `status` finds it; hidden, so it is no part of the stage's output."""
    newest: Row = {}

    def report(row: "Row") -> None:
        # A row of validation lacks the speed and the time that the step before it told.
        newest.update(row)
        leave_progress(folder, newest)

    return report


def leave_progress(folder: Path, row: "Row") -> None:
    """Say how far an attempt is, for `orchestrator.progress` in whatever process."""
    private = folder / f".progress.{os.getpid()}"
    private.write_text(json.dumps(row), encoding="utf-8")
    private.replace(folder / ".progress.json")


def _train_full(trial: TrialSpec, folder: Path, *, root: str, resources: Resources) -> dict[str, Any]:
    """Full fine-tuning by Ray Train, from the trial's coordinator."""
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    from trainers.full import missing_for_full

    missing = missing_for_full()
    if missing:
        raise StageFailed(missing)
    on_gpu = resources.trial_gpus > 0
    trainer = TorchTrainer(
        _full_worker,
        train_loop_config={
            "trial": trial.model_dump_json(),
            "folder": str(folder),
            "root": root,
            "runtime": runtime_of(trial, resources).model_dump_json(),
        },
        torch_config=TorchConfig(backend="nccl" if on_gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=resources.full_workers,
            use_gpu=on_gpu,
            resources_per_worker={"CPU": resources.trial_cpus, **({"GPU": 1} if on_gpu else {})},
        ),
        # Train restores any snapshot under a run's name, so the name is the attempt's alone.
        run_config=ray.train.RunConfig(
            name=f"{folder.parent.parent.name[:16]}-{folder.name}",
            storage_path=str(folder.parent.parent.parent.parent / ".ray-train"),
        ),
    )
    trainer.fit()
    facts: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return facts


def _full_worker(config: dict[str, str]) -> None:
    """One process of a full fine-tuning, in Ray Train's process group."""
    from orchestrator.stages import train

    folder = Path(config["folder"])
    trial = TrialSpec.model_validate_json(config["trial"])
    train(
        trial,
        folder,
        root=Path(config["root"]),
        runtime=Runtime.model_validate_json(config["runtime"]),
        report=_progress(folder),
    )


def run_trainings(
    trials: Sequence[TrialSpec], *, ledger: Ledger, root: Path, resources: Resources, scratch: Path
) -> dict[str, str]:
    """Train all trials by Ray Tune; returns the cause of failure, or nothing, by trial label."""
    from ray import tune

    fixed = {
        "storage": str(ledger.storage.resolve()),
        "root": str(root.resolve()),
        "resources_json": resources.model_dump_json(),
    }

    def placement(config: dict[str, Any]) -> Any:
        if json.loads(config["trial"])["kind"] == "full":
            return tune.PlacementGroupFactory([{TRIAL_RESOURCE: 1}])
        return tune.PlacementGroupFactory([{"CPU": resources.trial_cpus, "GPU": resources.trial_gpus}])

    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(_tune_trial, fixed=fixed), placement),
        param_space={"trial": tune.grid_search([trial.model_dump_json() for trial in _longest_first(trials)])},
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            max_concurrent_trials=_concurrent(trials, resources),
            trial_name_creator=lambda t: "trial_" + str(t.trial_id),
            trial_dirname_creator=lambda t: "trial_" + str(t.trial_id),
        ),
        run_config=tune.RunConfig(storage_path=str(scratch), name=f"tune-{time.time_ns()}", verbose=0),
    )
    results = tuner.fit()
    causes = {trial.label: "the trial ended without a word; see Ray's logs" for trial in trials}
    for result in [results[i] for i in range(len(results))]:
        label = TrialSpec.model_validate_json(result.config["trial"]).label if result.config else ""
        if result.error is not None:
            causes[label] = str(result.error).strip().splitlines()[-1]
        elif result.metrics is not None and "cause" in result.metrics:
            causes[label] = result.metrics["cause"]
    return causes


def _concurrent(trials: Sequence[TrialSpec], resources: Resources) -> int:
    """How many trials may run at once, so that a coordinator's workers find room beside them.

    A full fine-tuning's workers are no part of its Tune trial's resources. Without this bound the
    single-process trials take every core, and the longest trial of a study runs last, alone.
    """
    import ray

    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    wanted = {"CPU": float(resources.trial_cpus), "GPU": resources.trial_gpus}
    slots = min(int(have.get(name, 0.0) / amount) for name, amount in wanted.items() if amount > 0)
    beyond_first = resources.full_workers - 1 if any(t.kind == "full" for t in trials) else 0
    return max(1, slots - beyond_first)


def _tune_trial(config: dict[str, Any], fixed: dict[str, str]) -> None:
    """A Tune trial: whatever becomes of the training is data."""
    from ray import tune

    tune.report({"cause": train_trial(config["trial"], **fixed)})


def _longest_first(trials: Sequence[TrialSpec]) -> list[TrialSpec]:
    """Full fine-tunings, then by the number of tracks: the longest must not start last."""
    return sorted(trials, key=lambda t: (t.kind != "full", -len(t.tracks), t.label))
