"""What vLLM's own processes are taught by us: to end when the process that asked for them does.

One decision: they look at it once a second. A process that is killed tells nobody, and what it started would hold a
GPU's memory until somebody finds it.
"""

import os
import threading
import time
from pathlib import Path

_LOOK_S = 1.0


class EndsWithAsker:
    """Mixed into vLLM's worker by `worker_extension_cls`; vLLM ends the rest when a worker is gone."""

    def end_with(self, asker: int) -> bool:
        """Watch a process of this machine by its number; returns whether there is one."""
        start = start_of(asker)
        threading.Thread(target=_watch, args=(asker, start), name="asker", daemon=True).start()
        return start is not None


def _watch(asker: int, start: str | None) -> None:
    while start is not None and start_of(asker) == start:
        time.sleep(_LOOK_S)
    os._exit(1)


def start_of(pid: int) -> str | None:
    """When a process started, in the kernel's ticks, which tells it from another of its number; None if it ended."""
    try:
        # The second field is a name in brackets and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]


__all__ = ["EndsWithAsker", "start_of"]
