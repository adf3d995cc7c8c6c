"""The exceptions that a person may meet.

PolytuneError
├── StudyError        a study file is at fault; holds every fault with its line
├── InputError        what a command was given cannot be used; the message says what and what to do
├── LedgerError       the ledger cannot be read or written
│   ├── ArtifactDamaged   a file of a finished stage is not what was recorded
│   └── StudyHeld         another process runs the study
└── StageFailed       a stage ended without a result; holds its cause and where its log lies
"""

import errno
from dataclasses import dataclass
from enum import StrEnum

# What a disk, a quota or a limit answers that takes no more.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class PolytuneError(Exception):
    """Base of all errors that are shown as one message, without a traceback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong in a study file; `line` counts from 1, None where no line is to blame."""

    where: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"line {self.line}, " if self.line is not None else ""
        return f"{place}{self.where}: {self.message}" if self.where else f"{place}{self.message}"


class StudyError(PolytuneError):
    """A study file that cannot be used, with all its faults at once."""

    def __init__(self, source: str, faults: tuple[Fault, ...]) -> None:
        super().__init__(source, faults)
        self.source = source
        self.faults = faults

    def __str__(self) -> str:
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        return "\n".join([f"{self.source}: {count}", *(f"  {fault}" for fault in self.faults)])


class InputError(PolytuneError):
    """An option or a file that a command cannot use; the message holds the value, the rule and the remedy."""


class LedgerError(PolytuneError):
    """The ledger cannot be read or written; the message says what and what to do. `errno` is the system's, if any."""

    def __init__(self, message: str, *, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class ArtifactDamaged(LedgerError):
    """A file of a finished stage is not what was recorded; running the study again makes it anew."""


class StudyHeld(LedgerError):
    """Another process runs the study, or held it last and was heard of a moment ago."""


class Cause(StrEnum):
    """The kinds of cause for which a stage ends without a result; `orchestrator.causes` has what follows from each.

    Of several that an exception wraps, the one that stands first here explains the others.
    """

    MEMORY = "memory"
    LOST = "lost"
    DIVERGED = "diverged"
    DISK = "disk"
    MISSING = "missing"
    SETTINGS = "settings"
    PRUNED = "pruned"
    CODE = "code"


class StageFailed(PolytuneError):
    """A stage ended without a result; `kind` is the kind of its cause."""

    def __init__(self, cause: str, log_path: str = "", kind: Cause = Cause.CODE) -> None:
        super().__init__(cause, log_path, kind)
        self.cause = cause
        self.log_path = log_path
        self.kind = kind

    def __str__(self) -> str:
        return f"{self.cause} (log: {self.log_path})" if self.log_path else self.cause
