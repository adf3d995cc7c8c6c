"""What a candidate and all processes below it use, read from /proc.

One decision: the candidate's own CPU clock is asked at any time, since that costs a microsecond; the
tree is walked once a tick, for what a single process cannot show: memory, CPU and number of all.
"""

import os
import time
from collections.abc import Iterator
from typing import NamedTuple

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MAX_ENTRIES = 4096
_BLOCK_BYTES = 512
_PARENT, _UTIME, _STIME, _RSS = 1, 11, 12, 21  # fields of /proc/PID/stat after the name in brackets


class Usage(NamedTuple):
    """What all processes of a candidate use now."""

    processes: int
    cpu_s: float
    memory_bytes: int


class Family:
    """A candidate's first process, and all that the warm process above it has to bury.

    Orphans fall to the warm process (or stay with the first one, where that is a namespace's), so all
    that it has below itself is the candidate's.
    """

    def __init__(self, leader: int) -> None:
        """Name the first process."""
        self._above = _parent(leader)
        self._clock = (~leader << 3) | 2  # MAKE_PROCESS_CPUCLOCK(process, CPUCLOCK_SCHED) of the kernel's headers

    def leader_cpu_s(self) -> float:
        """CPU seconds of the first process with all its threads, from the scheduler's own clock."""
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return 0.0  # it has ended, which its connection is about to tell

    def usage(self) -> Usage:
        """Number, CPU seconds and resident bytes of all processes; shared pages count for each."""
        processes, cpu_s, memory_bytes = 0, 0.0, 0
        for process in self._members():
            try:
                with open(f"/proc/{process}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            processes += 1
            cpu_s += (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_S
            memory_bytes += int(fields[_RSS]) * _PAGE_BYTES
        return Usage(processes=processes, cpu_s=cpu_s, memory_bytes=memory_bytes)

    def waited_s(self) -> float:
        """Seconds that the thread which waited longest was ready, and had no processor."""
        longest = 0
        for process in self._members():
            try:
                threads = os.listdir(f"/proc/{process}/task")
            except OSError:
                continue
            longest = max(longest, *(_waited_ns(process, thread) for thread in threads), 0)
        return longest / 1e9

    def _members(self) -> Iterator[int]:
        pending, seen = _children(self._above), 0
        while pending and seen < 10_000:
            process = pending.pop()
            seen += 1
            yield process
            pending += _children(process)


def _parent(process: int) -> int:
    with open(f"/proc/{process}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[_PARENT])


def _waited_ns(process: int, thread: str) -> int:
    try:
        with open(f"/proc/{process}/task/{thread}/schedstat", "rb") as file:
            return int(file.read().split()[1])
    except (OSError, IndexError):  # it has ended, or the kernel keeps no such statistics
        return 0


def _children(process: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/children", "rb") as file:
                found += [int(word) for word in file.read().split()]
    except OSError:
        pass
    return found


def threads_of_user() -> int:
    """How many threads this process's user has, as its RLIMIT_NPROC counts them; those that can be seen."""
    threads = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == os.getuid():
                    threads += len(os.listdir(f"{entry.path}/task"))
            except OSError:  # it has ended
                continue
    return threads


def folder_is_full(path: str, limit_bytes: int) -> bool:
    """Whether a folder holds more than `limit_bytes` or too many entries, for where it has no size of its own."""
    pending, entries, total = [path], 0, 0
    while pending:
        try:
            with os.scandir(pending.pop()) as found:
                for entry in found:
                    entries += 1
                    total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
                    if total > limit_bytes or entries > MAX_ENTRIES:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            continue
    return False
