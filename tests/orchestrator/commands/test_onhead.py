"""The head's end of a submission, as real processes: what is carried, what a lost caller does, what is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_studies import make_study, raw_study

from orchestrator.commands.request import Request
from orchestrator.ledger.studies import ledger_of

SECRET = "hf_planted-in-a-request"
# What `polytune run` is to the head, without a study: it says what it has, and takes signals as a run does.
_RUN = """
import os, sys, time
from orchestrator.commands.onhead import take_request
from orchestrator.commands.run import _take_signals
arguments = take_request()
_take_signals()
print(*arguments, os.environ.get("HF_TOKEN"), flush=True)
print(SECRET in open("/proc/self/environ").read(), sys.stdin.read() == "", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("stopped in good order", flush=True)
    open("ended", "w").close()
"""
# The same with a study's lease.
_HOLD = """
import sys, time
from orchestrator.commands.onhead import take_request
from orchestrator.commands.run import _take_signals
from orchestrator.ledger.studies import find_study, ledger_of
study = find_study(take_request()[1])
_take_signals()
print("begun", flush=True)
with ledger_of(study).lease(study.study):
    time.sleep(60)
"""


def request_of(**changes: object) -> Request:
    told = {"command": "run", "study": "studies/small.yaml", "name": "small", "environment": {"HF_TOKEN": SECRET}}
    return Request.model_validate(told | changes)


def start(code: str, request: Request, folder: Path, *words: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", code.replace("SECRET", repr(SECRET)), *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    print(request.model_dump_json(), file=process.stdin, flush=True)
    return process


def test_request_is_taken_with_its_environment_which_no_file_and_no_list_of_processes_shows(tmp_path: Path) -> None:
    process = start(_RUN, request_of(changes=("a=1",), files={"studies/small.yaml": "study: small\n"}), tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline().split() == ["run", "studies/small.yaml", "--set", "a=1", SECRET]
    assert process.stdout.readline().split() == ["False", "True"]
    process.communicate()
    assert (tmp_path / "studies" / "small.yaml").read_text() == "study: small\n"
    assert json.loads((tmp_path / "logs" / "small.json").read_text()) == {
        "study": "studies/small.yaml", "changes": ["a=1"],
    }  # fmt: skip
    assert [path for path in tmp_path.rglob("*") if path.is_file() and SECRET in path.read_text()] == []


def test_caller_that_leaves_ends_the_run_in_good_order_and_still_reads_its_end(tmp_path: Path) -> None:
    process = start(_RUN, request_of(), tmp_path)
    assert process.stdout is not None and process.stdin is not None
    process.stdout.readline()
    process.stdin.close()
    assert "stopped in good order" in process.stdout.read()
    assert process.wait(timeout=20) == 0


def test_caller_that_is_gone_with_its_machine_ends_the_run_in_good_order(tmp_path: Path) -> None:
    process = start(_RUN, request_of(), tmp_path)
    assert process.stdout is not None and process.stdin is not None and process.stderr is not None
    process.stdout.readline(), process.stdout.readline()
    for stream in (process.stdout, process.stderr, process.stdin):
        stream.close()
    assert process.wait(timeout=20) == 0
    assert (tmp_path / "ended").exists()


def test_request_that_is_none_is_refused_without_repeating_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "on-head"], input=f'{{"token": "{SECRET}"}}\n', cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no request" in done.stderr and SECRET not in done.stderr


@pytest.mark.slow
def test_detached_run_outlives_its_caller_ignores_its_terminals_end_and_is_cancelled(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    raw = raw_study(data={"root": str(tmp_path / "data")}, storage=str(tmp_path / "runs"))
    request = request_of(detach=True, files={"studies/small.yaml": json.dumps(raw)})
    process = start(_HOLD, request, tmp_path)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "small runs on" in said and "logs/small.log" in said
    lease = ledger_of(study).lease("small")
    holder = lease.holder()
    assert holder is not None and holder.pid != process.pid
    os.kill(holder.pid, signal.SIGHUP)
    time.sleep(0.5)
    assert lease.holder() == holder or lease.holder() is not None
    cancel = start("from orchestrator.cli import main; main()", request_of(command="cancel"), tmp_path, "on-head")
    assert cancel.stdout is not None and f"Asked process {holder.pid} to stop" in cancel.stdout.read()
    cancel.communicate()
    until = time.monotonic() + 20
    while lease.holder() is not None and time.monotonic() < until:
        time.sleep(0.2)
    assert lease.holder() is None
    assert "begun" in (tmp_path / "logs" / "small.log").read_text()


@pytest.mark.slow
def test_detached_run_that_cannot_start_says_so_to_its_caller(tmp_path: Path) -> None:
    request = request_of(detach=True, files={"studies/small.yaml": "study: small\n"})
    process = start(_HOLD, request, tmp_path)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and "models" in said
