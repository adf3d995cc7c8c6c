"""What a problem's own reference solution shows of how its programs are to be judged.

One decision: the reference alone decides, before any program of the problem is looked at: whether the tests
run apart or need the program's own process, and how much more than the usual limits the problem takes. What no
reference passes is judged apart, within the usual limits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from evaluators.sandbox.records import Limits
from evaluators.sandbox.running import Ran
from evaluators.sandbox.verdicts import find
from tasks.records import CodeTests, Problem, UnjudgedReason

_TIME_MULTIPLE, _OUTPUT_MULTIPLE = 10, 4
_GENEROUS_TIMES, _LONGEST_CPU_S = 10, 60.0
_GENEROUS_OUTPUT_BYTES = 32 * 2**20
_GENEROUS_MEMORY_MB = 4096
_SHORT = frozenset({"timeout", "memory", "output_limit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a run may use: `limits` and, where each call has its own, CPU seconds for all calls together."""

    limits: Limits
    total_cpu_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """How a problem's programs are judged; `ran` is the reference's own run under that, where there was one."""

    allowance: Allowance
    inside: bool = False
    ran: Ran | None = None


Run = Callable[[Allowance, bool], Ran]


def unmeasured(problem: Problem, limits: Limits) -> Yardstick:
    """The yardstick of a problem that has no reference, or whose reference was not asked."""
    total = _TIME_MULTIPLE * limits.cpu_s if _each_call(problem) else None
    return Yardstick(allowance=Allowance(limits=limits, total_cpu_s=total))


def measure(problem: Problem, limits: Limits, *, run: Run) -> Yardstick:
    """Run a problem's reference, under wider limits if it needs them, and in its own process if it must be.

    Args:
        problem: the problem.
        limits: the usual ones.
        run: runs the reference with an allowance; the second argument says that tests run in its process.
    """
    usual = unmeasured(problem, limits)
    if not problem.reference.strip():
        return usual
    each, generous = _each_call(problem), _generous(limits)
    first = Allowance(limits=limits, total_cpu_s=_long(generous) if each else None)
    wide = Allowance(limits=generous, total_cpu_s=first.total_cpu_s)
    ran = run(first, False)
    if _is_short(ran, limits):
        more = run(wide, False)
        return _widened(usual, more, wide, inside=False) if _passed(more) else _ran(usual, ran)
    if not _passed(ran) and isinstance(problem.tests, CodeTests) and ran.strength == "apart":
        within = run(first, True)
        return _widened(usual, within, first, inside=True) if _passed(within) else _ran(usual, ran)
    return _widened(usual, ran, first, inside=False) if _passed(ran) else _ran(usual, ran)


def _each_call(problem: Problem) -> bool:
    return isinstance(problem.tests, CodeTests) and problem.tests.each_call


def _long(generous: Limits) -> float:
    return _GENEROUS_TIMES * generous.cpu_s


def _passed(ran: Ran) -> bool:
    return ran.ending.kind == "passed" and ran.end is not None


def _is_short(ran: Ran, limits: Limits) -> bool:
    finding = find(ran.ending, ran.end, limits=limits)
    return finding.verdict in _SHORT or finding.reason is UnjudgedReason.ONLY_WAITED


def _ran(usual: Yardstick, ran: Ran) -> Yardstick:
    return Yardstick(allowance=usual.allowance, ran=ran)


def _generous(limits: Limits) -> Limits:
    cpu_s = max(limits.cpu_s, min(_LONGEST_CPU_S, _GENEROUS_TIMES * limits.cpu_s))
    return limits.model_copy(
        update={
            "cpu_s": cpu_s,
            "wall_s": limits.wall_s * cpu_s / limits.cpu_s,
            "memory_mb": max(limits.memory_mb, _GENEROUS_MEMORY_MB),
            "output_bytes": max(limits.output_bytes, _GENEROUS_OUTPUT_BYTES),
        }
    )


def _widened(usual: Yardstick, ran: Ran, under: Allowance, *, inside: bool) -> Yardstick:
    """The usual limits, each as much wider as the reference's run shows that it must be."""
    assert ran.end is not None
    limits, given = usual.allowance.limits, under.limits
    needed_s = _TIME_MULTIPLE * ran.end.cpu_s
    each = usual.allowance.total_cpu_s is not None
    cpu_s = max(limits.cpu_s, given.cpu_s if each else needed_s)
    written = max(ran.end.stdout_bytes, ran.end.line_bytes)
    found = limits.model_copy(
        update={
            "cpu_s": cpu_s,
            "wall_s": limits.wall_s * cpu_s / limits.cpu_s,
            "memory_mb": given.memory_mb,
            "output_bytes": max(limits.output_bytes, _OUTPUT_MULTIPLE * written),
        }
    )
    total = max(usual.allowance.total_cpu_s or 0.0, needed_s) if each else None
    return Yardstick(allowance=Allowance(limits=found, total_cpu_s=total), inside=inside, ran=ran)


__all__ = ["Allowance", "Yardstick", "measure", "unmeasured"]
