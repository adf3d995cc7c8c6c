"""Runs that end before their study does: by an interrupt, by `cancel`, and by a limit. What is finished stays."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.ledger import Ledger
from orchestrator.limits import stopped_because
from orchestrator.provenance import descendants, process_start

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
