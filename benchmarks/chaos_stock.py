"""What stock Ray Tune makes of the kills that tests/chaos survives: `Tuner.restore` with MLflow's callback.

    python benchmarks/chaos_stock.py --storage DIR --seeds 1-3

Two trainings of so many steps, each with a checkpoint every few steps, as Tune's own guide writes them: report
with a checkpoint, begin at the checkpoint that is given. Tune's `MLflowLoggerCallback` logs to a server on
loopback. The driver, a worker and the server are killed once each by SIGKILL, in an order and at moments that the
seed draws; the driver is begun again with `Tuner.restore`, a trial that died is left to
`FailureConfig(max_failures=-1)`, and the server is started again. (A second raylet is left out: one machine's
storage and one node are the kinder case.) Then it is counted what is where it should be. Prints a JSON object a seed.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

STEPS, EVERY, STEP_S, TRIALS = 40, 10, 0.25, 2
_STARTS = 6


def drive(storage: Path, uri: str) -> None:
    """The driver: begin, or restore what was begun."""
    import tempfile

    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    steps_log = storage / "steps.jsonl"

    def trainable(config: dict[str, Any]) -> None:
        first = 0
        given = tune.get_checkpoint()
        if given:
            with given.as_directory() as folder:
                first = int((Path(folder) / "step").read_text()) + 1
        for step in range(first, STEPS):
            time.sleep(STEP_S)
            with steps_log.open("a") as log:
                log.write(json.dumps({"trial": config["seed"], "step": step}) + "\n")
            if (step + 1) % EVERY == 0:
                with tempfile.TemporaryDirectory() as folder:
                    (Path(folder) / "step").write_text(str(step))
                    tune.report({"loss": 1 / (step + 1)}, checkpoint=tune.Checkpoint.from_directory(folder))
            else:
                tune.report({"loss": 1 / (step + 1)})

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    path = storage / "stock"
    if tune.Tuner.can_restore(str(path)):
        tuner = tune.Tuner.restore(str(path), trainable, resume_errored=True)
    else:
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"seed": tune.grid_search(list(range(TRIALS)))},
            run_config=tune.RunConfig(
                name="stock",
                storage_path=str(storage),
                failure_config=tune.FailureConfig(max_failures=-1),
                callbacks=[MLflowLoggerCallback(tracking_uri=uri, experiment_name="stock")],
            ),
        )
    results = tuner.fit()
    raise SystemExit(1 if results.errors else 0)


def storm(storage: Path, seed: int) -> dict[str, Any]:
    """One storm; returns what became of the study."""
    storage.mkdir(parents=True)
    draw, port = random.Random(seed), _free_port()
    server, driver = _serve(storage, port), _begin(storage, port)
    starts, kills = 1, []
    order = ["driver", "worker", "mlflow"]
    draw.shuffle(order)
    for target in order:
        before = _steps(storage)
        while _steps(storage) == before and driver.poll() is None:
            time.sleep(0.1)
        time.sleep(draw.uniform(0, 3))
        pid = {"driver": driver.pid, "mlflow": server.pid}.get(target) or _worker()
        if pid is None or driver.poll() is not None:
            continue
        os.kill(pid, signal.SIGKILL)
        kills.append(f"{target} at step {_steps(storage)}")
        if target == "driver":
            driver.wait()
            driver, starts = _begin(storage, port), starts + 1
        elif target == "mlflow":
            _end(server)
            server = _serve(storage, port)
    while driver.wait() < 0 and starts < _STARTS:
        driver, starts = _begin(storage, port), starts + 1
    found = {"seed": seed, "kills": kills, "starts": starts, "status": driver.returncode, **_account(storage)}
    _end(server)
    return found


def _account(storage: Path) -> dict[str, Any]:
    """What was computed and what MLflow shows, against what should be."""
    steps = [json.loads(line) for line in (storage / "steps.jsonl").read_text().splitlines()]
    with sqlite3.connect(storage / "mlflow.db") as database:
        runs = database.execute("select status, count(*) from runs group by status").fetchall()
        twice = database.execute(
            "select count(*) from (select 1 from metrics where key = 'loss' group by run_uuid, key, step "
            "having count(*) > 1)"
        ).fetchone()[0]
        points = database.execute(
            "select count(*) from (select distinct run_uuid, step from metrics where key = 'loss')"
        ).fetchone()[0]
    return {
        "trials": TRIALS,
        "steps_due": TRIALS * STEPS,
        "steps_computed": len(steps),
        "mlflow_runs_by_status": dict(runs),
        "points_logged": points,
        "points_logged_twice": twice,
    }


def _steps(storage: Path) -> int:
    path = storage / "steps.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def _worker() -> int | None:
    """A process of this benchmark's that trains: below one of its own drivers' Ray."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(b"ray::ImplicitFunc") and _is_ours(int(path.parent.name)):
                return int(path.parent.name)
    return None


def _is_ours(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return f"{_MARK}={os.getpid()}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    return False


_MARK = "POLYTUNE_CHAOS_STOCK"


def _begin(storage: Path, port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, __file__, "--storage", str(storage), "--drive", f"http://127.0.0.1:{port}"]
    with (storage / "driver.txt").open("ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, _MARK: str(os.getpid())}
        )


def _serve(storage: Path, port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{storage / 'mlflow.db'}"]
    with (storage / "mlflow.txt").open("ab") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )

    def up() -> bool:
        try:
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200)
        except OSError:
            return False

    _until(up)
    return server


def _until(condition: Any) -> None:
    while not condition():
        time.sleep(0.1)


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main() -> None:
    """Run one storm a seed, or be the driver of one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--seeds", default="1-3")
    parser.add_argument("--drive", metavar="URI", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        drive(given.storage, given.drive)
    first, _, last = given.seeds.partition("-")
    for seed in range(int(first), int(last or first) + 1):
        print(json.dumps(storm(given.storage.resolve() / f"seed-{seed}", seed)), flush=True)


if __name__ == "__main__":
    main()
