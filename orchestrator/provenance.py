"""Where and with what a stage ran: versions, hardware, git, clock.

One decision: this is the one place that looks at the machine, and it is read once a process. What it
says stands in records and reports; it never enters a key.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import NoReturn

_PACKAGES = (
    "polytune", "torch", "transformers", "peft", "bitsandbytes", "vllm", "deepspeed", "ray", "mlflow", "datasets",
    "sacrebleu", "pylint", "radon", "lizard", "tree-sitter",
)  # fmt: skip


# What stands in place of the version of a package that is not there.
ABSENT = "not installed"
# What of provenance may change a number; a study that goes on under others is told so.
VERSIONS = ("python", "cuda", *_PACKAGES)


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def version() -> str:
    """This polytune's version."""
    return _version_of("polytune")


def process() -> dict[str, str | int]:
    """What tells this process from every other: its host, its kernel's start, its namespace, its number and start."""
    return {
        "host": socket.gethostname(),
        "machine": machine(),
        "pid": os.getpid(),
        "process_start": process_start(os.getpid()) or "",
    }


@functools.cache
def machine() -> str:
    """Names the running kernel and the process namespace: where it is equal, process numbers may be compared."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def process_start(pid: int) -> str | None:
    """When a process of this machine started, in the kernel's ticks; None if it is gone or a zombie."""
    try:
        # The second field is a name in brackets and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]


@functools.cache
def provenance() -> dict[str, str]:
    """Facts about this process's machine and software, as text."""
    facts = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "host": socket.gethostname(),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory_gib": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f}",
        "gpus": _gpus(),
        "cuda": _cuda(),
        "git": _git(),
    }
    return facts | {package: _version_of(package) for package in _PACKAGES}


def descendants(pid: int) -> list[int]:
    """The processes of this machine that a process started, and those that they started in turn."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found[1:]


def end_with_children(status: int) -> NoReturn:
    """End this process with a status at once, and all that it started; nothing is flushed or waited for."""
    # Ray's own processes last: a thread that talks to them ends this process with another status when they are gone.
    for pid in reversed(descendants(os.getpid())):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(status)


def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ABSENT


def _cuda() -> str:
    """The CUDA that torch was built for, read from its folder: importing torch takes seconds."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return "none"
    text = (Path(found.origin).parent / "version.py").read_text(encoding="utf-8")
    built_for = re.search(r"^cuda\b.*= *['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return built_for[1] if built_for else "none"


def _gpus() -> str:
    """Models of the GPUs that the NVIDIA driver shows, one by one."""
    models = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = path.read_text(encoding="utf-8").splitlines()
        models += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return ", ".join(models) or "none"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _git() -> str:
    """Commit of this checkout, with `+changes` if it has any; `none` outside one, and where git is not installed."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists() or shutil.which("git") is None:
        return "none"

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    return f"{commit}+changes" if git("status", "--porcelain", "--untracked-files=no") else commit or "none"
