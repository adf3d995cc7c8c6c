"""Runs that end before their study does: by an interrupt, by `cancel`, and by a limit. What is finished stays."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.ledger.ledger import Ledger
from orchestrator.provenance import descendants, process_start
from orchestrator.run.budget import stopped_because

pytestmark = pytest.mark.ray

STUDY = """
study: long
storage: {storage}
models: [builtin:micro]
data: {{train_limit: 48, test_limit: 2}}
tasks: {{generation/python: {{train: micro, test: micro}}}}
training: {{learning_rate: 1.0e-3, batch_size: 8, max_steps: 100000}}
methods: {{lora: {{kind: lora}}}}
evaluation: {{quality: false}}
resources: {{object_store_mb: 100}}
"""

# Three trials, so that some stages are finished and others under way when a run is stopped.
QUICK = """
study: quick
storage: {storage}
models: [builtin:micro]
data: {{train_limit: 32, test_limit: 2}}
tasks:
  generation/python: {{train: micro, test: micro}}
  summarization/python: {{train: micro, test: micro}}
training: {{learning_rate: 1.0e-3, batch_size: 8, max_steps: 40}}
methods: {{frozen: {{kind: frozen}}, apart: {{kind: lora, grouping: apart}}}}
evaluation: {{quality: false, generation: {{max_new_tokens: 24, max_summary_tokens: 16}}}}
resources: {{object_store_mb: 100}}
"""
# Summaries are not executed.
_QUICK_STAGES = 3 + 4 + 3


def polytune(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "long.yaml"
    path.write_text(STUDY.format(storage=tmp_path / "runs"), encoding="utf-8")
    return path


@pytest.fixture
def running(study: Path) -> Iterator["subprocess.Popen[str]"]:
    """A driver whose training is under way."""
    process = polytune(study.parent, "run", str(study), "--json")
    while not list((study.parent / "runs").glob("stages/*/attempts/*/.progress.json")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(600)
def test_cancel_from_another_terminal_stops_a_run_and_status_says_so(
    study: Path, running: "subprocess.Popen[str]"
) -> None:
    asked = polytune(study.parent, "cancel", "long")
    out, err = asked.communicate()
    assert (asked.returncode, out) == (
        0,
        f"Asked process {running.pid} to stop; what is finished is in the ledger\n",
    ), err
    err = running.communicate()[1]
    assert running.returncode == 130, err
    assert "interrupted; what was finished is in the ledger, run again to go on" in err
    ledger = Ledger(study.parent / "runs")
    assert ledger.lease("long").holder() is None, "the study can be run again at once"
    assert stopped_because("long", ledger) == "interrupted"
    # A training that was stopped has not failed.
    assert not list((study.parent / "runs").glob("stages/*/attempts/*/failure.json"))
    shown = polytune(study.parent, "status", "long")
    assert "stopped: interrupted" in shown.communicate()[0]
    nobody = polytune(study.parent, "cancel", "long")
    assert "no process runs long" in nobody.communicate()[1]
    assert nobody.returncode == 2


@pytest.mark.timeout(600)
def test_a_second_interrupt_ends_a_run_at_once(study: Path, running: "subprocess.Popen[str]") -> None:
    started = {pid: process_start(pid) for pid in descendants(running.pid)}
    assert any(b"ray::ImplicitFunc" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in started), "it trains"
    os.kill(running.pid, signal.SIGINT)
    time.sleep(0.5)
    os.kill(running.pid, signal.SIGINT)
    running.communicate()
    assert running.returncode == 130
    left = started
    for _ in range(100):
        left = {pid: start for pid, start in left.items() if start and process_start(pid) == start}
        if not left:
            break
        time.sleep(0.1)
    assert left == {}


@pytest.mark.timeout(600)
def test_a_limit_stops_what_runs_and_the_next_run_needs_more(study: Path) -> None:
    first = polytune(study.parent, "run", str(study), "--json", "--max-hours", "0.004")
    out, err = first.communicate()
    assert first.returncode == 1, err
    assert '"stopped": "--max-hours 0.004 is reached (used 0.0' in out
    began = time.monotonic()
    second = polytune(study.parent, "run", str(study), "--max-hours", "0.004")
    err = second.communicate()[1]
    assert second.returncode == 1
    assert "stopped: --max-hours 0.004 is reached" in " ".join(err.split())
    assert "in 2 runs); give more to go on" in " ".join(err.split())
    assert not list((study.parent / "runs").glob("stages/*/record-*.json"))
    print(f"the second run took {time.monotonic() - began:.0f} s and started nothing")


def records_in(folder: Path) -> dict[str, str]:
    """Each finished stage's record, by file."""
    return {str(path): path.read_text(encoding="utf-8") for path in (folder / "runs").glob("stages/*/record-*.json")}


