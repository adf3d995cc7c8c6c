"""Ray Tune and Ray Train: trials onto nodes and GPUs.

One decision: a Tune trial is one try at a training and reports only how it ended. Its weights and metrics
go to the ledger, which its own actor commits to, and what runs next is asked of a queue of ours, so nothing
is lost when the driver dies and nothing of Tune's own state is needed to go on.

A single-process training runs inside the trial's actor. A full fine-tuning is run by Ray Train from
a coordinator that holds nothing but the custom resource `trial`: Tune refuses a trial without
resources, and a coordinator that held CPUs would starve its own workers on a small machine.
"""

import contextlib
import logging
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.causes import kind_of
from orchestrator.errors import Cause, StageFailed
from orchestrator.ledger.ledger import Ledger
from orchestrator.run.queue import TrainingQueue
from orchestrator.study.resources import Resources, cluster_address
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.work import credentials, delivery
from orchestrator.work.processes import crash_of
from orchestrator.work.session import TRIAL_RESOURCE
from orchestrator.work.training import Place, TrainingOrder, train_trial

if TYPE_CHECKING:
    pass

# Under this name a Tune trial's configuration holds its order, as JSON: Tune copies and prints what it is given.
_ORDER = "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What ASHA compares trainings by, and the step at which it first does."""

    metric: str
    first_step: int


def run_trainings(
    queue: TrainingQueue,
    *,
    ledger: Ledger,
    root: Path,
    scratch: Path,
    body: Callable[..., StageFailed | None] = train_trial,
    pruning: Pruning | None = None,
) -> None:
    """Train by Ray Tune whatever the queue gives, until it has finished or was stopped.

    `scratch` is for Tune's own notes, which nobody reads; `body` trains one trial, in its actor;
    with `pruning`, ASHA ends trainings that do worse than most others have done by the same step.
    """
    from ray import tune
    from ray.tune.stopper import Stopper

    # What became of each trial is told by the queue; Tune would add stacks of what is tried again anyway.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)

    class Stopped(_Here, Stopper):
        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            if queue.stopped:
                raise _Left
            return False

    _keep_keys_from_tune()
    place = Place(storage=ledger.address, root=str(root.resolve()))
    metric = pruning.metric if pruning else ""
    trial_body = tune.with_parameters(_tune_trial, place=place, body=body, metric=metric)
    trainable = tune.with_resources(trial_body, _placement)
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=_searcher(queue),
            scheduler=_asha(pruning) if pruning else None,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda t: "trial_" + str(t.trial_id),
            trial_dirname_creator=lambda t: "trial_" + str(t.trial_id),
        ),
        run_config=tune.RunConfig(
            storage_path=str(scratch),
            name=f"tune-{time.time_ns()}",
            verbose=0,
            stop=Stopped(),
            callbacks=[_end_callback(queue, ledger, metric=metric)],
        ),
    )
    with _offered(root, ledger, queue.resources), contextlib.suppress(_Left):
        tuner.fit()


class _Left(BaseException):
    """Leaves Tune at once when a run is stopped; its actors end with Ray.

    Tune would wait for them for ten seconds and more, and a thread that still asks Ray for something when Ray is shut
    down ends the whole process with status 1 and not a word. No `Exception`, since of one Tune would clean up first.
    """


@contextmanager
def _offered(root: Path, ledger: Ledger, resources: Resources) -> Iterator[None]:
    """Let a cluster's nodes fetch local data that they have not, and see whether they have the study's storage."""
    if not cluster_address(resources):
        yield
        return
    mark = ledger.ray_train_folder / f"seen-{time.time_ns()}" if ledger.is_local else None
    if mark is not None:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    # An actor ends with its last handle.
    depot = delivery.offer(root, mark=mark)
    try:
        yield
    finally:
        del depot
        if mark is not None:
            mark.unlink(missing_ok=True)


def _keep_keys_from_tune() -> None:
    """Tune puts a bucket's keys into its actors' runtime environments, which Ray logs; `credentials` brings them."""
    from ray.tune.execution import class_cache

    names = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in names if not name.startswith("AWS_")}


class _Here:
    """Lives in this process alone: Tune pickles and copies what it is given, for a restore that nobody asks for."""

    def __deepcopy__(self, memo: object) -> "_Here":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return object, ()


def _asha(pruning: Pruning) -> Any:
    from ray.tune.schedulers import ASHAScheduler

    # Rungs are powers of the reduction factor times the first step; the last is beyond any training.
    return ASHAScheduler(
        time_attr="step", metric="value", mode="min", grace_period=pruning.first_step, max_t=10**6, reduction_factor=3
    )


