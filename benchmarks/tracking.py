"""Metrics written per second: the projection of a study against `mlflow.log_metric`, in one run.

Both write to the same store, by turns: a database (sqlite) and a tracking server on loopback. The
projection is timed whole, from reading the ledger to closing runs, artifacts included; its trainings have
the size of real ones (200 rows of 16 metrics). Then what 32 trials logged is counted in MLflow, metric by
metric and step by step, and must be what their ledger holds.

    python benchmarks/tracking.py --repeats 3
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from orchestrator.ledger.ledger import Ledger, StageRecord, digests_of
from orchestrator.study.cells import expand
from orchestrator.study.plainform import plain_form
from orchestrator.study.schema import Study, validate
from orchestrator.study.trial import TrialSpec
from orchestrator.tracking.project import project, ui_command

ROWS, TRACKS = 200, ("generation/python", "generation/java", "translation/java-csharp", "translation/csharp-java")
Logged = Counter[tuple[str, str, int]]


def make_study(storage: Path, *, trials: int) -> tuple[Study, tuple[TrialSpec, ...], Ledger]:
    """A study of that many trainings, and a ledger in which all have finished."""
    raw = {
        "study": storage.name,
        "storage": str(storage),
        "models": ["builtin:micro"],
        "data": {"test_limit": 1, "train_limit": 2},
        "seeds": list(range(trials)),
        "training": {"max_steps": ROWS, "learning_rate": 0.001},
        "tasks": {"generation/python": {"train": "micro", "test": "micro"}},
        "methods": {"lora": {"kind": "lora"}},
        "evaluation": {"quality": False},
    }
    study = validate(plain_form(raw))
    ledger = Ledger(storage)
    for trial in expand(study).trials:
        train(ledger, trial)
    return study, expand(study).trials, ledger


def train(ledger: Ledger, trial: TrialSpec) -> None:
    """Leave a finished training, as its worker would."""
    attempt = ledger.begin(trial.key("train"))
    (attempt.folder / "metrics").mkdir()
    (attempt.folder / "checkpoint-1").mkdir()
    (attempt.folder / "checkpoint-1" / "adapter_model.safetensors").write_bytes(bytes(100_000))
    (attempt.folder / "summary.json").write_text("{}", encoding="utf-8")
    for chunk in range(0, ROWS, 50):
        lines = [json.dumps(row(step)) + "\n" for step in range(chunk + 1, chunk + 51)]
        (attempt.folder / "metrics" / f"{chunk // 50:05d}.jsonl").write_text("".join(lines), encoding="utf-8")
    record = StageRecord(
        key=attempt.key,
        stage="train",
        attempt=attempt.id,
        inputs={},
        outputs=digests_of(attempt.folder),
        seconds=100.0,
        finished_at=time.time(),
        facts={"weights": "checkpoint-1"},
    )
    ledger.commit(attempt, record)


def row(step: int) -> dict[str, float]:
    """What a training on four tracks logs of a step, its validation among it: 13 or 18 metrics."""
    names = ("loss", "learning_rate", "gradient_norm", "tokens", "tokens_per_s")
    names += tuple(f"loss/{track}" for track in TRACKS)
    if step % 2:
        names += ("validation/loss", "validation/similarity", *(f"validation/loss/{track}" for track in TRACKS))
    return {"step": step, "time": 1.7e9 + step, **{name: step / (number + 7) for number, name in enumerate(names)}}


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """A tracking server on loopback over a database of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command, environment = ui_command(f"sqlite:///{folder / 'server.db'}", port=port)
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    """Return when a server answers."""
    while process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.2)
    raise RuntimeError("the server ended")


def logged_one_by_one(uri: str, *, name: str, points: int) -> float:
    """Metrics per second through `mlflow.log_metric`."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(name)
    with mlflow.start_run():
        began = time.perf_counter()
        for step in range(points):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        return points / (time.perf_counter() - began)


def projected(uri: str, storage: Path, *, trials: int) -> float:
    """Metrics per second through a projection of that many trials."""
    study, specs, ledger = make_study(storage, trials=trials)
    began = time.perf_counter()
    project(study, specs, ledger, uri=uri)
    seconds = time.perf_counter() - began
    return sum(in_ledger(specs, ledger).values()) / seconds


def in_ledger(trials: tuple[TrialSpec, ...], ledger: Ledger) -> Logged:
    """How often each trial logged each metric at each step."""
    counts: Logged = Counter()
    for trial in trials:
        for chunk in (ledger.folder(ledger.records_of(trial)["train"]) / "metrics").iterdir():
            for line in chunk.read_text(encoding="utf-8").splitlines():
                values: dict[str, Any] = json.loads(line)
                step = values.pop("step")
                del values["time"]
                counts.update((trial.label, name if "validation" in name else f"train/{name}", step) for name in values)
    return counts


def in_mlflow(uri: str, experiment: str) -> Logged:
    """How often MLflow has each metric of a curve at each step."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    counts: Logged = Counter()
    for run in client.search_runs([client.get_experiment_by_name(experiment).experiment_id]):
        for name in run.data.metrics:
            if name.startswith(("train/", "validation/")):
                history = client.get_metric_history(run.info.run_id, name)
                counts.update((run.info.run_name, name, point.step) for point in history)
    return counts


def compare(kind: str, uri: str, folder: Path, *, repeats: int) -> None:
    """Print both speeds on a store, measured by turns after one turn to warm up, and their ratio."""
    speeds: list[tuple[float, float]] = []
    for turn in range(repeats + 1):
        slow = logged_one_by_one(uri, name=f"{kind}-single-{turn}", points=200)
        fast = projected(uri, folder / f"{kind}-study-{turn}", trials=8)
        if turn:
            speeds.append((slow, fast))
    slow, fast = (median(column) for column in zip(*speeds, strict=True))
    ratios = [f / s for s, f in speeds]
    print(
        f"{kind:8} log_metric {slow:6,.0f}/s   projection {fast:7,.0f}/s   "
        f"ratio {median(ratios):.0f} ({min(ratios):.0f} to {max(ratios):.0f})",
        flush=True,
    )


def complete(kind: str, uri: str, folder: Path) -> None:
    """Print how many metrics of 32 trials MLflow has, and how many their ledger has.

    Raises:
        SystemExit: if they are not the same.
    """
    study, trials, ledger = make_study(folder / f"{kind}-complete", trials=32)
    project(study, trials, ledger, uri=uri)
    wanted, found = in_ledger(trials, ledger), in_mlflow(uri, study.study)
    print(f"{kind:8} 32 trials: {wanted.total():,} metrics in the ledger, {found.total():,} in MLflow", flush=True)
    if wanted != found:
        raise SystemExit(f"{sum(((wanted - found) + (found - wanted)).values())} differ")


def main() -> None:
    """Measure on a database and on a server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(folder) as address:
            for kind, uri in (("sqlite", f"sqlite:///{folder / 'mlflow.db'}"), ("server", address)):
                compare(kind, uri, folder, repeats=arguments.repeats)
                complete(kind, uri, folder)


if __name__ == "__main__":
    main()
