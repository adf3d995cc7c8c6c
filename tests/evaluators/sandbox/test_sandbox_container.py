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
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install(seccomp.Filter(program=ctypes.create_string_buffer(code, len(code)), length=len(steps)))
"""
_JUDGE = """
import json
from evaluators.sandbox import IsolationError, Limits, Program, execute
from tasks.records import CodeTests, Problem
problem = Problem(id="p", track="generation/python", dataset="d", input="", reference="",
                  tests=CodeTests(entry_point="f", code="def check(candidate):\\n    assert candidate(1) == 2\\n"))
programs = [Program(problem_id="p", source=f"def f(x): return x + {more}") for more in (1, 2)]
try:
    found = execute([problem], programs, limits=Limits(), isolation=sys.argv[1])
    print(json.dumps([[verdict.verdict, verdict.isolation] for verdict in found]))
except IsolationError as error:
    print(json.dumps(str(error)))
"""


def _in_container(isolation: str) -> object:
    command = [sys.executable, "-c", _CONTAINER + _JUDGE, isolation]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("isolation", ["landlock", "auto"])
def test_landlock_judges_where_namespaces_are_refused(isolation: str) -> None:
    assert _in_container(isolation) == [["passed", "landlock"], ["wrong_answer", "landlock"]]


def test_strict_is_refused_there_with_the_reason_and_a_remedy() -> None:
    said = str(_in_container("strict"))
    assert "isolation strict cannot be given here: " in said
    assert "unshare: Operation not permitted" in said
    assert "--isolation auto or landlock" in said
