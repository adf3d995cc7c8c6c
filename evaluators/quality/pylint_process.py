"""The process that holds a warm pylint: reads sources from standard input, writes messages to standard output.

One decision: files are linted in a row in a fork of the warmed process, and what one file leaves behind
is removed before the next. astroid keeps whatever it has inferred, so that in a process that merely goes
on a file changes the messages of those after it (seen in 14 of 60 HumanEval solutions). Emptying astroid's
caches of inference is quick and enough, save for code that stores an attribute in somebody else's object
(`threading.Thread.flavour = 1`): astroid writes that into the syntax tree of the standard library. Such a
file has a fork of its own.

The standard library is all that astroid can see here: a message must not depend on which packages
this machine happens to have. It is run as a script and imports nothing of ours.
"""

import ast
import gc
import importlib.machinery
import json
import os
import re
import select
import signal
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NoReturn

# pylint imports isort only when it meets the first import; by then it would be out of sight.
import isort  # noqa: F401
from astroid.context import _invalidate_cache
from astroid.inference_tip import clear_inference_tip_cache
from astroid.manager import AstroidManager
from pylint.checkers import BaseChecker
from pylint.checkers.clear_lru_cache import clear_lru_caches
from pylint.lint import PyLinter, pylinter
from pylint.reporters import CollectingReporter
from pylint.utils import ASTWalker

# R0801 and R0401 compare files with one another; E0401 says what this machine has not installed.
_OFF = ("duplicate-code", "cyclic-import", "import-error")

# What a file of the standard library needs is loaded when first met, and stays.
_WARM_UP = """
from typing import List

def warm(values: List[int]):
    return sorted(values)
"""

_Answer = dict[str, Any]
_Methods = dict[str, list[Any]]


def main() -> None:
    """Answer one request: a list of `{"messages": ...}` or `{"failed": reason}`, in the sources' order."""
    request = json.load(sys.stdin)
    sources: dict[int, str] = dict(enumerate(request["sources"]))
    workers: int = request["workers"]
    with tempfile.TemporaryDirectory(prefix="polytune-pylint-", dir=_find_memory()) as folder:
        # isort takes what lies in the working directory for code of ours.
        os.chdir(folder)
        linter = _warm_linter(Path(folder, "warm_up.py"))
        children = []
        for worker in range(workers):
            share = {index: sources[index] for index in range(worker, len(sources), workers)}
            children.append(os.fork())
            if children[-1] == 0:
                _lint_share_and_exit(linter, Path(folder, str(worker)), share, request["timeout_s"])
        answers: dict[str, _Answer] = {}
        for worker, child in enumerate(children):
            os.waitpid(child, 0)
            answers |= json.loads(Path(folder, str(worker), "answers.json").read_bytes())
    json.dump([answers[str(index)] for index in sources], sys.stdout)


def _find_memory() -> str | None:
    """A file system in memory, if there is one: on a disk, writing over a file took 3 ms, as long as linting it."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None


def _lint_share_and_exit(linter: PyLinter, folder: Path, sources: dict[int, str], timeout_s: float) -> NoReturn:
    """Lint some of the sources, with forks of this process, and leave the answers in `folder`."""
    folder.mkdir()
    os.chdir(folder)
    alone = {index for index, source in sources.items() if _stores_elsewhere(source)}
    answers: dict[int, _Answer] = {}
    while rows := {index: sources[index] for index in sources if index not in alone and index not in answers}:
        answers |= _lint_row(linter, folder / "solution.py", rows, timeout_s)
    for index in alone:
        answers |= _lint_row(linter, folder / "solution.py", {index: sources[index]}, timeout_s)
    Path("answers.json").write_text(json.dumps(answers), encoding="utf-8")
    os._exit(0)


class _Walker(ASTWalker):
    """pylint's walker, which finds out once instead of for every file which methods to call: 4.5 ms against 13."""

    _methods: ClassVar[dict[int, tuple[_Methods, _Methods]]] = {}

    def add_checker(self, checker: BaseChecker) -> None:
        if id(checker) not in self._methods:
            alone = ASTWalker(self.linter)
            alone.add_checker(checker)
            self._methods[id(checker)] = (alone.visit_events, alone.leave_events)
        for ours, found in zip((self.visit_events, self.leave_events), self._methods[id(checker)], strict=True):
            for node, methods in found.items():
                ours[node] += methods


class _Linter(PyLinter):
    """pylint's linter, which sorts out once which checkers are on."""

    _prepared: list[BaseChecker] | None = None

    def prepare_checkers(self) -> list[BaseChecker]:
        if self._prepared is None:
            self._prepared = super().prepare_checkers()
        return self._prepared


