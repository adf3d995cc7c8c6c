"""The walls around a candidate: what it cannot reach, and that nothing of it stays behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from evaluators.sandbox import isolation

NAMESPACES = isolation() == "namespaces+rlimits"
needs_namespaces = pytest.mark.skipif(not NAMESPACES, reason="this machine refuses user namespaces")


def running(mark: str) -> list[str]:
    """The processes whose command line holds `mark`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in command:
            found.append(folder.name)
    return found


def gone_within(seconds: float, mark: str) -> bool:
    deadline = time.monotonic() + seconds
    while running(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@needs_namespaces
def test_there_is_no_network(bricks: Any) -> None:
    source = "import socket\ndef solve(numbers):\n    socket.create_connection(('127.0.0.1', 9), 2)"
    assert "unreachable" in bricks.judge(source).detail
    source = source.replace("127.0.0.1", "1.1.1.1")
    assert "unreachable" in bricks.judge(source).detail


@needs_namespaces
def test_a_candidate_sees_no_other_process_and_is_not_root(bricks: Any) -> None:
    tests = bricks.calls({"pid": "int"}, "str", [([os.getpid()], "1 1000 ProcessLookupError")])
    source = (
        "import os\ndef solve(pid):\n    try: os.kill(pid, 0)\n    except OSError as error:\n"
        "        return f'{os.getpid()} {os.getuid()} {type(error).__name__}'"
    )
    assert bricks.judge(source, tests=tests).detail == ""


@needs_namespaces
def test_the_memory_of_the_judge_cannot_be_read(bricks: Any) -> None:
    tests = bricks.calls({"pid": "int"}, "str", [([os.getpid()], "PermissionError")])
    source = (
        "def solve(pid):\n    try: open(f'/proc/{pid}/mem', 'rb').close()\n"
        "    except OSError as error: return type(error).__name__"
    )
    assert bricks.judge(source, tests=tests).detail == ""


@pytest.mark.parametrize("leave", ["", "os.setsid()", "os.setsid()\n        if os.fork(): os._exit(0)"])
def test_processes_left_behind_are_ended(bricks: Any, leave: str) -> None:
    mark = f"polytune-left-{os.getpid()}-{abs(hash(leave))}"
    source = (
        "import os, sys, time\nfor _ in range(20):\n    if os.fork() == 0:\n"
        f"        {leave or 'pass'}\n"
        f"        os.execv('/bin/sh', ['sh', '-c', 'sleep 300; exit', {mark!r}])\n"
        "def solve(numbers):\n    time.sleep(0.2)\n    return sum(numbers)"
    )
    assert bricks.judge(source).verdict == "passed"
    assert gone_within(2, mark)


def test_a_candidate_starts_with_an_empty_environment_and_few_descriptors(
    bricks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    tests = bricks.calls({}, "list[str]", [([], ["HOME", "LANG", "PATH", "PYTHONHASHSEED", "TMPDIR", "0 1 2 3"])])
    source = (
        "import os\nopen_ones = []\nfor fd in range(64):\n    try: os.fstat(fd)\n    except OSError: continue\n"
        "    open_ones.append(str(fd))\n"
        "def solve(): return sorted(os.environ) + [' '.join(fd for fd in open_ones if fd != OUTCOMES)]"
    )
    outcomes = "OUTCOMES = '4'  # the driver's own\n"
    assert bricks.judge(outcomes + source, tests=tests).detail == ""


def test_the_work_folder_is_removed_whatever_a_candidate_made_of_it(
    bricks: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    source = (
        "import os\nos.mkfifo('pipe'); os.symlink('/etc/passwd', 'link'); os.remove('stdout'); os.mkfifo('stdout')\n"
        "for _ in range(1200):\n    os.mkdir('deep'); os.chdir('deep')\nos.mkdir('shut', 0)\n"
        "def solve(numbers): return sum(numbers)"
    )
    assert bricks.judge(source).verdict == "passed"
    assert list(tmp_path.iterdir()) == []


def test_a_file_cannot_grow_beyond_the_limit(bricks: Any) -> None:
    source = (
        "def solve(numbers):\n    with open('big', 'wb') as f:\n        while True: f.write(b'x' * 4096); f.flush()"
    )
    assert "File too large" in bricks.judge(source).detail


JUDGE = """
import sys
from evaluators.sandbox import Limits, Program, execute, isolation
from tasks.records import CallTests, Case, Problem
tests = CallTests(entry_point="solve", parameters=(), returns="int", cases=(Case(arguments=(), expected=3),))
problem = Problem(id="p", track="generation/python", dataset="d", input="", reference="", tests=tests)
verdicts = execute([problem], [Program(problem_id="p", source=source) for source in sys.argv[1:]], limits=Limits())
print(isolation(), *(f"{v.verdict}:{v.detail}" for v in verdicts), sep="\\n")
"""


def test_a_killed_judge_takes_its_candidates_along(tmp_path: Path) -> None:
    mark = f"polytune-orphan-{os.getpid()}"
    source = f"import os\ndef solve():\n    os.execv('/bin/sh', ['sh', '-c', 'sleep 300; exit', {mark!r}])"
    hidden = source.replace(mark, f"polytune-' + 'orphan-{os.getpid()}")  # the judge's own command line must not match
    judge = subprocess.Popen([sys.executable, "-c", JUDGE, hidden], env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        deadline = time.monotonic() + 20
        while not running(mark) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running(mark)
    finally:
        judge.send_signal(signal.SIGKILL)
        judge.wait()
    assert gone_within(5, mark)


def test_where_namespaces_are_refused_the_rest_still_holds_and_is_reported(bricks: Any) -> None:
    unshare = shutil.which("unshare")
    refuse = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    command = [str(unshare), "-Ur", "sh", "-c", refuse, "sh"]
    if unshare is None or subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs a user namespace in which to refuse others")
    mark = f"polytune-daemon-{os.getpid()}"
    daemon = (
        "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        os.execv('/bin/sh', ['sh', '-c', 'sleep 300; exit', {mark!r}])\n    os._exit(0)\n"
        "def solve(): return 3"
    )
    sources = ["def solve(): return 3", "def solve(): return 4", daemon]
    done = subprocess.run([*command, sys.executable, "-c", JUDGE, *sources], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "rlimits",
        "passed:",
        "wrong_answer:case 1: solve() returned 4, expected 3",
        "passed:",
    ]
    assert gone_within(2, mark)
