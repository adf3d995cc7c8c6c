"""One module for each language that can be run: how a program becomes a command, and its driver.

One decision: a `Runtime` turns a program text into a `Command` or a `Rejected`, and knows nothing of
verdicts; all that differs between languages is here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evaluators.sandbox.records import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to start in the work folder: an argument vector, extra environment, and memory bounds in bytes."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    address_space_bytes: int | None = None
    data_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The compiler refused the program, and its first message."""

    message: str


class Runtime(Protocol):
    """A language's warm tools, used by one worker at a time."""

    def prepare(self, source: str, *, folder: Path, mode: str, limits: Limits) -> Command | Rejected:
        """Make the program runnable in `folder`; `mode` is the kind of its tests, `calls` or `code`."""

    def close(self) -> None:
        """End the warm processes."""


__all__ = ["Command", "Rejected", "Runtime"]
