"""Where and with what a stage ran: versions, hardware, git, clock.

One decision: this is the one place that looks at the machine, and it is read once a process. What it
says stands in records and reports; it never enters a key.
"""

import functools
import importlib.metadata
import os
import platform
import socket
import subprocess
from pathlib import Path

_PACKAGES = (
    "polytune", "torch", "transformers", "peft", "bitsandbytes", "deepspeed", "ray", "mlflow", "datasets",
    "sacrebleu", "pylint", "radon", "lizard", "tree-sitter",
)  # fmt: skip


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
        "git": _git(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _git() -> str:
    """Commit of this checkout, with `+changes` if it has any; `none` outside one."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "none"

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    return f"{commit}+changes" if git("status", "--porcelain", "--untracked-files=no") else commit or "none"
