"""What a run shows: the verdict's name, and what to tell about it. Pure.

One decision: the first thing that did not come out right decides; only too much output, which may
have cost the outcomes themselves, comes before it.
"""

import os
import re
import signal
from dataclasses import dataclass

from pydantic import JsonValue

from evaluators.isolation.values import Alien
from evaluators.sandbox.bench import End
from evaluators.sandbox.records import Limits
from tasks.records import CallTests, Case, UnjudgedReason, ValueType, VerdictName

_VERDICTS: dict[str, VerdictName] = {
    "passed": "passed",
    "failed": "wrong_answer",
    "alien": "wrong_answer",
    "raised": "exception",
    "compile": "compile_error",
    "missing": "compile_error",  # with the tests in one file, the program would not compile
    "unmatched": "exception",  # as in Python, where a name that is not there raises
    "memory": "memory",
    "endless": "timeout",
    "unsayable": "wrong_answer",  # the reference's tests could be said, so this program's values made the difference
}
_STOPPED: dict[str, VerdictName] = {
    "cpu": "timeout",
    "wall": "unjudged",
    "memory": "memory",
    "output": "output_limit",
    "processes": "forbidden",
}
_SIGNALLED: dict[int, VerdictName] = {
    signal.SIGKILL: "memory",
    signal.SIGXCPU: "timeout",
    signal.SIGSYS: "forbidden",
}
_OUT_OF_MEMORY = re.compile(r"out ?of ?memory|MemoryError|insufficient memory|could not allocate", re.IGNORECASE)
_REFUSED = re.compile(r"PermissionError\b|\[Errno 1\]|\[Errno 13\]")
_FULL = re.compile(r"\[Errno (27|28)\]")  # EFBIG, ENOSPC
_LONGEST_VALUE, _LONGEST_DETAIL = 80, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How tests ended, what to tell, and where it happened."""

    kind: str
    text: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A verdict's name and what to tell about it; `reason` is why there is none."""

    verdict: VerdictName
    detail: str = ""
    reason: UnjudgedReason | None = None


def matches(expected: JsonValue, actual: object, *, returns: ValueType) -> bool:
    """Whether a returned value is the expected one, type for type.

    A bool is not an int, nor an int a bool. A float compares with `==`; where a float is declared an
    int of the same value is accepted, as Python's and Java's own typing accepts it.
    """
    if returns.startswith("list["):
        if not isinstance(expected, list) or not isinstance(actual, list) or len(expected) != len(actual):
            return False
        return all(_same(e, a, returns[5:-1]) for e, a in zip(expected, actual, strict=True))
    return _same(expected, actual, returns)


def _same(expected: object, actual: object, kind: str) -> bool:
    if kind == "float":
        return all(type(v) in (int, float) for v in (expected, actual)) and expected == actual
    return type(expected) is type(actual) and expected == actual


def shorten(text: str, *, limit: int = _LONGEST_DETAIL) -> str:
    """Cut text to `limit` characters, its middle replaced by dots."""
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def show(value: object, *, limit: int = _LONGEST_VALUE) -> str:
    """A value as a detail shows it, shortened; an integer of any length can be shown."""
    if isinstance(value, Alien):
        return f"a {value.type_name}"
    if isinstance(value, int) and value.bit_length() > 4 * limit:
        return f"an int of {value.bit_length()} bits"
    if isinstance(value, list):
        shown = [show(item, limit=limit) for item in value[:limit]]
        return shorten(f"[{', '.join(shown)}{', ...' if len(value) > limit else ''}]", limit=limit)
    try:
        return shorten(repr(value), limit=limit)
    except ValueError:  # a long integer within a tuple or a dict
        return f"a {type(value).__name__}"


def call_text(tests: CallTests, index: int) -> str:
    """A case as details name it."""
    arguments = shorten(", ".join(show(a) for a in tests.cases[index].arguments), limit=2 * _LONGEST_VALUE)
    return f"case {index + 1}: {tests.entry_point}({arguments})"


def difference(call: str, case: Case, actual: object) -> str:
    """What came instead of what was expected."""
    return f"{call} returned {show(actual)}, expected {show(case.expected)}"


def find(ending: Ending, end: End | None, *, limits: Limits) -> Finding:
    """Name what a run showed."""
    if end is not None and end.stdout_bytes >= limits.output_bytes:
        return Finding(verdict="output_limit", detail=f"wrote more than {limits.output_bytes} bytes of output")
    if ending.kind == "stopped":
        return _stopped(ending, end, limits)
    if ending.kind == "too_old":
        said = f"not judged: the compiler here is too old for the program: {ending.text}"
        return Finding(verdict="unjudged", detail=shorten(said), reason=UnjudgedReason.TOOLCHAIN_TOO_OLD)
    name = _VERDICTS[ending.kind]
    if name == "exception":
        name = _kind_of_exception(ending.text)
    verb = f"{ending.where} raised " if ending.kind in ("raised", "memory") else ""
    return Finding(verdict=name, detail=shorten(verb + " ".join(ending.text.split())))


def _kind_of_exception(text: str) -> VerdictName:
    if _FULL.search(text):
        return "output_limit"
    return "forbidden" if _REFUSED.search(text) else "exception"


def _stopped(ending: Ending, end: End | None, limits: Limits) -> Finding:
    """Name why there is no answer."""
    assert end is not None
    details = {
        "cpu": f"{limits.cpu_s:g} s of CPU time",
        "wall": f"{limits.wall_s:g} s of wall time ({end.cpu_s:.1f} s of CPU time), twice",
        "memory": f"its processes held more than the {limits.memory_mb} MiB allowed",
        "output": "it wrote more than is allowed, into files or as a value",
        "processes": "it started too many processes",
    }
    if ending.text in details:
        return Finding(
            verdict=_STOPPED[ending.text],
            detail=f"{ending.where} not finished after {details[ending.text]}",
            reason=UnjudgedReason.ONLY_WAITED if ending.text == "wall" else None,
        )
    return _ended(ending, end)


def _ended(ending: Ending, end: End) -> Finding:
    """The process is gone, and did not say why."""
    detail = f"{ending.where} not finished: {_how_it_ended(end)}"
    if os.WIFSIGNALED(end.status) and os.WTERMSIG(end.status) in _SIGNALLED:
        return Finding(verdict=_SIGNALLED[os.WTERMSIG(end.status)], detail=detail)
    return Finding(verdict="memory" if _OUT_OF_MEMORY.search(end.stderr) else "exception", detail=detail)


def _how_it_ended(end: End) -> str:
    if os.WIFSIGNALED(end.status):
        return f"the process was ended by {signal_name(os.WTERMSIG(end.status))}"
    status = os.WEXITSTATUS(end.status)
    said = " ".join(end.stderr.split())[: 2 * _LONGEST_VALUE]
    return f"the process ended (exit status {status})" + (f": {said}" if said else "")


def signal_name(number: int) -> str:
    """A signal's name, such as SIGSEGV."""
    return signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"


__all__ = ["Ending", "Finding", "call_text", "difference", "find", "matches", "shorten", "show"]
