"""Executes programs and gives each its verdict: validation, sharing of equal work, workers, retries.

One decision: "could not judge" is an answer. A missing compiler, an argument that a language cannot
say, a program that only waits, or a harness that failed twice makes a program `unjudged` with the
reason, as a kind and in words; it is never an exception of this module's.
"""

import logging
import queue
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from evaluators.isolation.values import UnsayableError
from evaluators.languages.warm import InfrastructureFault
from evaluators.sandbox.bench import Bench
from evaluators.sandbox.records import Isolation, IsolationError, Limits, Program
from evaluators.sandbox.running import Ran, language_of, run
from evaluators.sandbox.toolchains import unrunnable
from evaluators.sandbox.verdicts import find, shorten
from evaluators.sandbox.yardstick import Allowance, Yardstick, measure, unmeasured
from tasks.records import CodeTests, Language, Problem, UnjudgedReason, Verdict

_log = logging.getLogger(__name__)
_ATTEMPTS = 2
_Job = tuple[str, str]


def execute(
    problems: Sequence[Problem],
    programs: Sequence[Program],
    *,
    limits: Limits,
    workers: int = 1,
    isolation: Isolation = "auto",
) -> tuple[Verdict, ...]:
    """Run every program against its problem's tests, each in a confined process of its own.

    Programs of one problem with the same source are run once and share the verdict. `workers` run
    side by side; one a core is right. Where a problem's reference solution needs more than a limit, its
    programs get a multiple of that; where its tests pass it only in its own process, they are run there.

    Returns:
        One verdict a program, in the order of `programs`.

    Raises:
        ValueError: if a program's problem is unknown, has no tests or no language to run.
        IsolationError: if the isolation class cannot be given in full.
    """
    found: dict[tuple[str, int, str], Verdict] = {}
    jobs = judged_programs(problems, programs, limits=limits, workers=workers, isolation=isolation)
    for program, verdict in jobs:
        found[program.problem_id, program.sample, program.source] = verdict
    return tuple(found[program.problem_id, program.sample, program.source] for program in programs)


def judged(
    problems: Sequence[Problem],
    programs: Sequence[Program],
    *,
    limits: Limits,
    workers: int = 1,
    isolation: Isolation = "auto",
) -> Iterator[Verdict]:
    """The verdicts that `execute` returns, each as soon as it is known; same errors, raised at once."""
    jobs = judged_programs(problems, programs, limits=limits, workers=workers, isolation=isolation)
    return (verdict for _, verdict in jobs)


def judged_programs(
    problems: Sequence[Problem],
    programs: Sequence[Program],
    *,
    limits: Limits,
    workers: int = 1,
    isolation: Isolation = "auto",
) -> Iterator[tuple[Program, Verdict]]:
    """Programs with their verdicts, in the order in which they become known; same errors as `execute`."""
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    by_id = {problem.id: problem for problem in problems}
    for program in programs:
        _check(program, by_id)
    jobs: dict[_Job, list[Program]] = {}
    for program in programs:
        jobs.setdefault((program.problem_id, program.source), []).append(program)
    languages = {language_of(by_id[problem_id]) for problem_id, _ in jobs}
    absent = {language: unrunnable(language) for language in languages}
    present = {language for language, reason in absent.items() if reason is None}
    benches = [Bench(isolation=isolation) for _ in range(min(workers, len(jobs)))]
    if present:
        _refuse_at_once(benches[0])
    work = _Work(by_id=by_id, jobs=jobs, absent=absent, limits=limits, isolation=isolation)
    verdicts = _judged_jobs(work, benches)
    for bench in benches:  # for verdicts that nobody asks for; a generator that never ran has no end
        weakref.finalize(verdicts, bench.reset)
    return verdicts


