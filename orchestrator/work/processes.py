"""A training's process: how much memory it may take, and what it leaves if it crashes.

One decision: want of memory is made an error of the process that wants it. Otherwise the kernel ends a process of its
own choice, and nothing says why.
"""

import ctypes
import faulthandler
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.ledger.ledger import Ledger

# What a process that crashes leaves in its attempt: the stack that it was at.
_CRASH_FILE = ".crash.log"
# malloc.h of glibc: blocks of at least this size are mapped alone, and unmapped when they are freed.
_M_MMAP_THRESHOLD, _LARGE_BYTES = -3, 2**20


@contextmanager
def memory_limit(megabytes: int | None) -> Iterator[None]:
    """Let this process have so much private memory at most, so that want of it is an error and no kill.

    Without a limit the kernel ends a process that takes the host's last memory, maybe another one than ours.
    """
    if megabytes is None:
        yield
        return
    _give_tensors_back_when_freed()
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _give_tensors_back_when_freed() -> None:
    """Keep glibc from holding large blocks that were freed, in pieces that the next training cannot use.

    The limit counts them: a process that trained before had 1 GB of them, and the next training in it found no room.
    """
    with suppress(AttributeError, OSError):  # another C library gives them back by itself
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


@contextmanager
def crashes_told(folder: Path) -> Iterator[None]:
    """Leave the stack in an attempt's folder if this process crashes; one that is killed leaves an empty file."""
    with (folder / _CRASH_FILE).open("w", encoding="utf-8") as file:
        was_on = faulthandler.is_enabled()
        faulthandler.enable(file=file)
        try:
            yield
        finally:
            faulthandler.disable()
            if was_on:
                faulthandler.enable()


def crash_of(ledger: Ledger, key: str) -> str:
    """Where the newest attempt at a training crashed, if its process ended by a fault of its own."""
    newest = next(ledger.attempts(key), None)
    path = newest / _CRASH_FILE if newest else None
    if path is None or not path.is_file() or not path.stat().st_size:
        return ""
    return f"the process crashed ({path.read_text(encoding='utf-8').splitlines()[0]}; stack: {path})"


__all__ = ["crash_of", "crashes_told", "memory_limit"]
