"""One worker's place: its scratch folder, its keeper, and the warm tools of the languages it met.

One decision: all of it is started when first needed and thrown away whole after a fault of the
harness, so that a retry starts from nothing.
"""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evaluators.isolation.kernel import LONE_PYTHON
from evaluators.isolation.view import WORK
from evaluators.languages import LANGUAGES
from evaluators.languages.python.runtime import PYTHON, offer_packages
from evaluators.languages.runtimes import Command, Runtime, RuntimeSupport
from evaluators.languages.warm import InfrastructureFault, WarmProcess
from evaluators.sandbox.records import Isolation, IsolationClass, IsolationError, Limits
from tasks.records import Language

_CODE_ROOT = str(Path(__file__).resolve().parents[2])
_KEEPER = (
    "import sys; sys.path.insert(0, sys.argv[1]); from evaluators.isolation import keeper; keeper.main(sys.argv[2])"
)
_ORDER: dict[Isolation, tuple[IsolationClass, ...]] = {
    "auto": ("strict", "landlock"),
    "strict": ("strict",),
    "landlock": ("landlock",),
    "none": ("none",),
}
_ENV = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_SCRATCH = "/var/tmp"  # not /tmp, which is the work folder in a candidate's world
_REMOVALS, _REMOVAL_PAUSE_S = 50, 0.1
_WORK_BYTES = 64 * 2**20
_SLACK_S = 60.0
_STARTING_S = 60.0


class StoppedError(Exception):
    """The candidate does not answer; the message says why (see `keeper.Stopped`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a candidate's process ended, at the latest when it was told to: a wait status, and what it used.

    `line_bytes` is the length of its longest answer.
    """

    status: int
    cpu_s: float
    wall_s: float
    stdout_bytes: int
    line_bytes: int
    stderr: str


class Session:
    """An open candidate: lines to it and back."""

    def __init__(self, keeper: WarmProcess, *, limits: Limits, first: str, key: str) -> None:
        """Wrap a candidate that the keeper has opened.

        `first` says whether its program was loaded; `key` is what a driver of ours was told before that.
        """
        self._keeper, self._limits, self.first, self.key = keeper, limits, first, key

    def ask(self, line: str) -> str:
        """Send one line of the protocol and return the candidate's answer.

        Raises:
            StoppedError: if the candidate does not answer within its limits.
            InfrastructureFault: if the harness failed.
        """
        return str(_checked(self._request({"do": "ask", "line": line}))["line"])

    def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        return ask(self._keeper, request, timeout_s=_longest_s(self._limits))


def _longest_s(limits: Limits) -> float:
    return 10 * limits.wall_s + 10 * limits.cpu_s + _SLACK_S


def _end(answer: dict[str, Any]) -> End:
    fields = ("status", "cpu_s", "wall_s", "stdout_bytes", "line_bytes", "stderr")
    return End(**{name: answer[name] for name in fields})


