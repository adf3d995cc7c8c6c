"""Processes that stay up and answer one line with one line: the launcher and the compilers.

One decision: every question has a deadline, and whatever goes wrong with such a process (it died, is
silent, floods) is one exception, `InfrastructureFault`, after which the process is not used again.
"""

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_LONGEST_ANSWER = 256 * 2**20  # a candidate's own answers are bounded by its limits, well below


class InfrastructureFault(Exception):
    """The harness failed (a warm process died, a driver did not start): never the candidate's fault."""


class WarmProcess:
    """A child process in a session of its own, asked over its standard input.

    It is expected to end by itself when its standard input closes, so that it outlives neither
    `close` nor a judge that was killed.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], log: Path) -> None:
        """Start the process in the folder of `log`, which gets its standard error."""
        self._name = Path(argv[0]).name
        self._log = log
        try:
            with log.open("wb") as stderr:
                self._process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=dict(env),
                    cwd=log.parent,
                    start_new_session=True,
                )
        except OSError as error:
            raise InfrastructureFault(f"could not start {argv[0]}: {error}") from error

    def ask(self, question: str, *, timeout_s: float) -> str:
        """Send one line and return the line that answers it.

        Raises:
            InfrastructureFault: if the process died, or did not answer in time.
        """
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(question.encode("utf-8", "surrogatepass") + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._fault(f"does not listen ({error})") from error
        return self.read_line(timeout_s=timeout_s)

    def read_line(self, *, timeout_s: float) -> str:
        """Return the next line that it writes.

        Raises:
            InfrastructureFault: if the process died, or wrote no line in time.
        """
        assert self._process.stdout is not None
        fd, deadline, chunks = self._process.stdout.fileno(), time.monotonic() + timeout_s, bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while not chunks.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise self._fault(f"gave no answer in {timeout_s:g} s")
                chunk = os.read(fd, 65536)
                if not chunk or len(chunks) > _LONGEST_ANSWER:
                    raise self._fault("ended" if not chunk else "answered without end")
                chunks += chunk
        return chunks.decode("utf-8", "replace").rstrip("\n")

    def _fault(self, what: str) -> InfrastructureFault:
        log = self._log.read_bytes()[-300:].decode("utf-8", "replace").strip()
        return InfrastructureFault(f"the warm process {self._name} {what}" + (f": {log}" if log else ""))

    def close(self) -> None:
        """End the process, by force where it does not end by itself at once."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):  # it may have died with a question unread
            self._process.stdin.close()
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


__all__ = ["InfrastructureFault", "WarmProcess"]
