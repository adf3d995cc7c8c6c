"""What commands print that is no table: JSON for programs, warnings, and an end with one message.

One decision: JSON stands alone on standard output; all else that a command says goes to standard error.
"""

import io
import json
import os
import sys
from typing import Any, NoReturn

from orchestrator.redaction import without_secrets


class Told(SystemExit):
    """An end of which all has been said, by the head of a cluster."""


def mend_streams() -> None:
    """Let nothing that is printed end in a traceback: a closed stream takes all, an old encoding what it can say."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace" if name == "stderr" else "replace")


def drop_output() -> None:
    """Let what is still to be printed go nowhere, once standard output takes no more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def print_json(value: Any) -> None:
    """Print a value for a program."""
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


def warn(message: str) -> None:
    """Say something on standard error."""
    sys.stderr.write(f"polytune: {message}\n")


def fail(message: str, *, status: int) -> NoReturn:
    """End the process with one message and a status."""
    sys.stderr.write(f"polytune: {without_secrets(message)}\n")
    raise SystemExit(status)
