"""Python: nothing to compile; the driver loads the program itself.

One decision: candidates get the interpreter without `site`, hence the standard library alone, and a
fixed hash seed, so that a verdict depends neither on what this machine has installed nor on chance.
"""

import os
import shutil
from pathlib import Path

from evaluators.sandbox.confinement import PYTHON
from evaluators.sandbox.languages import Command
from evaluators.sandbox.records import Limits

_DRIVER = Path(__file__).with_name("python_driver.py")


class PythonRuntime:
    """Runs programs under the interpreter that runs Polytune."""

    def __init__(self, tools: Path) -> None:
        """Put the driver into `tools`."""
        self._driver = tools / _DRIVER.name
        shutil.copyfile(_DRIVER, self._driver)  # the package may lie where the candidate's user cannot read
        os.chmod(self._driver, 0o644)

    def prepare(self, source: str, *, folder: Path, mode: str, limits: Limits) -> Command:
        """Put the program where the driver looks for it."""
        (folder / "program").write_text(source, encoding="utf-8", errors="surrogatepass", newline="")
        return Command(
            argv=(PYTHON, "-s", "-S", "-P", "-B", str(self._driver), mode),
            env=(("PYTHONHASHSEED", "0"),),
            address_space_bytes=limits.memory_mb * 2**20,
        )

    def close(self) -> None:
        """Nothing is kept warm."""


__all__ = ["PythonRuntime"]