def _warm_linter(file: Path) -> PyLinter:
    pylinter.ASTWalker = _Walker  # type: ignore[attr-defined]  # there is no other way to hand it one
    linter = _Linter()
    linter.load_default_plugins()
    for message in _OFF:
        linter.disable(message)
    _see_standard_library_only()
    file.write_text(_WARM_UP, encoding="utf-8")
    answer = _lint(linter, file)
    if "failed" in answer:
        raise RuntimeError(f"pylint fails on every file: {answer['failed']}")
    file.unlink()
    _forget()
    # A collector that visits what forks share makes them copy it.
    gc.collect()
    gc.freeze()
    return linter


def _see_standard_library_only() -> None:
    roots = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    roots.append(Path(sysconfig.get_config_var("DESTSHARED") or roots[0]))
    sys.path[:] = [entry for entry in sys.path if Path(entry) in roots]
    # Editable installs are found by finders of their own.
    ours = (importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, importlib.machinery.PathFinder)
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder in ours]


def _stores_elsewhere(source: str) -> bool:
    """Whether the code stores an attribute in anything but `self`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return False
    return any(
        isinstance(node, ast.Attribute)
        and not isinstance(node.ctx, ast.Load)
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
        for node in ast.walk(tree)
    )


def _forget() -> None:
    """Empty all that astroid has inferred; the syntax trees of the standard library stay."""
    AstroidManager().astroid_cache.pop("solution", None)
    _invalidate_cache()
    clear_inference_tip_cache()
    clear_lru_caches()


def _lint_row(linter: PyLinter, file: Path, sources: dict[int, str], timeout_s: float) -> dict[int, _Answer]:
    """Answers in the order of `sources`, up to the first file that ends its process or takes too long."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiving)
        _answer_and_exit(linter, file, sources.values(), sending)
    os.close(sending)
    answers = dict(zip(sources, _receive(receiving, timeout_s), strict=False))
    late = len(answers) < len(sources) and bool(os.waitpid(child, os.WNOHANG) == (0, 0))
    if late:
        os.kill(child, signal.SIGKILL)
    os.close(receiving)
    status = _wait(child)
    if len(answers) < len(sources):
        lost = next(index for index in sources if index not in answers)
        died = f"its process died, exit code {os.waitstatus_to_exitcode(status)}"
        answers[lost] = {"failed": f"took longer than {timeout_s} s" if late else died}
    return answers


def _wait(child: int) -> int:
    try:
        return os.waitpid(child, 0)[1]
    except ChildProcessError:  # it had ended before, and was already waited for
        return 0


def _answer_and_exit(linter: PyLinter, file: Path, sources: Iterable[str], sending: int) -> NoReturn:
    with os.fdopen(sending, "wb") as pipe:
        for source in sources:
            try:
                file.write_text(source, encoding="utf-8", newline="")
                answer = _lint(linter, file)
                _forget()
            except BaseException as error:  # a fork must end here, whatever happens
                answer = {"failed": f"{type(error).__name__}: {error}"}
            pipe.write(json.dumps(answer).encode() + b"\n")
            pipe.flush()
    os._exit(0)


def _lint(linter: PyLinter, file: Path) -> _Answer:
    reporter = CollectingReporter()
    linter.set_reporter(reporter)
    crash = file.with_suffix(".crash")
    linter.crash_file_path = str(crash)
    linter.check([str(file)])
    for message in reporter.messages:
        # A file that the interpreter parses and pylint does not: pylint's limit, not the code's fault.
        if message.symbol == "syntax-error":
            return {"failed": message.msg}
        if message.category == "fatal":
            causes = re.findall(r"^\w+(?:Error|Exception)\b.*", crash.read_text(encoding="utf-8"), re.MULTILINE)
            return {"failed": f"crashed with {causes[0] if causes else message.symbol}"}
    return {"messages": [[m.category, m.symbol, m.line, m.column, m.msg] for m in reporter.messages]}


def _receive(receiving: int, timeout_s: float) -> Iterator[_Answer]:
    """What the other end answers, a line each, until it ends or is silent for too long."""
    received = b""
    deadline = time.monotonic() + timeout_s
    while select.select([receiving], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(receiving, 65536)
        if not chunk:
            return
        received += chunk
        *lines, received = received.split(b"\n")
        for line in lines:
            deadline = time.monotonic() + timeout_s
            yield json.loads(line)


if __name__ == "__main__":
    main()
