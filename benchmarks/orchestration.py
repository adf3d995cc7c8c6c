"""What orchestration costs: a trial that does nothing, against stock Ray Tune; overlap, against stage by stage.

    python benchmarks/orchestration.py --storage DIR [--trials 50] [--skip overlap]

Two measurements, each side by side on one machine and cluster size:

1. N trials that compute nothing, on two cores. Ours take the whole way of a training: asked of the queue,
   run by a Tune actor, an attempt begun, a file written and hashed, a record committed to the ledger, Tune told.
   Stock Tune's report one number and are done.
2. One study of real trainings of unlike length on the built-in model, as `polytune run` runs it, and with each
   stage waiting for the one before to be finished for all trials. Both start with an empty ledger.

Prints one JSON object.
"""

import argparse
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from orchestrator.errors import StageFailed
from orchestrator.ledger.attempts import run_stage
from orchestrator.ledger.ledger import Attempt, Ledger
from orchestrator.ledger.studies import ledger_of
from orchestrator.run import driver
from orchestrator.run.budget import Limits, Meter
from orchestrator.run.pipelines import PIPELINES
from orchestrator.run.planning import store_study
from orchestrator.run.queue import TrainingQueue
from orchestrator.run.state import Listener, StudyRun
from orchestrator.run.tune import run_trainings
from orchestrator.study.cells import expand
from orchestrator.study.plainform import plain_form
from orchestrator.study.resources import Resources
from orchestrator.study.schema import Study, validate
from orchestrator.work.session import local_ray
from orchestrator.work.training import Place, TrainingOrder

TRACK = "generation/python"
# Steps of the trainings of the mixed study: one long and some short, as a grid of methods and sizes has them.
LONG, SHORT = 160, 20


def study_of(storage: Path, *, name: str, seeds: int, methods: dict[str, Any]) -> Study:
    """A study on the built-in model and suite."""
    return validate(
        plain_form(
            {
                "study": name,
                "storage": str(storage),
                "models": ["builtin:micro"],
                "seeds": list(range(seeds)),
                "data": {"train_limit": 64, "test_limit": 100},
                "tasks": {TRACK: {"train": "micro", "test": "micro"}},
                "training": {"learning_rate": 5e-3, "batch_size": 8, "max_steps": SHORT},
                "methods": methods,
                "evaluation": {"quality": False, "generation": {"max_new_tokens": 128}},
                "resources": {"micro_tokens": 2048, "generation_batch": 8, "generators": 2},
            }
        )
    )


def nothing(order: TrainingOrder, place: Place) -> StageFailed | None:
    """A training that computes nothing, on the way that each takes."""
    trial = order.trial

    def body(attempt: Attempt) -> dict[str, Any]:
        (attempt.folder / "weights").write_text(trial.label, encoding="utf-8")
        return {"weights": "weights"}

    run_stage(Ledger(place.storage), trial, "train", inputs={}, body=body)
    return None


def ours(storage: Path, trials: int) -> float:
    """Seconds for so many trials that do nothing, through queue, Tune and ledger."""
    study = study_of(storage / "noop", name="noop", seeds=trials, methods={"lora": {"kind": "lora"}})
    failed: list[Any] = []
    queue = TrainingQueue(
        expand(study).trials,
        resources=study.resources,
        ended=lambda trial, cause, again: failed.extend([cause] * bool(cause)),
    )
    ledger = ledger_of(study)
    began = time.monotonic()
    run_trainings(queue, ledger=ledger, root=Path("."), scratch=storage / "scratch", body=nothing)
    seconds = time.monotonic() - began
    assert not failed, failed
    assert all("train" in ledger.records_of(trial) for trial in expand(study).trials)
    return seconds


def stock(storage: Path, trials: int) -> float:
    """Seconds for so many trials that do nothing, by Tune as it comes."""
    from ray import tune

    def trainable(config: dict[str, Any]) -> None:
        tune.report({"loss": 0.0})

    began = time.monotonic()
    results = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"seed": tune.grid_search(list(range(trials)))},
        run_config=tune.RunConfig(storage_path=str(storage / "stock"), name="stock", verbose=0),
    ).fit()
    seconds = time.monotonic() - began
    assert len(results) == trials and not results.errors
    return seconds


def overlapped(study: Study) -> None:
    """The study as it is run."""
    outcome = driver.run_study(expand(study), ledger_of(study))
    assert not outcome.failed, outcome.failed


def stage_by_stage(study: Study) -> None:
    """The same stages, each for all trials before the next."""
    ledger = ledger_of(study)
    with ledger.lease(study.study) as lease:
        run = StudyRun(expand(study), ledger, lease=lease, listener=Listener(), meter=Meter(study, ledger, Limits()))
        store_study(expand(study), ledger)
        run.done.look()
        driver._train(run)
        for stage, pipeline in PIPELINES.items():
            pipeline(run, run.done.due(stage))
    assert not run.outcome.failed, run.outcome.failed


def makespans(storage: Path, rounds: int) -> list[dict[str, float]]:
    """Seconds of the mixed study both ways, in turns, after one run that warms the cluster's processes."""
    methods = {
        "frozen": {"kind": "frozen"},
        "long": {"kind": "lora", "training": {"max_steps": LONG}},
        **{f"short{i}": {"kind": "lora", "lora": {"rank": 2**i}} for i in range(1, 5)},
    }
    found = []
    for number in range(rounds + 1):
        seconds = {}
        for way in (overlapped, stage_by_stage) if number % 2 else (stage_by_stage, overlapped):
            study = study_of(storage / f"{way.__name__}-{number}", name="mixed", seeds=1, methods=methods)
            began = time.monotonic()
            way(study)
            seconds[way.__name__] = time.monotonic() - began
        found.append(seconds)
        sys.stderr.write(f"round {number}: {seconds}\n")
    return found[1:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--storage", type=Path, required=True, help="an empty folder")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip", choices=["overhead", "overlap"])
    given = parser.parse_args()
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    logging.disable(logging.WARNING)
    found: dict[str, Any] = {}
    if given.skip != "overhead":
        with local_ray(Resources(), num_cpus=2):
            found["ours_s_per_trial"] = ours(given.storage, given.trials) / given.trials
        # As it comes: none of the settings that we run Tune with.
        for name in [name for name in os.environ if name.startswith("TUNE_")]:
            del os.environ[name]
        with local_stock():
            found["stock_s_per_trial"] = stock(given.storage, given.trials) / given.trials
        found["ratio"] = found["stock_s_per_trial"] / found["ours_s_per_trial"]
    if given.skip != "overlap":
        with local_ray(Resources(), num_cpus=2):
            found["makespan_s"] = makespans(given.storage, given.rounds)
        ratios = sorted(m["stage_by_stage"] / m["overlapped"] for m in found["makespan_s"])
        found["makespan_ratio_median"] = ratios[len(ratios) // 2]
    print(json.dumps(found, indent=1))


class local_stock:
    """A Ray cluster of two cores as it comes."""

    def __enter__(self) -> None:
        import ray

        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()


if __name__ == "__main__":
    main()
