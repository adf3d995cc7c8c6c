"""Runs one program against its problem's tests, on a bench, and says how that ended.

One decision: three ways, chosen from the problem alone: cases that are data are called one by one and
compared here; tests that are code run in a trusted process against a proxy; and only where they need
the candidate's own objects do they run in its process, ending with a token that it is handed after
its program was loaded.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from evaluators.isolation.values import Encoded, UnsayableError, decode, encode
from evaluators.languages.runtimes import Judge, Rejected
from evaluators.languages.warm import InfrastructureFault
from evaluators.sandbox import strength
from evaluators.sandbox.arguments import typed_arguments
from evaluators.sandbox.bench import Bench, End, Session, StoppedError, runtime_of
from evaluators.sandbox.records import Limits
from evaluators.sandbox.verdicts import Ending, call_text, difference, matches
from tasks.records import CallTests, CodeTests, Language, Problem

Strength = Literal["apart", "in-process"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a run ended; `end` is None where no process was started."""

    ending: Ending
    strength: Strength
    end: End | None = None


def language_of(problem: Problem) -> Language:
    """The language that a problem's programs are written in."""
    language = problem.parsed_track.target
    assert language is not None
    return language


def run(
    bench: Bench,
    problem: Problem,
    source: str,
    *,
    limits: Limits,
    inside: bool = False,
    total_cpu_s: float | None = None,
) -> Ran:
    """Run one program; `inside` says that its tests are known not to run apart.

    With `total_cpu_s`, limits of time hold for each call, and this for all together; in a program's own process
    calls cannot be told apart, so that it holds alone.

    Raises:
        InfrastructureFault: if the harness failed.
        UnsayableError: if an argument of the tests cannot be said in the language.
        IsolationError: if the isolation class asked for cannot be given.
    """
    try:
        if runtime_of(language_of(problem)).start is None:
            return _run_forked(bench, problem, source, limits, inside, total_cpu_s)
        return _run_executed(bench, problem, source, limits, inside)
    except OSError as error:
        raise InfrastructureFault(f"{type(error).__name__}: {error}") from error


def _run_forked(
    bench: Bench, problem: Problem, source: str, limits: Limits, inside: bool, total_cpu_s: float | None
) -> Ran:
    """Run a program that a warm interpreter loads; its code tests are Python's, as the keeper is."""
    language, tests = language_of(problem), problem.tests
    if isinstance(tests, CodeTests) and not inside and strength.plan(problem).apart:
        return _run_apart(bench, problem, source, limits, total_cpu_s)
    if total_cpu_s is not None:
        scale = total_cpu_s / limits.cpu_s
        limits = limits.model_copy(update={"cpu_s": total_cpu_s, "wall_s": scale * limits.wall_s})
    opened = bench.open(source, language=language, limits=limits)
    if isinstance(tests, CallTests):
        return _judged(bench, opened, lambda session: run_cases(session, tests, language), "apart")
    assert isinstance(tests, CodeTests)
    handed: list[Encoded] = [tests.entry_point or "", tests.setup, tests.code]
    return _judged(bench, opened, lambda session: _run_inside(session, handed), "in-process")


def _run_apart(bench: Bench, problem: Problem, source: str, limits: Limits, total_cpu_s: float | None) -> Ran:
    """Run tests in the keeper, against a proxy of the function under test."""
    tests, plan = problem.tests, strength.plan(problem)
    assert isinstance(tests, CodeTests)
    given: dict[str, object] = {
        "names": list(plan.names),
        "preamble": problem.preamble,
        "setup": plan.imports + tests.setup,
        "tests": tests.code,
        "entry_point": tests.entry_point,
    }
    language = language_of(problem)
    answer, end = bench.run(source, language=language, limits=limits, tests=given, total_cpu_s=total_cpu_s)
    if "stopped" in answer:
        where = "the tests" if "line" in answer else "loading the program"
        ending = Ending(kind="stopped", text=answer["stopped"], where=where)
    elif "ending" in answer:
        ending = Ending(kind=answer["ending"], text=answer["text"], where="the tests")
    else:
        ending = _failure(_read(answer["line"]), where="loading the program")
    return Ran(ending=ending, strength="apart", end=end)


