"""The process that holds a warm pylint: reads sources from standard input, writes counts to standard output.

One decision: each file is linted in a fork of the same warmed, otherwise untouched process. In one
process that goes on, astroid's caches let a file change the counts of the files after it (seen in 14
of 60 HumanEval solutions); clearing them for each file takes 400 ms against the fork's 26.

The standard library is all that astroid can see here: a message must not depend on which packages
this machine happens to have. It is run as a script and imports nothing of ours.
"""

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
from pathlib import Path
from typing import Any

# pylint imports isort only when it meets the first import; by then it would be out of sight.
import isort  # noqa: F401
from pylint.lint import PyLinter
from pylint.reporters import CollectingReporter

_CATEGORIES = ("error", "warning", "convention", "refactor")

# R0801 and R0401 compare files with one another; E0401 says what this machine has not installed.
_OFF = ("duplicate-code", "cyclic-import", "import-error")

# Modules that solutions import most. What is loaded here is loaded for every file alike.
_WARM_UP = """
import bisect, collections, copy, datetime, functools, hashlib, heapq, itertools, json, math, operator, os, random, re
import string, sys, typing
from typing import Any, Dict, List, Optional, Tuple

def warm(values: List[int]) -> Dict[str, Any]:
    found = collections.defaultdict(list)
    for value in sorted(values):
        found[str(value)].append(math.sqrt(value) + len(re.findall("a", "b")))
    return {key: sum(value) for key, value in found.items() if value}
"""


def main() -> None:
    """Answer one request: a list of `{"counts": ...}` or `{"failed": reason}`, in the sources' order."""
    request = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="polytune-pylint-") as folder:
        # isort takes what lies in the working directory for code of ours.
        os.chdir(folder)
        linter = _warm_linter(Path(folder, "warm_up.py"))
        file = Path(folder, "solution.py")
        answers = [_lint_apart(linter, file, source, request["timeout_s"]) for source in request["sources"]]
    json.dump(answers, sys.stdout)


def _warm_linter(file: Path) -> PyLinter:
    linter = PyLinter()
    linter.load_default_plugins()
    for message in _OFF:
        linter.disable(message)
    _see_standard_library_only()
    file.write_text(_WARM_UP, encoding="utf-8")
    answer = _lint(linter, file)
    if "failed" in answer:
        raise RuntimeError(f"pylint fails on every file: {answer['failed']}")
    file.unlink()
    # A collector that runs in a fork touches, hence copies, all that it shares: 43 ms a file against 32.
    gc.collect()
    gc.disable()
    return linter


def _see_standard_library_only() -> None:
    roots = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    roots.append(Path(sysconfig.get_config_var("DESTSHARED") or roots[0]))
    sys.path[:] = [entry for entry in sys.path if Path(entry) in roots]
    # Editable installs are found by finders of their own.
    ours = (importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, importlib.machinery.PathFinder)
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder in ours]


def _lint_apart(linter: PyLinter, file: Path, source: str, timeout_s: float) -> dict[str, Any]:
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        _answer_and_exit(linter, file, source, sending)
    os.close(sending)
    answer = _receive(receiving, time.monotonic() + timeout_s)
    if answer is None:
        os.kill(child, signal.SIGKILL)
    os.close(receiving)
    _, status = os.waitpid(child, 0)
    if answer is None:
        return {"failed": f"took longer than {timeout_s} s"}
    if not answer:
        return {"failed": f"its process died, exit code {os.waitstatus_to_exitcode(status)}"}
    return dict(json.loads(answer))


def _answer_and_exit(linter: PyLinter, file: Path, source: str, sending: int) -> None:
    try:
        file.write_text(source, encoding="utf-8", newline="")
        answer = json.dumps(_lint(linter, file)).encode()
    except BaseException as error:  # a fork must end here, whatever happens
        answer = json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode()
    with os.fdopen(sending, "wb") as pipe:
        pipe.write(answer)
    os._exit(0)


def _lint(linter: PyLinter, file: Path) -> dict[str, Any]:
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
    found = [message.category for message in reporter.messages]
    return {"counts": {category: found.count(category) for category in _CATEGORIES}}


def _receive(receiving: int, deadline: float) -> bytes | None:
    """All that the other end writes, or None when it does not finish in time."""
    received = b""
    while select.select([receiving], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(receiving, 65536)
        if not chunk:
            return received
        received += chunk
    return None


if __name__ == "__main__":
    main()
