"""Compiled extensions whose builder was killed.

PyTorch guards the build of an extension by a file that the builder removes at its end. A builder that is killed
leaves it, and every process that needs the extension then waits for ever without a word: a training whose
node was lost once would hang at each later try.

One decision: a guard counts while a process of this machine has it open, or while it is younger than any build
takes, for the folder may be shared with another machine.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# DeepSpeed's operators take about a minute on a slow core.
_LONGEST_BUILD_S = 180.0
_POLL_S = 0.2


def build_root() -> Path:
    """Where PyTorch builds extensions: `TORCH_EXTENSIONS_DIR`, or a folder in the user's cache."""
    from torch.utils.cpp_extension import get_default_build_root

    return Path(os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root())


def outwait_builds(root: Path, *, longest_build_s: float = _LONGEST_BUILD_S) -> None:
    """Return once no build is guarded any more; guards that killed builders left are removed."""
    for guard in [*root.glob("*/lock"), *root.glob("*/*/lock")]:
        while guard.exists():
            with _alone(guard.parent):
                if _is_left(guard, longest_build_s):
                    guard.unlink(missing_ok=True)
            if guard.exists():
                time.sleep(_POLL_S)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time judge a folder's guard, lest one remove what another's builder has just made."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_left(guard: Path, longest_build_s: float) -> bool:
    try:
        age = time.time() - guard.stat().st_mtime
    except FileNotFoundError:
        return False
    return age > longest_build_s and not _is_open(guard)


def _is_open(path: Path) -> bool:
    """Whether a process of this user and machine has a file open."""
    wanted = str(path.resolve())
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(handle) == wanted:
                return True
        except OSError:  # Its process ended, or is another user's.
            continue
    return False


__all__ = ["build_root", "outwait_builds"]
