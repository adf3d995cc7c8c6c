"""In a place that has no right to namespaces, as an unprivileged container is one, `landlock` still works.

One decision: the test makes such a place itself, by a seccomp filter that refuses new namespaces with
EPERM, as container runtimes do by default, in a process that then runs the sandbox.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[3]
# unshare, and clone with a CLONE_NEW* flag, fail with EPERM; clone3, whose flags cannot be seen, with ENOSYS.
_CONTAINER = """
import ctypes, errno, struct, sys
from evaluators.isolation import kernel, seccomp
column = {"x86_64": 0, "aarch64": 1}[kernel.MACHINE]
unshare, clone, clone3 = ((272, 97)[column], (56, 220)[column], 435)
steps = [
    (0x20, 0, 0, 0),  # the call's number
    (0x15, 0, 1, unshare), (0x06, 0, 0, 0x00050000 | errno.EPERM),
    (0x15, 0, 1, clone3), (0x06, 0, 0, 0x00050000 | errno.ENOSYS),
    (0x15, 0, 3, clone), (0x20, 0, 0, 16), (0x45, 0, 1, 0x7E020080), (0x06, 0, 0, 0x00050000 | errno.EPERM),
    (0x06, 0, 0, 0x7FFF0000),
]
code = b"".join(struct.pack("=HBBI", *step) for step in steps)
confine = kernel.Steps()
confine.add("prctl", kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.add_step(confine, seccomp.Filter(program=ctypes.create_string_buffer(code, len(code)), length=len(steps)))
confine.take()
"""
_COMMAND = "from orchestrator.cli import main; main()"
_PROBLEM = {
    "id": "p",
    "track": "generation/python",
    "dataset": "d",
    "input": "",
    "reference": "",
    "tests": {"kind": "code", "entry_point": "f", "code": "def check(candidate):\n    assert candidate(1) == 2\n"},
}


def _execute_in_container(folder: Path, isolation: str) -> subprocess.CompletedProcess[str]:
    """Run `polytune execute` there on a right and a wrong completion, into `folder/verdicts.jsonl`."""
    (folder / "problems.jsonl").write_text(json.dumps(_PROBLEM) + "\n")
    completions = [{"task_id": "p", "completion": f"def f(x): return x + {more}"} for more in (1, 2)]
    (folder / "completions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in completions))
    words = [
        "execute", "--format", "polytune", "--problems", "problems.jsonl", "--completions", "completions.jsonl",
        "--out", "verdicts.jsonl", "--isolation", isolation,
    ]  # fmt: skip
    command = [sys.executable, "-c", _CONTAINER + _COMMAND, *words]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("isolation", ["landlock", "auto"])
def test_landlock_judges_where_namespaces_are_refused(isolation: str, tmp_path: Path) -> None:
    done = _execute_in_container(tmp_path, isolation)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert [(row["verdict"], row["isolation"]) for row in found] == [
        ("passed", "landlock"),
        ("wrong_answer", "landlock"),
    ]
    assert "isolation: landlock" in done.stdout + done.stderr


def test_strict_is_refused_there_with_the_reason_and_a_remedy(tmp_path: Path) -> None:
    done = _execute_in_container(tmp_path, "strict")
    assert done.returncode == 2
    assert "isolation strict cannot be given here: " in done.stderr
    assert "unshare: Operation not permitted" in done.stderr
    assert "--isolation auto or landlock" in done.stderr
    assert (tmp_path / "verdicts.jsonl").read_text() == ""
    assert _execute_in_container(tmp_path, "auto").returncode == 0, "the refusal stands in nobody's way"
