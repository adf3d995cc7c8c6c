"""Runs one command confined, in a private work folder, and tells how it ended.

One decision: files that the judge opened before the candidate started are the only way back. A
candidate may delete, replace or fill them; it cannot make the judge open a FIFO or another's file,
nor read more than the limit.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluators.sandbox.languages import Command
from evaluators.sandbox.records import InfrastructureFault, Limits
from evaluators.sandbox.warm import WarmProcess

PYTHON = os.path.realpath(sys.executable)  # past the virtual environment: candidates get the standard library alone
_LAUNCHER = Path(__file__).with_name("launcher.py")
_FILES = ("outcomes", "stdout", "stderr")
_SLACK_S = 30.0
_STDERR_ENDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a confined process ended and what it left in its files.

    `killed_by` is a signal's number; `started` says that the outcomes were ever written to, and
    `overflowed` that they or the standard output reached the limit (standard error does not count:
    mono writes megabytes there about one stack overflow). `stderr` is its beginning and its end.
    Times are seconds, CPU over all processes of the candidate.
    """

    cause: Literal["exit", "cpu", "wall"]
    exit_status: int | None
    killed_by: int | None
    cpu_s: float
    wall_s: float
    started: bool
    outcomes: str
    stderr: str
    overflowed: bool


class Launcher:
    """The warm process of `launcher.py`."""

    def __init__(self, *, log: Path) -> None:
        """Start the launcher and learn what it can confine with."""
        env = {"PATH": os.defpath, "LANG": "C.UTF-8"}
        self._process = WarmProcess((PYTHON, "-I", "-S", "-B", str(_LAUNCHER)), env=env, log=log)
        self.isolation: str = json.loads(self._process.read_line(timeout_s=_SLACK_S))["isolation"]

    def run(self, command: Command, *, folder: Path, limits: Limits, after_load: str | None = None) -> Run:
        """Run the command in `folder`, handing over `after_load` when its driver asks for it.

        Raises:
            InfrastructureFault: if the candidate's process could not be started.
        """
        with contextlib.ExitStack() as stack:
            fds = {name: _create(folder / name, stack) for name in _FILES}
            untouched = os.fstat(fds["outcomes"]).st_mtime_ns
            request = _request(command, folder=folder, limits=limits, after_load=after_load)
            answer = json.loads(self._process.ask(json.dumps(request), timeout_s=limits.wall_s + _SLACK_S))
            if "fault" in answer:
                raise InfrastructureFault(f"could not start {command.argv[0]}: {answer['fault']}")
            code = None if answer.get("status") is None else os.waitstatus_to_exitcode(answer["status"])
            return Run(
                cause=answer["cause"],
                exit_status=code if code is not None and code >= 0 else None,
                killed_by=-code if code is not None and code < 0 else None,
                cpu_s=answer["cpu_s"],
                wall_s=answer["wall_s"],
                started=os.fstat(fds["outcomes"]).st_mtime_ns != untouched,
                outcomes=_read(fds["outcomes"], limits.output_bytes),
                stderr=_ends(_read(fds["stderr"], limits.output_bytes)),
                overflowed=any(os.fstat(fd).st_size >= limits.output_bytes for fd in (fds["outcomes"], fds["stdout"])),
            )

    def close(self) -> None:
        """End the launcher."""
        self._process.close()


def _create(path: Path, stack: contextlib.ExitStack) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    stack.callback(os.close, fd)
    return fd


def _read(fd: int, limit: int) -> str:
    return os.pread(fd, limit, 0).decode("ascii", "replace")


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _STDERR_ENDS else f"{text[:_STDERR_ENDS]}\n...\n{text[-_STDERR_ENDS:]}"


def _request(command: Command, *, folder: Path, limits: Limits, after_load: str | None) -> dict[str, object]:
    home = str(folder)
    env = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": home, "TMPDIR": home}
    bounds = {
        "cpu_s": limits.cpu_s,
        "wall_s": limits.wall_s,
        "file_bytes": limits.output_bytes,
        "address_space_bytes": command.address_space_bytes,
        "data_bytes": command.data_bytes,
    }
    return {
        "argv": command.argv,
        "env": {**env, **dict(command.env)},
        "folder": home,
        "limits": bounds,
        "after_load": after_load,
    }


@contextlib.contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """A private folder for one candidate, removed afterwards whatever the candidate made of it."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder that candidate code may have nested a thousand deep or made unreadable."""
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):
        subprocess.run(["chmod", "-R", "u+rwX", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)


@functools.cache
def isolation() -> str:
    """What confines candidates on this machine: `namespaces+rlimits`, or `rlimits` where namespaces are refused.

    With `rlimits` alone a candidate can reach the network.
    """
    with tempfile.TemporaryDirectory(prefix="polytune-") as folder:
        launcher = Launcher(log=Path(folder) / "launcher.log")
        try:
            return launcher.isolation
        finally:
            launcher.close()


def signal_name(number: int) -> str:
    """A signal's name, such as SIGSEGV."""
    return signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"


__all__ = ["PYTHON", "Launcher", "Run", "isolation", "remove", "signal_name", "work_folder"]
