"""A short study on a cluster of two raylets, in which processes are killed at random moments.

One decision: nothing is simulated. The driver, the worker that trains, the second node's raylet and the MLflow
server are processes of their own, and each is ended by SIGKILL at a moment drawn from a seed, while a stage of
the study is under way. What was running then is read from the ledger and noted with the kill.
"""

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
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.provenance import process_start
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

Target = Literal["driver", "worker", "raylet", "mlflow"]
TARGETS: tuple[Target, ...] = ("driver", "worker", "raylet", "mlflow")

STUDY = """
study: storm
storage: {storage}
models: [builtin:micro]
data: {{train_limit: 48, test_limit: 3}}
tasks:
  generation/python: {{train: micro, test: micro}}
  summarization/python: {{train: micro, test: micro}}
training: {{learning_rate: 5.0e-3, batch_size: 8, max_steps: 24}}
methods: {{frozen: {{kind: frozen}}, lora: {{kind: lora}}, apart: {{kind: lora, grouping: apart}}}}
evaluation: {{quality: false, generation: {{max_new_tokens: 24, max_summary_tokens: 16}}}}
resources: {{micro_tokens: 2048, object_store_mb: 100}}
"""
# Ray's core ends a process without a word on the terminal; its own log then says why.
TELLING = {"RAY_BACKEND_LOG_LEVEL": "info"}
# Exit statuses of a driver that was not cut off: a trial that it gave up is a failure here.
_ENDED = (0, 1)
# Of the study's 14 stages, so many are finished at most when a process is killed; three need no training.
_EARLY, _LATE = 3, 7
# A moment is drawn from so many seconds after that, while a stage is seen to run.
_SPREAD_S = 2.0
_POLL_S = 0.05
# How long a step of the test may take on a busy machine before the test gives up.
_PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A process that was killed, and the stages (`trial stage`) that were under way just then."""

    target: Target
    pid: int
    running: tuple[str, ...]
    at_s: float

    def __str__(self) -> str:
        return f"{self.at_s:6.1f} s: killed the {self.target} ({self.pid}) during {', '.join(self.running)}"


@dataclass(slots=True, kw_only=True)
class Report:
    """What a storm left: its kills, the driver's starts, and the last driver's answer."""

    kills: list[Kill] = field(default_factory=list)
    starts: int = 0
    status: int = -1
    answer: dict[str, Any] = field(default_factory=dict)
    errors: str = ""
    seconds: float = 0.0


def write_study(folder: Path) -> Path:
    """The storm's study, with its ledger below the same folder."""
    path = folder / "storm.yaml"
    path.write_text(STUDY.format(storage=folder / "runs"), encoding="utf-8")
    return path


