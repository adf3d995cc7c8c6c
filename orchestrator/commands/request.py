"""What a cluster's head is asked for from elsewhere: one line of JSON on standard input.

One decision: whatever may be secret travels in this line and never in a command line, which every user of the head
could read, nor in a file. The command that ssh starts there is the same for every request.
"""

from typing import Literal

from pydantic import Field

from tasks.records import Record


class Request(Record):
    """A command for the head, with what it needs of the caller's environment and files."""

    command: Literal["run", "status", "logs", "cancel"]
    """The command of `polytune`."""

    study: str
    """The study, as the head finds it: a file of `files`, a name, or STORAGE/NAME."""

    name: str
    """What the study is called, as far as the caller knows."""

    changes: tuple[str, ...] = ()
    """`KEY=VALUE`, as `--set` takes them."""

    options: tuple[str, ...] = ()
    """What else the command is given."""

    environment: dict[str, str] = Field(default_factory=dict)
    """Variables for the command, which are left nowhere but in its memory."""

    files: dict[str, str] = Field(default_factory=dict)
    """Texts of files by their path in the project's folder; written there first."""

    detach: bool = False
    """Whether the command goes on when the connection ends."""

    @property
    def arguments(self) -> list[str]:
        """The command line."""
        changes = [part for change in self.changes for part in ("--set", change)]
        return [self.command, self.study, *changes, *self.options]


__all__ = ["Request"]
