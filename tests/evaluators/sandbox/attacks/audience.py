"""Starts campaigns as this user and as one without privileges, and finds an interpreter that the other reaches.

One decision: where the interpreter of the tests lies in a folder of root's own, the system's interpreter
of the same version takes its place for the other user, with the same packages.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from attacks.planted import new_secret

NOBODY = 65534
CHECKOUT = Path(__file__).resolve().parents[4]
_HERE = Path(__file__).resolve().parents[1]


def users() -> tuple[str, ...]:
    """Who the suite can run as: whoever runs it, and nobody where that is root."""
    return ("root", "nobody") if os.getuid() == 0 else ("this user",)


def _reaches(path: str) -> bool:
    probe = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "/usr/bin/test", "-r", path]
    return subprocess.run(probe, check=False, cwd="/").returncode == 0


def _command(user: str) -> list[str]:
    """The interpreter for a user, with what changes to that user before it; skips where there is none."""
    if user != "nobody":
        return [sys.executable]
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv (util-linux), which runs the suite without privileges")
    if not _reaches(str(CHECKOUT / "evaluators" / "__init__.py")):
        pytest.skip(f"the user nobody cannot read {CHECKOUT}")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (os.path.realpath(sys.executable), f"/usr/local/bin/{version}", f"/usr/bin/{version}"):
        if os.path.exists(candidate) and _reaches(os.path.realpath(candidate)):
            return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", candidate]
    pytest.skip(f"no {version} that the user nobody can reach")


def start(module: str, arguments: Sequence[str], *, user: str) -> list[dict[str, Any]]:
    """Run a module of this folder as a user, in a folder of its own; return the lines of JSON that it prints."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    command = _command(user)
    with tempfile.TemporaryDirectory(prefix="polytune-attacks-") as folder:
        os.chmod(folder, 0o777)
        env = {
            "PATH": os.defpath,
            "HOME": f"{folder}/home",
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(_HERE), *packages]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PLANTED": new_secret(),
        }
        done = subprocess.run(
            [*command, "-m", module, *arguments, "--root", folder],
            env=env,
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 0, f"{module} ended with status {done.returncode}"
    return [json.loads(line) for line in done.stdout.splitlines()]
