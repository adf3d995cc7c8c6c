"""A tool's process that is given many files at once, and answers with a line of JSON for each, in order.

One decision: since answers come in order, a process that dies or falls silent has named the file that
did it. That file has failed, and a fresh process goes on with the next.
"""

import json
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluators.quality.outcome import Failed

_ANSWER_TIMEOUT_S = 60.0
_VAIN_STARTS = 5
"""Processes in a row that ended without one answer, after which the fault is the tool's, not the files'."""


def ask_for_each(command: Sequence[str], files: Sequence[Path]) -> list[Any]:
    """The answers of `command`, which reads the files' paths from standard input, one a line.

    An answer is what the line of JSON says, or `Failed`.
    """
    answers: list[Any] = []
    vain = 0
    while len(answers) < len(files):
        got, cause = _ask(command, files[len(answers) :])
        answers += got
        vain = 0 if got else vain + 1
        if len(answers) < len(files):
            answers.append(Failed(reason=cause))
        if vain == _VAIN_STARTS:
            answers += [Failed(reason=cause)] * (len(files) - len(answers))
    return answers


def _ask(command: Sequence[str], files: Sequence[Path]) -> tuple[list[Any], str]:
    """What one process answers, and why there is no more."""
    with tempfile.TemporaryFile() as requests, tempfile.TemporaryFile() as log:
        requests.write("".join(f"{file}\n" for file in files).encode())
        requests.seek(0)
        process = subprocess.Popen(command, stdin=requests, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        try:
            answers, silent = _read_lines(process, len(files))
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        log.seek(0)
        said = log.read()[-20_000:].decode("utf-8", "replace").strip().splitlines()
    if silent:
        return answers, f"no answer in {_ANSWER_TIMEOUT_S:g} s"
    return answers, f"the process ended with status {process.returncode}: {said[-1] if said else 'it said nothing'}"


def _read_lines(process: "subprocess.Popen[bytes]", count: int) -> tuple[list[Any], bool]:
    """Up to `count` answers; whether the process fell silent before."""
    assert process.stdout is not None
    answers: list[Any] = []
    rest = b""
    deadline = time.monotonic() + _ANSWER_TIMEOUT_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(answers) < count:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return answers, True
            chunk = os.read(process.stdout.fileno(), 1 << 20)
            if not chunk:
                process.wait()
                return answers, False
            *lines, rest = (rest + chunk).split(b"\n")
            answers += map(json.loads, lines)
            deadline = time.monotonic() + _ANSWER_TIMEOUT_S if lines else deadline
    return answers, False
