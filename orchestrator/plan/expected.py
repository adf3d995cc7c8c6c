"""What a person is told before a study begins: about how many minutes, and how much disk.

One decision: minutes are by the clock, as if all cores or GPUs of the machine were at work all the time, though never
less than the longest trial takes; where what there is is not known, one stage comes after the other.
"""

from collections.abc import Sequence

from models.shapes import Estimate, Unknown
from orchestrator.plan.estimates import GIB
from orchestrator.plan.machine import Machine
from orchestrator.plan.plan import PlannedTrial
from orchestrator.study.resources import Resources
from orchestrator.study.trial import units_held

# Starting Ray, reading data, tracking, and the report at the end.
_AROUND_S = 25.0


def expected(planned: Sequence[PlannedTrial], resources: Resources, machine: Machine) -> str:
    """One line: how long what is due takes by the clock, and what it writes; nothing where nothing is due."""
    due = [p for p in planned if p.due]
    if not due:
        return ""
    return f"expected: {_time(due, resources, machine)}, {_disk(due)}"


def _time(due: Sequence[PlannedTrial], resources: Resources, machine: Machine) -> str:
    known = [p for p in due if isinstance(p.hours, Estimate)]
    if len(known) < len(due):
        reason = next(p.hours.reason for p in due if isinstance(p.hours, Unknown))
        return f"nobody can say how long ({reason})"
    there = machine.gpus if resources.trial_gpus or resources.generator_gpus else machine.cores
    held = sum(
        stage.hours.value * units_held(p.trial, stage.stage, resources)
        for p in due
        for stage in p.stages
        if stage.action == "run" and isinstance(stage.hours, Estimate)
    )
    alone = [p.hours.value for p in known if isinstance(p.hours, Estimate)]
    hours = max(held / there, *alone) if there else sum(alone)
    guess = any(p.hours.guess for p in known if isinstance(p.hours, Estimate))
    return f"about {format_time(hours * 3600 + _AROUND_S)}{' (a guess)' if guess else ''}"


def _disk(due: Sequence[PlannedTrial]) -> str:
    known = [p.disk_bytes.value for p in due if isinstance(p.disk_bytes, Estimate)]
    if len(known) < len(due):
        return f"{format_size(sum(known))} of disk and what nobody can say" if known else "nobody can say how much disk"
    return f"{format_size(sum(known))} of disk"


def format_time(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def format_size(size: float) -> str:
    """Bytes as a person says them."""
    unit, name = next(((u, n) for u, n in ((GIB, "GiB"), (2**20, "MiB")) if size >= u / 10), (2**10, "KiB"))
    return f"{size / unit:.1f} {name}"


__all__ = ["expected", "format_size", "format_time"]