class Storm:
    """Cluster, MLflow server and driver of one storm, as a context manager that leaves no process behind."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        self.folder, self.draw = folder, random.Random(seed)
        self.study = write_study(folder)
        self.trials = expand(load_study(self.study)).trials
        self.names = {t.key(s): f"{t.label} {s}" for t in self.trials for s in t.stages}
        self.report = Report()
        self.database = folder / "mlflow.db"
        self._port = _free_port()
        self._started = time.monotonic()

    def __enter__(self) -> "Storm":
        from ray.cluster_utils import Cluster

        store = {"object_store_memory": 100 * 2**20}
        head = {"num_cpus": 1, "resources": {"trial": 1000.0}, "include_dashboard": False, **store}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._second_args = {"num_cpus": 1, **store}
        self._second = self._cluster.add_node(**self._second_args)
        self._mlflow = self._start_mlflow()
        self._await_mlflow()
        self._driver = self._start_driver()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (self._driver, self._mlflow):
            _kill_group(process)
        self._cluster.shutdown()

    def blow(self) -> Report:
        """Kill each target once, in an order and at moments that the seed draws, and see the study to its end."""
        # When so many of the study's stages have been finished; a worker is killed while trainings go on.
        after = {target: self.draw.randrange(_EARLY if target == "worker" else _LATE) for target in TARGETS}
        order = sorted(TARGETS, key=lambda target: (after[target], self.draw.random()))
        for target in order:
            self._strike(target, after=after[target])
        while self._driver.wait(_PATIENCE_S) not in _ENDED and self.report.starts < len(TARGETS) + 2:
            self._driver = self._start_driver()
        out = (self.folder / f"out-{self.report.starts}.json").read_text(encoding="utf-8")
        self.report.errors = (self.folder / f"err-{self.report.starts}.txt").read_text(encoding="utf-8")
        self.report.status = self._driver.returncode
        self.report.answer = json.loads(out) if out else {}
        if "not up to date" in self.report.errors:
            # As the warning says to do, once the server is back.
            self._await_mlflow()
            self._polytune("track", str(self.study)).wait(_PATIENCE_S)
        self.report.seconds = time.monotonic() - self._started
        return self.report

    def _strike(self, target: Target, *, after: int) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            if self._driver.poll() is not None:
                # A driver whose own raylet was killed is begun again; one that came to an end is not.
                if self._driver.returncode in _ENDED:
                    return
                self._driver = self._start_driver()
            if self._victim(target) is None or self.finished() < after:
                time.sleep(_POLL_S)
                continue
            time.sleep(self.draw.uniform(0, _SPREAD_S))
            running = self.running()
            pid = self._victim(target)
            if pid is None or not running:
                continue
            os.kill(pid, signal.SIGKILL)
            self.report.kills.append(
                Kill(target=target, pid=pid, running=tuple(running), at_s=time.monotonic() - self._started)
            )
            self._replace(target)
            return
        raise TimeoutError(f"no moment to kill the {target} came; running: {self.running()}")

    def _victim(self, target: Target) -> int | None:
        """The process to kill, once a stage is under way that it matters to."""
        running = self.running()
        if not running:
            return None
        if target == "driver":
            return self._driver.pid
        if target == "mlflow":
            return self._mlflow.pid
        if target == "raylet":
            return int(self._second.all_processes["raylet"][0].process.pid)
        pids = [pid for name, pid in running.items() if name.endswith(" train")]
        return pids[0] if pids else None

    def _replace(self, target: Target) -> None:
        """Do what a person or a cluster would: start again what is gone."""
        if target == "driver":
            self._driver.wait()
            self._driver = self._start_driver()
        elif target == "mlflow":
            _kill_group(self._mlflow)
            self._mlflow = self._start_mlflow()
        elif target == "raylet":
            self._second.kill_all_processes(check_alive=False, allow_graceful=False)
            self._cluster.worker_nodes.discard(self._second)
            self._second = self._cluster.add_node(**self._second_args)

    def finished(self) -> int:
        """How many stages have a record."""
        return len(list((self.folder / "runs" / "stages").glob("*/record-*.json")))

    def running(self) -> dict[str, int]:
        """Stages under way, with the process that began each: begun, not ended, and its process lives."""
        found = {}
        for begun in (self.folder / "runs" / "stages").glob("*/attempts/*/.begun.json"):
            attempt, stage = begun.parent, begun.parents[2]
            name = self.names.get(stage.name)
            if name is None or (attempt / "failure.json").exists() or any(stage.glob("record-*.json")):
                continue
            try:
                who = json.loads(begun.read_text(encoding="utf-8"))
            except (FileNotFoundError, json.JSONDecodeError):
                continue
            if process_start(who["pid"]) == who["process_start"]:
                found[name] = int(who["pid"])
        return found

    def _start_driver(self) -> "subprocess.Popen[bytes]":
        self.report.starts += 1
        return self._polytune("run", str(self.study), "--json", "--set", f"resources.address={self._cluster.address}")

    def _polytune(self, *arguments: str) -> "subprocess.Popen[bytes]":
        number = self.report.starts if arguments[0] == "run" else arguments[0]
        with (
            (self.folder / f"out-{number}.json").open("wb") as out,
            (self.folder / f"err-{number}.txt").open("wb") as err,
        ):
            return subprocess.Popen(
                [sys.executable, "-m", "orchestrator", *arguments],
                cwd=self.folder,
                stdout=out,
                stderr=err,
                start_new_session=True,
                env={**os.environ, **TELLING, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{self._port}"},
            )

    def _start_mlflow(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--backend-store-uri", f"sqlite:///{self.database}", "--workers", "1"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "mlflow.txt").open("ab") as log:
            server = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            )
        return server

    def _await_mlflow(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not _answers(self._port):
            if time.monotonic() > deadline:
                raise TimeoutError("MLflow's server did not come up")
            time.sleep(0.2)


def records(folder: Path, trials: tuple[TrialSpec, ...]) -> dict[str, dict[StageName, StageRecord]]:
    """The finished stages of a storm's study, by trial."""
    ledger = Ledger(folder / "runs")
    return {trial.label: ledger.records_of(trial) for trial in trials}


def adapters(found: dict[str, dict[StageName, StageRecord]]) -> dict[str, dict[str, str]]:
    """Hashes of the trained weights, by trial and file."""
    return {
        label: {n: f.sha256 for n, f in stages["train"].outputs.items() if n.endswith(".safetensors")}
        for label, stages in found.items()
        if "train" in stages
    }


def begun_after_the_end(folder: Path) -> list[str]:
    """Attempts that were begun although their stage had a record."""
    late = []
    for record in (folder / "runs" / "stages").glob("*/record-*.json"):
        ended = json.loads(record.read_text(encoding="utf-8"))["finished_at"]
        for begun in record.parent.glob("attempts/*/.begun.json"):
            if json.loads(begun.read_text(encoding="utf-8"))["begun_at"] > ended:
                late.append(str(begun.parent))
    return late


def ask(database: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of MLflow's own database."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return connection.execute(query).fetchall()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """End a process and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
