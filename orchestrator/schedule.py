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
import re
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import credentials
from orchestrator.errors import LedgerError, PolytuneError, StageFailed
from orchestrator.ledger import Attempt, Failure, Ledger, StageRecord, digests_of
from orchestrator.provenance import provenance
from orchestrator.redaction import without_secrets
from orchestrator.storage import FULL
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
    # Tune's newer output prints a banner even when it is told to be silent.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    # Ray Data restarts lost actors, of which the core warns on the terminal each time.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if resources.address:
        ray.init(address=resources.address, **common)
        credentials.share()
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
    body: Callable[[Attempt], dict[str, Any]],
) -> StageRecord:
    """Run a stage's body in a fresh attempt and record it.

    `body` is given the attempt, writes into its folder and returns facts for the record.

    Raises:
        StageFailed: if the body raised; the attempt keeps the traceback.
        LedgerError: if no attempt could be begun.
    """
    attempt = ledger.begin(trial.key(stage))
    started = time.monotonic()
    try:
        facts = body(attempt)
        seconds = time.monotonic() - started
        return record_success(ledger, attempt, trial, stage, inputs=inputs, seconds=seconds, facts=facts)
    except Exception as error:
        raise record_failure(ledger, attempt, stage, error) from error


def record_success(
    ledger: Ledger,
    attempt: Attempt,
    trial: TrialSpec,
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
        spec=trial.identity(stage),
    )
    return ledger.commit(attempt, record)


def record_failure(ledger: Ledger, attempt: Attempt, stage: StageName, error: BaseException) -> StageFailed:
    """Leave an error's cause and traceback with its attempt; returns what to tell of it, without secrets."""
    kind = _kind(error)
    cause = without_secrets(str(error) if isinstance(error, PolytuneError) else f"{type(error).__name__}: {error}")
    if kind == "disk":
        cause = f"the disk is full: {cause}; free some space (`polytune gc` lists what no study names), then run again"
        # What this attempt wrote is of no use, and word of its failure needs the room.
        shutil.rmtree(attempt.folder, ignore_errors=True)
    failure = Failure(
        stage=stage,
        cause=cause,
        kind=kind,
        traceback=without_secrets("".join(traceback.format_exception(error))),
        failed_at=time.time(),
    )
    try:
        return StageFailed(cause, str(ledger.fail(attempt, failure)))
    except LedgerError as unwritable:
        return StageFailed(f"{cause} (and no word of it could be left: {unwritable})")


def _kind(error: BaseException) -> str:
    """The sort of cause, which a retry policy would look at."""
    # Writers in other languages tell of a full disk in words.
    if getattr(error, "errno", None) in FULL or re.search("no space left|os error 28|disk quota", str(error), re.I):
        return "disk"
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "memory"
    if type(error).__name__ == "TrainingDiverged":
        return "diverged"
    return "settings" if isinstance(error, ValueError) else "code"


def train_trial(trial_json: str, *, storage: str, root: str, resources_json: str) -> str:
    """Train one trial and record it; returns the cause of a failure, or nothing. Runs anywhere."""
    trial = TrialSpec.model_validate_json(trial_json)
    resources = Resources.model_validate_json(resources_json)

    def body(attempt: Attempt) -> dict[str, Any]:
        if trial.kind == "full":
            return _train_full(trial, attempt, storage=storage, root=root, resources=resources)
        from orchestrator.stages import train

        folder = attempt.folder
        summary = train(
            trial, folder, root=Path(root), runtime=runtime_of(trial, resources), report=_progress(trial, folder)
        )
        return summary.model_dump(mode="json")

    try:
        run_stage(Ledger(storage), trial, "train", inputs={}, body=body)
    except (StageFailed, LedgerError) as error:
        return str(error)
    return ""


def _progress(trial: TrialSpec, folder: Path) -> "Callable[[Row], None]":
    """Leave the newest row where `status` finds it; hidden, so it is no part of the stage's output."""
    path = folder / ".progress.json"

    def report(row: "Row") -> None:
        path.write_text(json.dumps({"trial": trial.label, **row}), encoding="utf-8")

    return report


def _train_full(trial: TrialSpec, attempt: Attempt, *, storage: str, root: str, resources: Resources) -> dict[str, Any]:
    """Full fine-tuning by Ray Train, from the trial's coordinator, which may run on another node than its workers."""
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    from trainers.full import missing_for_full

    missing = missing_for_full()
    if missing:
        raise StageFailed(missing)
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
    facts: dict[str, Any] = json.loads((attempt.folder / "summary.json").read_text(encoding="utf-8"))
    return facts


def _full_worker(config: dict[str, str]) -> None:
    """One process of a full fine-tuning, in Ray Train's process group."""
    from orchestrator.stages import train

    credentials.take()
    ledger = Ledger(config["storage"])
    attempt = ledger.attempt(config["key"], config["attempt"])
    trial = TrialSpec.model_validate_json(config["trial"])
    train(
        trial,
        attempt.folder,
        root=Path(config["root"]),
        runtime=Runtime.model_validate_json(config["runtime"]),
        report=_progress(trial, attempt.folder),
    )
    ledger.upload(attempt)


def run_trainings(
    trials: Sequence[TrialSpec], *, ledger: Ledger, root: Path, resources: Resources, scratch: Path
) -> dict[str, str]:
    """Train all trials by Ray Tune; returns the cause of failure, or nothing, by trial label."""
    from ray import tune

    fixed = {
        "storage": ledger.address,
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

    credentials.take()
    tune.report({"cause": train_trial(config["trial"], **fixed)})


def _longest_first(trials: Sequence[TrialSpec]) -> list[TrialSpec]:
    """Full fine-tunings, then by the number of tracks: the longest must not start last."""
    return sorted(trials, key=lambda t: (t.kind != "full", -len(t.tracks), t.label))