def ask(keeper: WarmProcess, request: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """One request of the keeper's protocol."""
    answer: dict[str, Any] = json.loads(keeper.ask(json.dumps(request), timeout_s=timeout_s))
    return answer


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "fault" in answer:
        raise InfrastructureFault(answer["fault"])
    if "stopped" in answer:
        raise StoppedError(answer["stopped"])
    return answer


def runtime_of(language: Language) -> RuntimeSupport:
    """How candidates in a language are run; asked only for languages that are."""
    support = LANGUAGES[language].runtime
    assert support is not None, f"programs in {language} are not run"
    return support()


class Bench:
    """Opens candidates one after the other; used by one thread."""

    def __init__(self, *, isolation: Isolation) -> None:
        """Start nothing yet."""
        self._isolation = isolation
        self._root: Path | None = None
        self._keeper: WarmProcess | None = None
        self._classes: dict[Language, IsolationClass] = {}
        self._runtimes: dict[Language, Runtime] = {}

    def __enter__(self) -> Self:
        """Enter a block at whose end everything is ended and removed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End and remove everything."""
        self.reset()

    def isolation_class(self, language: Language) -> IsolationClass:
        """The class that candidates in `language` get.

        Raises:
            IsolationError: if a class that was asked for cannot be given in full.
        """
        if language not in self._classes:
            self._classes[language] = self._prepare(language)
        return self._classes[language]

    def _prepare(self, language: Language) -> IsolationClass:
        if runtime_of(language).start is not None:
            self.runtime(language)  # its driver must be in place before the world of `strict` is built
        refusals = []
        for isolation in _ORDER[self._isolation]:
            settings = self._settings(language, isolation)
            request = {"do": "prepare", "kind": str(language), "settings": settings}
            answer = _checked(ask(self._warm_keeper(), request, timeout_s=_STARTING_S))
            if "refused" not in answer:
                return isolation
            refusals.append(f"{isolation}: {answer['refused']}" if self._isolation == "auto" else answer["refused"])
        raise IsolationError(self._isolation, "; ".join(refusals))

    def _settings(self, language: Language, isolation: IsolationClass) -> dict[str, Any]:
        kind = runtime_of(language)
        work = self.folder() / f"{language}-{isolation}"
        work.mkdir(mode=0o755)
        packages = self._packages()
        tools = self.folder() / f"{language}-tools"
        readable = (*kind.readable(), str(tools), packages, *map(str, {p.resolve() for p in Path(packages).iterdir()}))
        home = f"{WORK}/box" if isolation == "strict" else f"{work}/box"
        return {
            "isolation": isolation,
            "kind": "fork" if kind.start is None else "exec",
            "proc": kind.needs_proc,
            "work": str(work),
            "work_bytes": _WORK_BYTES,
            "readable": sorted(set(readable)),
            "reached": [PYTHON, *kind.readable()[:1], str(self.folder())],
            "packages": [packages] if kind.start is None else [],
            "code_root": _CODE_ROOT,
            "env": {**_ENV, "HOME": home, "TMPDIR": home},
        }

    def folder(self) -> Path:
        """The worker's scratch folder."""
        if self._root is None:
            parent = _SCRATCH if os.access(_SCRATCH, os.W_OK | os.X_OK) else None
            self._root = Path(tempfile.mkdtemp(prefix="polytune-", dir=parent))
            os.chmod(self._root, 0o711)  # a candidate that runs as another user passes through, and lists nothing
        return self._root

    def _packages(self) -> str:
        folder = self.folder() / "packages"
        if not folder.exists():
            folder.mkdir(mode=0o755)
            offer_packages(folder)
        return str(folder)

    def _warm_keeper(self) -> WarmProcess:
        if self._keeper is None:
            argv = (PYTHON, *LONE_PYTHON, "-c", _KEEPER, _CODE_ROOT, self._packages())
            self._keeper = WarmProcess(argv, env=_ENV, log=self.folder() / "keeper.log")
        return self._keeper

    def runtime(self, language: Language) -> Runtime:
        """The warm tools of an executed language."""
        if language not in self._runtimes:
            tools = self.folder() / f"{language}-tools"
            tools.mkdir(mode=0o755)
            start = runtime_of(language).start
            assert start is not None
            self._runtimes[language] = start(tools)
        return self._runtimes[language]

    def open(self, what: str | Command, *, language: Language, limits: Limits) -> Session | StoppedError:
        """Start a candidate: a program's text where candidates are forks, else a command.

        A candidate that stops before it has said whether its program was loaded is returned as the
        error that says why; `close` it all the same.

        Raises:
            InfrastructureFault: if the harness failed.
            IsolationError: if the isolation class asked for cannot be given.
        """
        isolation = self.isolation_class(language)
        start = self._start(what, language=language, isolation=isolation, limits=limits)
        key = "" if isinstance(what, str) else secrets.token_hex(16)
        program = what if isinstance(what, str) else [key, what.program]
        request: dict[str, Any] = {"do": "open", "kind": str(language), "start": start, "program": program}
        keeper = self._warm_keeper()
        answer = ask(keeper, request, timeout_s=10 * limits.wall_s + _SLACK_S)
        try:
            return Session(keeper, limits=limits, first=str(_checked(answer)["line"]), key=key)
        except StoppedError as stopped:
            return stopped

    def run(
        self,
        source: str,
        *,
        language: Language,
        limits: Limits,
        tests: dict[str, object],
        total_cpu_s: float | None = None,
    ) -> tuple[dict[str, str], End]:
        """Judge a program whose candidates are forks by tests that run apart: open, run and close in one exchange.

        With `total_cpu_s` the limits of time hold for each call, and this for all of them together.

        Returns:
            What there is of `line` (whether the program was loaded), `ending` and `text` (how the tests
            ended) and `stopped` (why there is no answer); and how the candidate ended.

        Raises:
            InfrastructureFault: if the harness failed.
            IsolationError: if the isolation class asked for cannot be given.
        """
        isolation = self.isolation_class(language)
        start = self._start(source, language=language, isolation=isolation, limits=limits)
        timeout_s = _longest_s(limits)
        if total_cpu_s is not None:
            start["limits"] |= {"each_call": True, "total_cpu_s": total_cpu_s}
            timeout_s += 10 * total_cpu_s * (1 + limits.wall_s / limits.cpu_s)
        request = {"do": "run", "kind": str(language), "start": start, "program": source, "tests": tests}
        answer = ask(self._warm_keeper(), request, timeout_s=timeout_s)
        if "fault" in answer:
            raise InfrastructureFault(answer["fault"])
        return answer, _end(answer.pop("end"))

    def _start(
        self, what: str | Command, *, language: Language, isolation: IsolationClass, limits: Limits
    ) -> dict[str, Any]:
        box = f"{WORK}/box" if isolation == "strict" else str(self.folder() / f"{language}-{isolation}" / "box")
        command = what if isinstance(what, Command) else None
        memory_bytes = limits.memory_mb * 2**20
        bounds = {
            "cpu_s": limits.cpu_s,
            "wall_s": limits.wall_s,
            "file_bytes": limits.output_bytes,
            "line_bytes": limits.output_bytes,
            "work_bytes": _WORK_BYTES,
            "memory_bytes": memory_bytes + (0 if command is None else command.data_bytes or memory_bytes),
            "address_space_bytes": memory_bytes if command is None else command.address_space_bytes,
            "data_bytes": None if command is None else command.data_bytes,
        }
        start: dict[str, Any] = {"limits": bounds}
        if isolation != "strict":
            start["box"] = box
        if command is not None:
            env = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": box, "TMPDIR": box, **dict(command.env)}
            start.update(argv=command.argv, env=env)
        return start

    def close(self) -> End:
        """End the candidate that is open, and tell how it ended.

        Raises:
            InfrastructureFault: if the harness failed.
        """
        answer = _checked(ask(self._warm_keeper(), {"do": "close"}, timeout_s=_SLACK_S))
        return _end(answer)

    def reset(self) -> None:
        """End every warm process and remove the scratch folder; the next run starts anew."""
        with contextlib.ExitStack() as stack:
            if self._root is not None:
                stack.callback(remove, self._root)
            for warm in (self._keeper, *self._runtimes.values()):
                if warm is not None:
                    stack.callback(warm.close)
            self._root, self._keeper, self._runtimes, self._classes = None, None, {}, {}


def remove(folder: Path) -> None:
    """Remove a folder that candidate code may have nested a thousand deep or made unreadable.

    A warm process that is just ending may still be at work in it, so it is tried for a few seconds.
    """
    for _ in range(_REMOVALS):
        try:
            shutil.rmtree(folder)
        except (OSError, RecursionError):
            subprocess.run(["chmod", "-R", "u+rwX", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)
            subprocess.run(["rm", "-rf", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)
        if not folder.exists():
            return
        time.sleep(_REMOVAL_PAUSE_S)


__all__ = ["Bench", "End", "Session", "StoppedError", "remove", "runtime_of"]
