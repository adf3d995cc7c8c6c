"""One worker's place: its scratch folder, its launcher, and the warm tools of the languages it met.

One decision: all of it is started when first needed and thrown away whole after a fault of the
harness, so that a retry starts from nothing.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from evaluators.sandbox.confinement import Launcher, Run, remove, work_folder
from evaluators.sandbox.languages import Rejected, Runtime
from evaluators.sandbox.languages.csharp import CSharpRuntime
from evaluators.sandbox.languages.java import JavaRuntime
from evaluators.sandbox.languages.python import PythonRuntime
from evaluators.sandbox.records import InfrastructureFault, Limits
from evaluators.sandbox.wire import request_text
from tasks.records import CallTests, CodeTests, Language

_RUNTIMES: dict[Language, Callable[[Path], Runtime]] = {
    Language.PYTHON: PythonRuntime,
    Language.JAVA: JavaRuntime,
    Language.CSHARP: CSharpRuntime,
}


class Bench:
    """Runs programs one after the other; used by one thread."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._root: Path | None = None
        self._launcher: Launcher | None = None
        self._runtimes: dict[Language, Runtime] = {}

    def __enter__(self) -> Self:
        """Enter a block at whose end everything is ended and removed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End and remove everything."""
        self.reset()

    def run(
        self, source: str, *, language: Language, tests: CallTests | CodeTests, nonce: str, limits: Limits
    ) -> Run | Rejected:
        """Make the program runnable and run it; `nonce` is what tests that are code give back at their end.

        Raises:
            InfrastructureFault: if the harness failed.
            UnsayableError: if an argument of the tests cannot be said in the language.
        """
        try:
            with work_folder(self._folder()) as folder:
                after_load = _prepare_tests(folder, tests=tests, language=language, nonce=nonce)
                command = self._runtime(language).prepare(source, folder=folder, mode=tests.kind, limits=limits)
                if isinstance(command, Rejected):
                    return command
                return self._warm_launcher().run(command, folder=folder, limits=limits, after_load=after_load)
        except OSError as error:
            raise InfrastructureFault(f"{type(error).__name__}: {error}") from error

    def _folder(self) -> Path:
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="polytune-"))
            os.chmod(self._root, 0o711)  # a candidate that runs as another user passes through, and lists nothing
        return self._root

    def _warm_launcher(self) -> Launcher:
        if self._launcher is None:
            self._launcher = Launcher(log=self._folder() / "launcher.log")
        return self._launcher

    def _runtime(self, language: Language) -> Runtime:
        if language not in self._runtimes:
            tools = self._folder() / f"{language}-tools"
            tools.mkdir()
            tools.chmod(0o755)
            self._runtimes[language] = _RUNTIMES[language](tools)
        return self._runtimes[language]

    def reset(self) -> None:
        """End every warm process and remove the scratch folder; the next run starts anew."""
        with contextlib.ExitStack() as stack:
            if self._root is not None:
                stack.callback(remove, self._root)
            for warm in (self._launcher, *self._runtimes.values()):
                if warm is not None:
                    stack.callback(warm.close)
            self._root, self._launcher, self._runtimes = None, None, {}


def _prepare_tests(folder: Path, *, tests: CallTests | CodeTests, language: Language, nonce: str) -> str | None:
    """Write the request of calls; or return what tests as code need, to be handed over after loading."""
    if isinstance(tests, CodeTests):
        return "\0".join((nonce, tests.entry_point or "", tests.setup, tests.code))
    (folder / "request").write_text(request_text(tests, language=language), encoding="ascii", newline="")
    return None


__all__ = ["Bench"]
