"""What a run shows: outcomes against expected values, or the way in which it ended. Pure.

One decision: the first case that did not come out right decides, in the order of the cases, whatever
happened later; only too much output, which may have cost the outcomes themselves, comes before it.
"""

import re
from dataclasses import dataclass

from pydantic import JsonValue

from evaluators.sandbox.confinement import Run, signal_name
from evaluators.sandbox.records import InfrastructureFault, Limits
from evaluators.sandbox.wire import Alien, Transcript, Value, read_transcript
from tasks.records import CallTests, Case, ValueType, VerdictName

_ENDINGS: dict[str, VerdictName] = {"c": "compile_error", "x": "exception", "m": "memory", "w": "wrong_answer"}
_OUT_OF_MEMORY = re.compile(r"out ?of ?memory|MemoryError|insufficient memory|could not allocate", re.IGNORECASE)
_SIGKILL = 9
_LONGEST_VALUE, _LONGEST_DETAIL = 80, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A verdict's name and what to tell about it."""

    verdict: VerdictName
    detail: str = ""


def matches(expected: JsonValue, actual: Value, *, returns: ValueType) -> bool:
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
    return shorten(repr(value), limit=limit)


def _call(tests: CallTests, index: int) -> str:
    arguments = shorten(", ".join(show(a) for a in tests.cases[index].arguments), limit=2 * _LONGEST_VALUE)
    return f"case {index + 1}: {tests.entry_point}({arguments})"


def find_calls(run: Run, *, tests: CallTests, limits: Limits) -> Finding:
    """Judge a run against cases whose expected values it never saw.

    Raises:
        InfrastructureFault: if the driver did not even start.
    """
    transcript = _transcript(run)
    if run.overflowed:
        return _overflow(limits)
    for index, case in enumerate(tests.cases):
        if index >= len(transcript.values):
            where = _call(tests, index) if transcript.loaded else "loading the program"
            return _ending(run, transcript, where=where, limits=limits)
        actual = transcript.values[index]
        if not matches(case.expected, actual, returns=tests.returns):
            return Finding(verdict="wrong_answer", detail=_difference(_call(tests, index), case, actual))
    return _passed_in_time(run, limits)


def find_code(run: Run, *, nonce: str, limits: Limits) -> Finding:
    """Judge a run of tests that are code: passed only if the nonce, given after loading, came back.

    Raises:
        InfrastructureFault: if the driver did not even start.
    """
    transcript = _transcript(run)
    if run.overflowed:
        return _overflow(limits)
    if transcript.ending == "k" and transcript.loaded and transcript.text == nonce:
        return _passed_in_time(run, limits)
    where = "the tests" if transcript.loaded else "loading the program"
    return _ending(run, transcript, where=where, limits=limits)


def _transcript(run: Run) -> Transcript:
    if not run.started and not run.outcomes:
        raise InfrastructureFault(f"the driver did not start: {_how_it_ended(run)}")
    return read_transcript(run.outcomes)


def _difference(call: str, case: Case, actual: Value) -> str:
    return f"{call} returned {show(actual)}, expected {show(case.expected)}"


def _overflow(limits: Limits) -> Finding:
    return Finding(verdict="output_limit", detail=f"wrote more than {limits.output_bytes} bytes into one file")


def _passed_in_time(run: Run, limits: Limits) -> Finding:
    if run.cpu_s > limits.cpu_s:
        return Finding(verdict="timeout", detail=f"took {run.cpu_s:.1f} s of CPU time, allowed {limits.cpu_s:g} s")
    return Finding(verdict="passed")


def _ending(run: Run, transcript: Transcript, *, where: str, limits: Limits) -> Finding:
    """Name why there is no outcome at `where`."""
    if transcript.ending in _ENDINGS:
        verb = {"c": "", "w": "failed: "}.get(transcript.ending, f"{where} raised ")
        return Finding(verdict=_ENDINGS[transcript.ending], detail=shorten(verb + transcript.text.replace("\n", " ")))
    if run.cause == "wall":
        spent = f"{limits.wall_s:g} s of wall time ({run.cpu_s:.1f} s of CPU time)"
        return Finding(verdict="timeout", detail=f"{where} not finished after {spent}")
    if run.cause == "cpu":
        return Finding(verdict="timeout", detail=f"{where} not finished after {limits.cpu_s:g} s of CPU time")
    if run.killed_by == _SIGKILL or _OUT_OF_MEMORY.search(run.stderr):
        return Finding(verdict="memory", detail=f"{where} not finished: {_how_it_ended(run)}, as when memory runs out")
    return Finding(verdict="exception", detail=f"{where} not finished: {_how_it_ended(run)}")


def _how_it_ended(run: Run) -> str:
    if run.killed_by is not None:
        return f"the process was ended by {signal_name(run.killed_by)}"
    said = " ".join(run.stderr.split())[: 2 * _LONGEST_VALUE] if run.exit_status else ""
    return f"the process ended (exit status {run.exit_status})" + (f": {said}" if said else "")


__all__ = ["Finding", "find_calls", "find_code", "matches", "shorten", "show"]