def _searcher(queue: TrainingQueue) -> Any:
    """The queue in the form in which Tune asks for trials."""
    from ray.tune.search import Searcher
    from ray.tune.search.search_generator import SearchGenerator

    class Asked(_Here, Searcher):
        def suggest(self, trial_id: str) -> Any:
            order = queue.next(room=_room(queue.resources) if queue.has_full else None)
            return None if order is None else {_ORDER: order.model_dump_json()}

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            """Told to the queue by a callback, which knows the error."""

        def save(self, checkpoint_path: str) -> None:
            """Nothing is needed to go on."""

        def restore(self, checkpoint_path: str) -> None:
            """Nothing was saved."""

    class Asking(_Here, SearchGenerator):
        def is_finished(self) -> bool:
            # Said anew each time: while this is untrue Tune keeps an idle actor, with its core or its GPU, for
            # a trial to come, and none comes unless one that runs now is lost.
            return bool(self._finished) or queue.stopped or not queue.waiting

    return Asking(Asked())


def _end_callback(queue: TrainingQueue, ledger: Ledger, *, metric: str) -> Any:
    """Tells the queue how each Tune trial ended."""
    from ray import tune

    class Ends(_Here, tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            result = trial.last_result or {}
            failed: StageFailed | None
            if "cause" not in result and "value" in result:
                words = f"stopped at step {result['step']} with {metric} {abs(result['value']):.4f}"
                failed = StageFailed(words, kind=Cause.PRUNED)
            elif "cause" not in result:
                failed = StageFailed("the training process ended and left no result", kind=Cause.LOST)
            else:
                failed = StageFailed(result["cause"], result["log"], Cause(result["kind"])) if result["cause"] else None
            self._tell(trial, failed)

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            self._tell(trial, _died(_error_of(trial), ledger, _order_of(trial.config).trial))

        def _tell(self, trial: Any, failed: StageFailed | None) -> None:
            spec = _order_of(trial.config).trial
            # The ledger decides, whatever Tune says: a training may have been recorded before its actor died.
            done = failed is None or StageName.TRAIN in ledger.records_of(spec)
            queue.end(spec, None if done else failed)

    return Ends()


def _order_of(config: dict[str, str]) -> TrainingOrder:
    return TrainingOrder.model_validate_json(config[_ORDER])


def _error_of(trial: Any) -> BaseException:
    """What ended a Tune trial. Its own accessors look where the error is copied to later."""
    path = trial.pickled_error_file
    if path is not None and Path(path).is_file():
        error: BaseException = pickle.loads(Path(path).read_bytes())
        return error
    path = trial.error_file
    return RuntimeError(
        Path(path).read_text(encoding="utf-8") if path and Path(path).is_file() else "no error is known"
    )


def _died(error: BaseException, ledger: Ledger, trial: TrialSpec) -> StageFailed:
    """How a training failed that could not tell itself."""
    kind = kind_of(error)
    crash = crash_of(ledger, trial.key(StageName.TRAIN)) if kind == Cause.LOST else ""
    if crash:
        return StageFailed(crash, kind=Cause.CODE)
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return StageFailed(lines[0] if kind == Cause.LOST else lines[-1], kind=kind)


def _placement(config: dict[str, Any]) -> Any:
    """What a trial's actor holds."""
    from ray import tune

    order = _order_of(config)
    if order.trial.traits.in_many_processes:
        return tune.PlacementGroupFactory([{TRIAL_RESOURCE: 1}])
    return tune.PlacementGroupFactory([{"CPU": order.resources.trial_cpus, "GPU": order.resources.trial_gpus}])


def _room(resources: Resources) -> int:
    """How many training processes find place on the cluster as it is now.

    A full fine-tuning's workers are no part of its Tune trial's resources. Without this bound the
    single-process trials take every core, and the longest trial of a study runs last, alone.
    """
    import ray

    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    wanted = {"CPU": float(resources.trial_cpus), "GPU": resources.trial_gpus}
    return min(int(have.get(name, 0.0) / amount) for name, amount in wanted.items() if amount > 0)


def _tune_trial(config: dict[str, Any], place: Place, body: Callable[..., StageFailed | None], metric: str) -> None:
    """A Tune trial: whatever becomes of the training is data."""
    from ray import tune

    credentials.take()

    def listen(row: dict[str, float]) -> None:
        if metric in row:
            # ASHA looks for the lowest.
            value = row[metric] if metric == "validation/loss" else -row[metric]
            tune.report({"value": value, "step": int(row["step"])})

    failed = body(_order_of(config), place, **({"listen": listen} if metric else {}))
    tune.report({"cause": failed.cause, "log": failed.log_path, "kind": failed.kind.value} if failed else {"cause": ""})


__all__ = ["Pruning", "run_trainings"]
