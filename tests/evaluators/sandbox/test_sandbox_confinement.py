"""What a candidate starts with, and that nothing of it stays behind, however it or its judge ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from evaluators.sandbox import bench

pytestmark = pytest.mark.slow


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


def test_a_candidate_starts_with_an_empty_environment_and_few_descriptors(
    bricks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    names = ["HOME", "LANG", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PATH", "PYTHONHASHSEED", "TMPDIR"]
    tests = bricks.calls({}, "list[str]", [([], [*names, "0 1 2 3"])])
    source = (
        "import os\nopen_ones = []\nfor fd in range(64):\n    try: os.fstat(fd)\n    except OSError: continue\n"
        "    open_ones.append(str(fd))\ndef solve(): return sorted(os.environ) + [' '.join(open_ones)]"
    )
    assert bricks.judge(source, tests=tests).detail == ""


def test_the_work_folder_is_removed_whatever_a_candidate_made_of_it(
    bricks: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setattr(bench, "_SCRATCH", str(tmp_path))
    source = (
        "import os\nos.symlink('/etc/passwd', 'link')\n"
        "for _ in range(1200):\n    os.mkdir('deep'); os.chdir('deep')\nos.mkdir('shut', 0)\n"
        "def solve(numbers): return sum(numbers)"
    )
    found = bricks.judge(source)
    assert (found.verdict, found.detail) == ("passed", "")
    assert list(tmp_path.iterdir()) == []


def test_a_file_cannot_grow_beyond_the_limit(bricks: Any) -> None:
    source = (
        "def solve(numbers):\n    with open('big', 'wb') as f:\n        while True: f.write(b'x' * 4096); f.flush()"
    )
    found = bricks.judge(source)
    assert found.verdict == "output_limit"
    assert "File too large" in found.detail


JUDGE = """
import sys
from evaluators.sandbox import Limits, Program, execute
from tasks.records import CallTests, Case, Problem
tests = CallTests(entry_point="solve", parameters=(), returns="int", cases=(Case(arguments=(), expected=3),))
problem = Problem(id="p", track="generation/python", dataset="d", input="", reference="", tests=tests)
execute([problem], [Program(problem_id="p", source=sys.argv[1])], limits=Limits(), isolation="none")
"""


def test_a_killed_judge_takes_its_candidates_along() -> None:
    mark = f"polytune-orphan-{os.getpid()}"
    source = f"import os\ndef solve():\n    os.execv('/bin/sh', ['sh', '-c', 'sleep 300; exit', {mark!r}])"
    hidden = source.replace(mark, f"polytune-' + 'orphan-{os.getpid()}")  # the judge's own command line must not match
    judge = subprocess.Popen([sys.executable, "-c", JUDGE, hidden])
    try:
        deadline = time.monotonic() + 20
        while not running(mark) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running(mark)
    finally:
        judge.send_signal(signal.SIGKILL)
        judge.wait()
    assert gone_within(5, mark)
