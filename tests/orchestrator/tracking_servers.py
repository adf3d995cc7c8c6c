"""MLflow's own server on loopback, for tests of what goes over a connection."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.tracking.project import ui_command


def until(true: Callable[[], bool]) -> None:
    """Wait; the test runner's own timeout is the limit."""
    while not true():
        time.sleep(0.1)


@contextlib.contextmanager
def server(folder: Path, port: int) -> "Iterator[subprocess.Popen[bytes]]":
    """A tracking server on loopback, killed at the end."""
    command, environment = ui_command(f"sqlite:///{folder / 'mlflow.db'}", port=port)
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None
        yield process
    finally:
        # The server is a process group: a parent and its worker.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
        return True
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
