"""Python: candidates are forks of a warm interpreter; nothing to compile, nothing to execute.

One decision: candidates get the interpreter without `site`, hence the standard library, and NumPy
where it is installed, because models use it and published harnesses offer it; nothing else of what
this machine happens to have. The hash seed is fixed, so that no verdict depends on chance.
"""

import importlib.metadata
import os
import sys
import sysconfig
from pathlib import Path

from evaluators.languages.runtimes import RuntimeSupport, shared_libraries

PYTHON = os.path.realpath(sys.executable)  # past the virtual environment
_OFFERED = ("numpy",)


def readable_paths() -> tuple[str, ...]:
    """What the interpreter reads while it runs: its library and the shared ones that its modules load."""
    return (
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        *shared_libraries(),
        "/usr/share/zoneinfo",
    )


def offer_packages(folder: Path) -> tuple[str, ...]:
    """Link the offered packages into `folder`; return where they really are."""
    real = []
    for name in _OFFERED:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        tops = {str(file).partition("/")[0] for file in distribution.files or () if not str(file).startswith("..")}
        for top in sorted(tops):
            place = Path(str(distribution.locate_file(top))).resolve()
            if place.is_dir() and not (folder / top).exists():
                (folder / top).symlink_to(place)
                real.append(str(place))
    return tuple(real)


RUNTIME = RuntimeSupport(readable=readable_paths, needs_proc=False, start=None)

__all__ = ["PYTHON", "RUNTIME", "offer_packages", "readable_paths"]
