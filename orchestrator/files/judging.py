"""Judge anybody's completions: what may be asked, how programs are run, and what their verdicts come to.

One decision: everything that a person can get wrong is found before anything runs.
"""

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from orchestrator.errors import InputError
from orchestrator.files.completions import Sample, read_results, read_samples
from orchestrator.files.verdictfile import VerdictFile
from tasks.readers.formats import check_format, read_format
from tasks.records import Problem, Verdict

if TYPE_CHECKING:
    from evaluators.sandbox import Isolation, Limits
    from orchestrator.report.tally import Figures

CPU_SECONDS = 5.0
MEMORY_MB = 1024
_ISOLATIONS = ("auto", "strict", "landlock", "none")

Progress = Callable[[int, int], AbstractContextManager[Callable[[], object]]]
"""Given how many samples there are and how many are done, yields what to call for each verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How programs are run."""

    limits: "Limits"
    workers: int
    isolation: "Isolation"


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """How the reference solutions did; `absent` counts the problems that have none."""

    verdicts: tuple[Verdict, ...]
    absent: int

    @property
    def passing(self) -> set[str]:
        """The ids of the problems whose reference passes."""
        return {v.task_id for v in self.verdicts if v.verdict == "passed"}

    @property
    def failed(self) -> list[Verdict]:
        """The references that do not pass."""
        return [v for v in self.verdicts if v.verdict != "passed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What verdicts come to: pass@k in 0-1 by k, and for each k without a figure the reason.

    `where_reference_passes` are the same figures over the problems whose reference passes, `reference_passes` in
    number; None where references were not checked beside samples.
    """

    problems: int
    samples: int
    verdicts: Mapping[str, int]
    pass_at: Mapping[str, float]
    pass_at_missing: Mapping[str, str]
    isolation: str
    strength: Mapping[str, int]
    without_samples: int
    unjudged: Mapping[str, int] = field(default_factory=dict)
    where_reference_passes: "Figures | None" = None
    reference_passes: int = 0


def read_inputs(
    problems: Path | None, completions: Path | None, *, format: str
) -> tuple[tuple[Problem, ...], tuple[Sample, ...]]:
    """The problems, and the samples of the completions if there are any.

    Raises:
        InputError: if there are no problems; CoderEval's result files need none.
        DataError: if a file is absent or empty, or naming each line that is malformed or of no problem.
    """
    if problems is not None:
        known = read_format(problems, format=format)
        return known, read_samples(completions, known, format=format) if completions else ()
    check_format(format)
    if format != "codereval" or completions is None:
        raise InputError("--problems is missing; name the data set's file (CoderEval's result files alone need none)")
    return read_results(completions)


def check_how(
    *,
    isolation: str,
    workers: int | None,
    cpu_seconds: float,
    memory_mb: int,
    wall_seconds: float | None = None,
    output_bytes: int = 1_000_000,
) -> How:
    """How programs shall be run; those that wait are given four times their CPU time where nothing else is said.

    Raises:
        InputError: with every fault of the settings.
    """
    from evaluators.sandbox import Limits

    faults = []
    if isolation not in _ISOLATIONS:
        close = difflib.get_close_matches(isolation, _ISOLATIONS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        faults.append(f"--isolation {isolation!r}: is unknown; {hint}it is one of {', '.join(_ISOLATIONS)}")
    if workers is not None and workers < 1:
        faults.append(f"--workers must be at least 1, got {workers}")
    try:
        wall_s = 4 * cpu_seconds if wall_seconds is None else wall_seconds
        limits = Limits(cpu_s=cpu_seconds, wall_s=wall_s, memory_mb=memory_mb, output_bytes=output_bytes)
    except ValidationError:
        faults.append(
            "--cpu-seconds and --wall-seconds must be above 0, --memory-mb at least 64 and "
            f"--output-bytes at least 4096, got {cpu_seconds:g}, {wall_s:g}, {memory_mb} and {output_bytes}"
        )
    if faults:
        raise InputError("\n".join(faults))
    count = workers or len(os.sched_getaffinity(0))
    return How(limits=limits, workers=count, isolation=isolation)  # type: ignore[arg-type]


def judge(
    problems: Sequence[Problem],
    samples: Sequence[Sample],
    *,
    how: How,
    file: VerdictFile | None = None,
    progress: Progress = lambda total, done: nullcontext(lambda: None),
) -> tuple[Verdict, ...]:
    """The samples' verdicts, in their order; those in `file` are not judged again, and others are written there.

    Raises:
        InputError: if the isolation that is asked for is not to be had here.
    """
    from evaluators.sandbox import IsolationError
    from orchestrator.work.judge import judge_programs

    found: dict[tuple[str, int], Verdict] = dict(file.found) if file else {}
    names = {sample.problem.id: sample.name for sample in samples}

    def take(verdict: Verdict) -> None:
        found[verdict.task_id, verdict.sample] = verdict
        if file is not None:
            file.append(verdict)

    runnable = []
    for sample in [sample for sample in samples if sample.key not in found]:
        known = sample.known()
        if known is None:
            runnable.append(sample)
        else:
            take(known)
    with progress(len(samples), len(samples) - len(runnable)) as advance:
        programs = [sample.program() for sample in runnable]
        try:
            for verdict in judge_programs(
                problems, programs, limits=how.limits, workers=how.workers, isolation=how.isolation
            ):
                take(verdict.model_copy(update={"task_id": names[verdict.task_id]}))
                advance()
        except IsolationError as error:
            raise InputError(str(error)) from error
    ordered = tuple(found[sample.key] for sample in samples)
    if file is not None:
        file.settle(ordered)
    return ordered


def summarize(
    problems: Sequence[Problem],
    samples: Sequence[Sample],
    verdicts: Sequence[Verdict],
    *,
    ks: Sequence[int],
    checked: References | None = None,
) -> Summary:
    """What the samples' verdicts come to; `checked` adds the figures over problems whose reference passes."""
    from orchestrator.report.tally import count_strengths, count_verdicts, isolation_of, pass_at, reasons

    figures = pass_at(verdicts, ks=ks)
    among: Mapping[str, Any] = {}
    if checked is not None:
        named = {sample.name for sample in samples if sample.problem.id in checked.passing}
        among = {
            "where_reference_passes": pass_at(verdicts, ks=ks, among=named),
            "reference_passes": len(named),
        }
    return Summary(
        problems=len(problems),
        samples=len(samples),
        verdicts=count_verdicts(verdicts),
        pass_at=figures.pass_at,
        pass_at_missing=figures.missing,
        isolation=isolation_of(verdicts),
        strength=count_strengths(verdicts),
        without_samples=len(problems) - len({sample.problem.id for sample in samples}),
        unjudged=reasons(verdicts),
        **among,
    )


__all__ = [
    "CPU_SECONDS",
    "MEMORY_MB",
    "How",
    "Progress",
    "References",
    "Summary",
    "check_how",
    "judge",
    "read_inputs",
    "summarize",
]
