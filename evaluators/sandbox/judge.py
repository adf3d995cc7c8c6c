"""Executes programs and gives each its verdict: validation, sharing of equal work, workers, retries.

One decision: "could not judge" is an answer. A missing compiler, an argument that a language cannot
say, or a harness that failed twice makes a program `unjudged` with the reason; it is never an
exception of this module's, and never the candidate's fault.
"""

import logging
import queue
import secrets
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from evaluators.sandbox.bench import Bench
from evaluators.sandbox.confinement import Run
from evaluators.sandbox.languages import Rejected
from evaluators.sandbox.records import InfrastructureFault, Limits, Program
from evaluators.sandbox.toolchains import missing_toolchain
from evaluators.sandbox.verdicts import Finding, find_calls, find_code, shorten
from evaluators.sandbox.wire import UnsayableError
from tasks.records import CallTests, CodeTests, Language, Problem, Verdict

_log = logging.getLogger(__name__)
_ATTEMPTS = 2
_Job = tuple[str, str]


def execute(
    problems: Sequence[Problem], programs: Sequence[Program], *, limits: Limits, workers: int = 1
) -> tuple[Verdict, ...]:
    """Run every program against its problem's tests, each in a confined process of its own.

    Programs of one problem with the same source are run once and share the verdict. `workers` run
    side by side; one a core is right.

    Returns:
        One verdict a program, in the order of `programs`.

    Raises:
        ValueError: if a program's problem is unknown, has no tests or no language to run, or has
            tests as Python code in another language's track.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    by_id = {problem.id: problem for problem in problems}
    jobs = dict.fromkeys((program.problem_id, program.source) for program in programs)
    for program in programs:
        _check(program, by_id)
    absent = {language: missing_toolchain(language) for language in {_language(by_id[job[0]]) for job in jobs}}
    verdicts = {job: _unjudged(job[0], reason) for job in jobs if (reason := absent[_language(by_id[job[0]])])}
    verdicts.update(_run_all([job for job in jobs if job not in verdicts], by_id, limits=limits, workers=workers))
    return tuple(
        Verdict.model_validate({**dict(verdicts[program.problem_id, program.source]), "sample": program.sample})
        for program in programs
    )


def _check(program: Program, by_id: Mapping[str, Problem]) -> None:
    problem = by_id.get(program.problem_id)
    if problem is None:
        raise ValueError(f"program names problem {program.problem_id!r}, which is not among the problems given")
    target = problem.parsed_track.target
    if target is None:
        raise ValueError(f"problem {problem.id!r} is of track {problem.track}, which writes no code to execute")
    if problem.tests is None:
        raise ValueError(f"problem {problem.id!r} has no tests; execute only problems that have some")
    if isinstance(problem.tests, CodeTests) and target is not Language.PYTHON:
        raise ValueError(f"problem {problem.id!r} has tests as Python code, but its track {problem.track} does not")


def _language(problem: Problem) -> Language:
    language = problem.parsed_track.target
    assert language is not None
    return language


def _tests(problem: Problem) -> CallTests | CodeTests:
    assert problem.tests is not None
    return problem.tests


def _unjudged(problem_id: str, reason: str) -> Verdict:
    return Verdict(task_id=problem_id, verdict="unjudged", detail=shorten(reason), strength="none")


def _run_all(
    jobs: Iterable[_Job], by_id: Mapping[str, Problem], *, limits: Limits, workers: int
) -> dict[_Job, Verdict]:
    waiting = queue.SimpleQueue[_Job]()
    for job in jobs:
        waiting.put(job)
    done: dict[_Job, Verdict] = {}

    def work() -> None:
        with Bench() as bench:
            while True:
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                done[job] = _judge(bench, by_id[job[0]], job[1], limits)

    with ThreadPoolExecutor(max_workers=min(workers, max(1, waiting.qsize()))) as pool:
        futures = [pool.submit(work) for _ in range(min(workers, waiting.qsize()))]
        try:
            for future in futures:
                future.result()
        except BaseException:  # leave no worker busy behind an interrupt
            _drain(waiting)
            raise
    return done


def _drain(waiting: "queue.SimpleQueue[_Job]") -> None:
    while not waiting.empty():
        try:
            waiting.get_nowait()
        except queue.Empty:
            return


def _judge(bench: Bench, problem: Problem, source: str, limits: Limits) -> Verdict:
    fault: Exception | None = None
    for _ in range(_ATTEMPTS):
        try:
            return _judge_once(bench, problem, source, limits)
        except UnsayableError as error:
            return _unjudged(problem.id, f"not judged: {error}; the problem's tests need changing")
        except InfrastructureFault as error:
            _log.warning("sandbox fault on problem %s: %s", problem.id, error)
            bench.reset()
            fault = error
    return _unjudged(problem.id, f"not judged: the harness failed twice: {fault}")


def _judge_once(bench: Bench, problem: Problem, source: str, limits: Limits) -> Verdict:
    tests, nonce = _tests(problem), secrets.token_hex(16)
    ran = bench.run(source, language=_language(problem), tests=tests, nonce=nonce, limits=limits)
    strength: Literal["apart", "in-process"] = "apart" if isinstance(tests, CallTests) else "in-process"
    if isinstance(ran, Rejected):
        return Verdict(task_id=problem.id, verdict="compile_error", detail=shorten(ran.message), strength=strength)
    finding = _find(ran, tests, nonce, limits)
    return Verdict(
        task_id=problem.id,
        verdict=finding.verdict,
        detail=finding.detail,
        strength=strength,
        cpu_s=round(ran.cpu_s, 4),
        wall_s=round(ran.wall_s, 4),
    )


def _find(run: Run, tests: CallTests | CodeTests, nonce: str, limits: Limits) -> Finding:
    if isinstance(tests, CallTests):
        return find_calls(run, tests=tests, limits=limits)
    return find_code(run, nonce=nonce, limits=limits)


__all__ = ["execute"]