def begun_after_their_record(folder: Path) -> list[Path]:
    """Attempts at stages that were finished already."""
    return [
        begun
        for record in (folder / "runs").glob("stages/*/record-*.json")
        for begun in record.parent.glob("attempts/*/.begun.json")
        if json.loads(begun.read_text(encoding="utf-8"))["begun_at"] > json.loads(record.read_text())["finished_at"]
    ]


def mlflow_runs(folder: Path) -> dict[str, tuple[str, str]]:
    """Each run's id and status in MLflow's own database, by name; of those that are not deleted."""
    with sqlite3.connect(f"file:{folder / 'runs' / 'mlflow.db'}?mode=ro", uri=True) as connection:
        query = "select name, run_uuid, status from runs where lifecycle_stage = 'active'"
        rows = connection.execute(query).fetchall()
    assert len({name for name, _, _ in rows}) == len(rows), "a trial has one run"
    return {name: (made, status) for name, made, status in rows}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["interrupt", "interrupt twice", "cancel"])
def test_a_stopped_run_leaves_no_run_open_in_mlflow_and_goes_on_without_recomputing(tmp_path: Path, how: str) -> None:
    study = tmp_path / "quick.yaml"
    study.write_text(QUICK.format(storage=tmp_path / "runs"), encoding="utf-8")
    driver = polytune(tmp_path, "run", str(study), "--json")
    try:
        while not any('"train"' in text for text in records_in(tmp_path).values()):
            assert driver.poll() is None, driver.communicate()[1]
            time.sleep(0.05)
        if how == "cancel":
            assert polytune(tmp_path, "cancel", "quick").wait() == 0
        else:
            os.kill(driver.pid, signal.SIGINT)
        if how == "interrupt twice":
            # Two signals that come as one are one to a process.
            time.sleep(0.3)
            os.kill(driver.pid, signal.SIGINT)
        err = driver.communicate()[1]
    finally:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
    assert driver.returncode == 130, err
    finished = records_in(tmp_path)
    assert 0 < len(finished) < _QUICK_STAGES
    if how == "interrupt twice":
        assert "ended at once; run again to go on, or `polytune track STUDY` to close its runs in MLflow" in err
        assert polytune(tmp_path, "track", "quick").wait() == 0
    else:
        assert "interrupted; what was finished is in the ledger, run again to go on" in err
    left = mlflow_runs(tmp_path)
    assert left["quick"][1] == "KILLED"
    assert {status for _, status in left.values()} <= {"KILLED", "FINISHED", "SCHEDULED"}
    again = polytune(tmp_path, "run", str(study), "--json")
    out, err = again.communicate()
    assert again.returncode == 0, err
    assert sum(json.loads(out)["ran"].values()) == _QUICK_STAGES - len(finished)
    now = records_in(tmp_path)
    assert len(now) == _QUICK_STAGES
    assert {path: now[path] for path in finished} == finished
    assert begun_after_their_record(tmp_path) == []
    shown = mlflow_runs(tmp_path)
    assert {status for _, status in shown.values()} == {"FINISHED"} and len(shown) == 4
    assert {name: made for name, (made, _) in shown.items() if name in left} == {n: m for n, (m, _) in left.items()}
