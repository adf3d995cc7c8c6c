"""What mono's C# compiler says of a file: syntax errors, other errors, and warnings where it got that far.

One decision: a warning is only counted in a file that compiles. The compiler looks for unused variables
and the like after it has resolved every name, so a file with an unknown type would look clean.
"""

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from evaluators.languages.csharp.newer import GRAMMAR, is_newer
from evaluators.languages.csharp.toolchain import TOOLCHAIN, mono_tools
from evaluators.quality.batches import ask_for_each
from evaluators.quality.members import WholeFile, make_whole
from evaluators.quality.outcome import Failed, Measured, Message, MissingTool, Outcome
from tasks.records import Language

_PROGRAM = Path(__file__).with_name("McsBatch.cs")
_USINGS = "using System; using System.Collections.Generic; using System.Linq; using System.Text;"
_LINE = re.compile(r".*\((\d+),(\d+)(?:,\d+,\d+)?\): (error|warning) (CS\d+): (.*)")

# Types, names, members and namespaces that are not there: a snippet names its project's own.
_UNRESOLVED = frozenset({"CS0103", "CS0117", "CS0234", "CS0246", "CS0400", "CS0432", "CS1061"})


def _tools() -> tuple[str, str]:
    """`mono`, and the `mcs.exe` that the `mcs` on PATH would run on it."""
    found = mono_tools()
    if found is None:
        raise MissingTool(TOOLCHAIN.absent, remedy=TOOLCHAIN.remedy, advice=TOOLCHAIN.advice)
    return found


def mcs_version() -> str:
    """The compiler's version.

    Raises:
        MissingTool: if there is no mono, or none with a C# compiler.
    """
    return _version(*_tools())


@cache
def _version(mono: str, compiler: str) -> str:
    said = subprocess.run([mono, compiler, "--version"], capture_output=True, text=True, check=False).stdout
    return said.strip().rpartition(" ")[2] or "unknown"


def measure_with_mcs(sources: Sequence[str], language: Language) -> list[Outcome]:
    """Diagnostics of each file by code.

    Counts: `compiles` (0 or 1), `syntax_error`, `unresolved` (names that are not in the file or the
    standard library), `error` (all other errors), and `warning`, the last only in files that compile.
    """
    wholes = [make_whole(source, language=language, head=_USINGS) for source in sources]
    with tempfile.TemporaryDirectory(prefix="polytune-mcs-") as folder:
        files = []
        for number, whole in enumerate(wholes):
            files.append(Path(folder, f"{number:08}.cs"))
            files[-1].write_text(whole.text, encoding="utf-8", errors="replace", newline="")
        answers = ask_for_each(_build(Path(folder, "McsBatch.exe")), files)
    found = [_read(answer, whole) for answer, whole in zip(answers, wholes, strict=True)]
    return [_unless_newer(outcome, source) for outcome, source in zip(found, sources, strict=True)]


def _unless_newer(outcome: Outcome, source: str) -> Outcome:
    """No count of errors for a file that the compiler here is too old for: it may have none."""
    errors = [m for m in outcome.messages if m.category != "warning"] if isinstance(outcome, Measured) else []
    if errors and is_newer(source, f"{errors[0].rule}: {errors[0].text}", grammar=GRAMMAR):
        return Failed(reason=f"mono's compiler is too old for the file: {errors[0].rule}: {errors[0].text}")
    return outcome


def _build(target: Path) -> list[str]:
    """Compile the program that drives the compiler; returns the command that runs it."""
    mono, compiler = _tools()
    subprocess.run([mono, compiler, "-nologo", f"-out:{target}", str(_PROGRAM)], capture_output=True, check=False)
    return [mono, str(target), compiler]


def _read(answer: Any, whole: WholeFile) -> Outcome:
    if isinstance(answer, Failed):
        return answer
    if "failed" in answer:
        return Failed(reason=answer["failed"])
    messages = tuple(
        message
        for kind in ("syntax", "compiled")
        for line in answer[kind]
        if (message := _read_line(line, whole, is_syntax=kind == "syntax")) is not None
    )
    found = Counter(message.category for message in messages)
    counts: dict[str, float] = {name: found[name] for name in ("syntax_error", "unresolved", "error")}
    compiles = not any(counts.values())
    return Measured(
        counts={"compiles": float(compiles), **counts, **({"warning": found["warning"]} if compiles else {})},
        messages=tuple(message for message in messages if compiles or message.category != "warning"),
    )


def _read_line(line: str, whole: WholeFile, *, is_syntax: bool) -> Message | None:
    """A message of the compiler; None for what is about lines that were added, or continues another."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    number, column, severity, code, text = match.groups()
    # A brace that is missing is noticed at the end, on a line that was added.
    source_line = whole.source_line(int(number)) or (whole.lines if severity == "error" else None)
    if source_line is None or (severity == "warning" and is_syntax):
        return None
    category = "syntax_error" if is_syntax else "unresolved" if code in _UNRESOLVED else severity
    return Message(tool="mcs", rule=code, category=category, line=source_line, column=int(column), text=text.strip())
