"""The body of execute: programs out of what models wrote, and a verdict on each.

One decision: what the harness failed to judge is tried once more with everything started afresh, before it counts as
not judged.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tasks.records import Completion, Problem, UnjudgedReason, Verdict

if TYPE_CHECKING:
    from evaluators.sandbox.records import Isolation, Limits, Program

_JUDGING_ATTEMPTS = 2


def judge_programs(
    problems: Sequence[Problem],
    programs: "Sequence[Program]",
    *,
    limits: "Limits",
    workers: int = 1,
    isolation: "Isolation" = "auto",
) -> "Iterator[Verdict]":
    """Each program's verdict as soon as it is known.

    An empty program is given no process: its verdict is `compile_error`, with the reason. What the
    harness failed to judge is tried once more at the end, with everything started afresh.

    Raises:
        ValueError, IsolationError: as `evaluators.sandbox.execute` does.
    """
    from evaluators.sandbox import judged_programs

    due = [program for program in programs if program.source.strip()]
    for program in programs:
        if not program.source.strip():
            yield Verdict(
                task_id=program.problem_id,
                sample=program.sample,
                verdict="compile_error",
                detail="the completion is empty",
                strength="none",
            )
    for attempt in range(_JUDGING_ATTEMPTS):
        faulty = []
        for program, verdict in judged_programs(problems, due, limits=limits, workers=workers, isolation=isolation):
            if verdict.reason == UnjudgedReason.HARNESS_FAULT and attempt + 1 < _JUDGING_ATTEMPTS:
                faulty.append(program)
            else:
                yield verdict
        due = faulty
        if not due:
            return


def execute(problems: Sequence[Problem], completions: Sequence[Completion], *, limits: "Limits") -> tuple[Verdict, ...]:
    """Verdicts for the completions whose problems carry tests, in their order."""
    from evaluators.sandbox.programs import program_of

    by_id = {problem.id: problem for problem in problems}
    testable = [c for c in completions if by_id[c.problem_id].tests is not None]
    programs = [program_of(by_id[c.problem_id], c.text, sample=c.sample) for c in testable]
    found = {(v.task_id, v.sample): v for v in judge_programs(problems, programs, limits=limits)}
    return tuple(found[c.problem_id, c.sample] for c in testable)
