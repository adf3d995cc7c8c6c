"""What commands print that is no table: JSON for programs, warnings, and an end with one message.

One decision: JSON stands alone on standard output; all else that a command says goes to standard error.
"""

import json
import sys
from typing import Any, NoReturn

from orchestrator.redaction import without_secrets


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