def _refuse_at_once(bench: Bench) -> None:
    """Make the bench ready, or raise what this machine cannot give."""
    try:
        bench.isolation_class(Language.PYTHON)
    except BaseException:
        bench.reset()
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What all workers share."""

    by_id: Mapping[str, Problem]
    jobs: Mapping[_Job, list[Program]]
    absent: Mapping[Language, tuple[UnjudgedReason, str] | None]
    limits: Limits
    isolation: Isolation
    yardsticks: dict[str, Yardstick] = field(default_factory=dict)
    locks: Mapping[str, threading.Lock] = field(init=False)

    def __post_init__(self) -> None:
        """Give each problem a lock of its own."""
        object.__setattr__(self, "locks", {problem_id: threading.Lock() for problem_id, _ in self.jobs})


def _check(program: Program, by_id: Mapping[str, Problem]) -> None:
    problem = by_id.get(program.problem_id)
    if problem is None:
        raise ValueError(f"program names problem {program.problem_id!r}, which is not among the problems given")
    if problem.parsed_track.target is None:
        raise ValueError(f"problem {problem.id!r} is of track {problem.track}, which writes no code to execute")
    if problem.tests is None:
        raise ValueError(f"problem {problem.id!r} has no tests; execute only problems that have some")


def _unjudged(problem_id: str, reason: UnjudgedReason, words: str) -> Verdict:
    return Verdict(task_id=problem_id, verdict="unjudged", reason=reason, detail=shorten(words), strength="none")


def _judged_jobs(work: _Work, benches: Sequence[Bench]) -> Iterator[tuple[Program, Verdict]]:
    waiting = queue.SimpleQueue[_Job]()
    done = queue.SimpleQueue[tuple[_Job, Verdict] | None]()
    for job in work.jobs:
        absent = work.absent[language_of(work.by_id[job[0]])]
        if absent is not None:
            done.put((job, _unjudged(job[0], *absent)))
        else:
            waiting.put(job)
    with ThreadPoolExecutor(max_workers=max(1, len(benches))) as pool:
        futures = [pool.submit(_work_off, work, bench, waiting, done) for bench in benches]
        try:
            running = len(benches)
            while running or not done.empty():
                finished = done.get()
                if finished is None:
                    running -= 1
                    continue
                job, verdict = finished
                for program in work.jobs[job]:
                    yield program, verdict.model_copy(update={"sample": program.sample})
            for future in futures:
                future.result()
        finally:  # leave no worker busy behind an interrupt
            _drain(waiting)


def _work_off(
    work: _Work,
    bench: Bench,
    waiting: "queue.SimpleQueue[_Job]",
    done: "queue.SimpleQueue[tuple[_Job, Verdict] | None]",
) -> None:
    """One worker's life."""
    try:
        with bench:
            while True:
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                done.put((job, _judge(bench, work, job)))
    finally:
        done.put(None)


def _drain(waiting: "queue.SimpleQueue[_Job]") -> None:
    while not waiting.empty():
        try:
            waiting.get_nowait()
        except queue.Empty:
            return


def _judge(bench: Bench, work: _Work, job: _Job) -> Verdict:
    problem, source = work.by_id[job[0]], job[1]
    try:
        known = unmeasured(problem, work.limits)
        if isinstance(problem.tests, CodeTests):
            known = _measured(bench, work, problem)
        ran = _judged_once(bench, problem, source, known)
        if not isinstance(problem.tests, CodeTests) and _is_short(ran, known.allowance.limits):
            known, before = _measured(bench, work, problem), known
            ran = ran if known.allowance == before.allowance else _judged_once(bench, problem, source, known)
    except UnsayableError as error:
        said = f"not judged: {error}; the problem's tests need changing"
        return _unjudged(problem.id, UnjudgedReason.UNSAYABLE, said)
    except InfrastructureFault as error:
        said = f"not judged: the harness failed twice: {error}"
        return _unjudged(problem.id, UnjudgedReason.HARNESS_FAULT, said)
    return _verdict(bench, problem, ran, known.allowance.limits)


def _judged_once(bench: Bench, problem: Problem, source: str, known: Yardstick) -> Ran:
    """Run a program under its problem's yardstick; what only waited is run once more."""
    if known.ran is not None and source == problem.reference:
        return known.ran
    ran = _run(bench, problem, source, known.allowance, inside=known.inside)
    if ran.ending.kind == "stopped" and ran.ending.text == "wall":
        ran = _run(bench, problem, source, known.allowance, inside=known.inside)
    return ran


def _is_short(ran: Ran, limits: Limits) -> bool:
    return find(ran.ending, ran.end, limits=limits).verdict in ("timeout", "memory", "output_limit")


def _run(bench: Bench, problem: Problem, source: str, allowance: Allowance, *, inside: bool) -> Ran:
    """Run a program; after a fault of the harness once more, with everything started afresh."""
    for attempt in range(_ATTEMPTS):
        try:
            return run(
                bench, problem, source, limits=allowance.limits, inside=inside, total_cpu_s=allowance.total_cpu_s
            )
        except InfrastructureFault as error:
            _log.warning("sandbox fault on problem %s: %s", problem.id, error)
            bench.reset()
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _measured(bench: Bench, work: _Work, problem: Problem) -> Yardstick:
    """A problem's yardstick, taken once; workers that need it meanwhile wait."""

    def run_reference(allowance: Allowance, inside: bool) -> Ran:
        return _run(bench, problem, problem.reference, allowance, inside=inside)

    with work.locks[problem.id]:
        if problem.id not in work.yardsticks:
            work.yardsticks[problem.id] = measure(problem, work.limits, run=run_reference)
        return work.yardsticks[problem.id]


def _verdict(bench: Bench, problem: Problem, ran: Ran, limits: Limits) -> Verdict:
    finding = find(ran.ending, ran.end, limits=limits)
    return Verdict(
        task_id=problem.id,
        verdict=finding.verdict,
        detail=finding.detail,
        reason=finding.reason,
        strength=ran.strength,
        isolation=None if ran.end is None else bench.isolation_class(language_of(problem)),
        cpu_s=0.0 if ran.end is None else round(ran.end.cpu_s, 4),
        wall_s=0.0 if ran.end is None else round(ran.end.wall_s, 4),
    )


__all__ = ["IsolationError", "execute", "judged", "judged_programs"]