def _run_executed(bench: Bench, problem: Problem, source: str, limits: Limits, inside: bool) -> Ran:
    language, tests = language_of(problem), problem.tests
    assert tests is not None
    runtime = bench.runtime(language)
    judge: Judge | Rejected | None = None
    if inside:
        judge = Rejected(message="the reference passes these tests in its own process alone")
    elif isinstance(tests, CodeTests):
        judge = runtime.open_judge(tests, preamble=problem.preamble)
    level: Strength = "in-process" if isinstance(judge, Rejected) else "apart"
    command = runtime.prepare(source, tests=tests, apart=level == "apart", memory_mb=limits.memory_mb)
    if isinstance(command, Rejected):
        kind = "too_old" if command.too_old else "compile"
        return Ran(ending=Ending(kind=kind, text=command.message), strength=level)
    opened = bench.open(command, language=language, limits=limits)

    def run_tests(session: Session) -> Ending:
        if isinstance(tests, CallTests):
            return run_cases(session, tests, language)
        if judge is not None and not isinstance(judge, Rejected):
            end = judge.run(session.ask)
            return Ending(kind=end.kind, text=end.text, where="the tests")
        return _run_inside(session, [command.tests])

    return _judged(bench, opened, run_tests, level)


def _judged(
    bench: Bench, opened: Session | StoppedError, run_tests: Callable[[Session], Ending], level: Strength
) -> Ran:
    """Let the tests run if the program was loaded, and close the candidate whatever happens."""
    try:
        if isinstance(opened, StoppedError):
            ending = Ending(kind="stopped", text=str(opened), where="loading the program")
        else:
            ending = _not_loaded(opened.first) or run_tests(opened)
    except StoppedError as stopped:
        ending = Ending(kind="stopped", text=str(stopped), where="the tests")
    except UnsayableError:
        bench.close()
        raise
    return Ran(ending=ending, strength=level, end=bench.close())


def _not_loaded(line: str) -> Ending | None:
    answer = _read(line)
    return None if answer[0] == "loaded" else _failure(answer, where="loading the program")


def _read(line: str) -> list[Any]:
    """An answer of the candidate's; what is none becomes an exception of its own."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, list) or not answer or not isinstance(answer[0], str):
        return ["raise", "unreadable outcome", line[:80]]
    return answer


def _failure(answer: list[Any], *, where: str) -> Ending:
    kinds = {"raise": "raised", "compile": "compile", "memory": "memory", "missing": "missing", "failed": "failed"}
    kind = kinds.get(answer[0])
    if kind is None:
        return Ending(kind="raised", text=f"unreadable outcome: {str(answer)[:80]}", where=where)
    return Ending(kind=kind, text=": ".join(str(part) for part in answer[1:] if part), where=where)


def _run_inside(session: Session, tests: list[Encoded]) -> Ending:
    """Hand over the tests with a nonce, which comes back, with the key, only if they ran to their end."""
    nonce = secrets.token_hex(16)
    answer = _read(session.ask(json.dumps(["test", nonce, *tests])))
    if answer == ["token", nonce + session.key]:
        return Ending(kind="passed")
    return _failure(answer, where="the tests")


def run_cases(session: Session, tests: CallTests, language: Language) -> Ending:
    """Call the entry point once a case, up to the first that does not come out right."""
    types = [parameter.type for parameter in tests.parameters]
    given = typed_arguments(tests, language=language)
    for index, case in enumerate(tests.cases):
        where = call_text(tests, index)
        arguments = [encode(argument) for argument in given[index]]
        try:
            answer = _read(session.ask(json.dumps(["call", None, tests.entry_point, arguments, types])))
        except StoppedError as stopped:
            return Ending(kind="stopped", text=str(stopped), where=where)
        if answer[0] == "missing":
            return Ending(kind="unmatched", text=": ".join(map(str, answer[1:])))
        if answer[0] != "ok":
            return _failure(answer, where=where)
        try:
            actual = decode(answer[1])
        except (ValueError, IndexError) as fault:
            return Ending(kind="raised", text=f"unreadable outcome: {fault}", where=where)
        if not matches(case.expected, actual, returns=tests.returns):
            return Ending(kind="failed", text=difference(where, case, actual), where=where)
    return Ending(kind="passed")


__all__ = ["Ran", "language_of", "run"]
