"""`polytune execute`: the sandbox on anybody's problems and completions.

One decision: everything that a person can get wrong is found before anything runs or is written; from then
on each verdict is on the disk as soon as it is known, and the same command goes on from there.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from evaluators.sandbox import Isolation, Limits
    from orchestrator.files.completions import Sample
    from orchestrator.files.verdictfile import VerdictFile
    from orchestrator.report.tally import Figures
    from tasks.records import Problem, Verdict

EPILOG = (
    "Example: polytune execute --format humaneval --problems HumanEval.jsonl.gz --completions C.jsonl --out V.jsonl"
)
_ISOLATIONS = ("auto", "strict", "landlock", "none")
_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """How programs are run."""

    limits: "Limits"
    workers: int
    isolation: "Isolation"


@dataclass(frozen=True, slots=True, kw_only=True)
class _References:
    """How the reference solutions did; `absent` counts the problems that have none."""

    verdicts: "tuple[Verdict, ...]"
    absent: int

    @property
    def passing(self) -> set[str]:
        """The ids of the problems whose reference passes."""
        return {v.task_id for v in self.verdicts if v.verdict == "passed"}

    @property
    def failed(self) -> "list[Verdict]":
        """The references that do not pass."""
        return [v for v in self.verdicts if v.verdict != "passed"]


def execute(
    format_: Annotated[str, typer.Option("--format", help="The problems' format, e.g. humaneval, mbpp, polytune.")],
    problems: Annotated[
        Path | None,
        typer.Option("--problems", metavar="P", help="The data set's file; CoderEval's result files need none."),
    ] = None,
    completions: Annotated[Path | None, typer.Option("--completions", metavar="C", help="What to judge.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="V", help="Where verdicts are written, a line each.")
    ] = None,
    check_references: Annotated[
        bool, typer.Option("--check-references", help="Judge the reference solutions.")
    ] = False,
    k: Annotated[str, typer.Option("--k", help="The ks of pass@k, as in 1,10.")] = "1",
    isolation: Annotated[str, typer.Option("--isolation", help="auto, strict, landlock or none.")] = "auto",
    workers: Annotated[int | None, typer.Option("--workers", help="Programs side by side; default: cores.")] = None,
    cpu_seconds: Annotated[float, typer.Option("--cpu-seconds", help="CPU time of a program.")] = 5.0,
    memory_mb: Annotated[int, typer.Option("--memory-mb", help="Memory of a program, in MiB.")] = 1024,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")] = False,
) -> None:
    """Run completions, isolated, against their problems' tests; run again to go on after an interruption."""
    from orchestrator.files.completions import references_of

    ks, how = _checked_ks(k), _checked_how(isolation, workers, cpu_seconds, memory_mb)
    _check_request(completions, out, check_references)
    known, samples = _read(problems, completions, format_)
    references = references_of(known) if check_references else ()
    started = time.monotonic()
    with _interruptible(out), ExitStack() as stack:
        file = None
        if out is not None:
            run = _run_of(format_, problems, completions, how)
            file = stack.enter_context(_open(out, run=run))
        checked = None
        if check_references:
            verdicts = _judge(known, references, how=how, file=None if samples else file, title="references")
            checked = _References(verdicts=verdicts, absent=len(known) - len(references))
        judged = (
            _judge(known, samples, how=how, file=file, title="samples") if samples else checked and checked.verdicts
        )
    summary = _summary(known, samples or references, judged or (), ks=ks, checked=checked if samples else None)
    summary["seconds"] = round(time.monotonic() - started, 2)
    if checked is not None:
        summary["references"] = _about(checked)
    if json_:
        sys.stdout.write(json.dumps(summary, indent=1) + "\n")
    else:
        _print(summary, out)
    failed = bool(checked and checked.failed) or "unjudged" in summary["verdicts"]
    raise typer.Exit(1 if failed else 0)


def _checked_ks(text: str) -> tuple[int, ...]:
    from orchestrator.errors import InputError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"--k {text!r}: each k must be a whole number of at least 1; write for example 1,10")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _checked_how(isolation: str, workers: int | None, cpu_s: float, memory_mb: int) -> _How:
    import difflib

    from pydantic import ValidationError

    from evaluators.sandbox import Limits
    from orchestrator.errors import InputError

    faults = []
    if isolation not in _ISOLATIONS:
        close = difflib.get_close_matches(isolation, _ISOLATIONS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        faults.append(f"--isolation {isolation!r}: is unknown; {hint}it is one of {', '.join(_ISOLATIONS)}")
    if workers is not None and workers < 1:
        faults.append(f"--workers must be at least 1, got {workers}")
    try:
        # Programs that wait are given four times their CPU time, as by default.
        limits = Limits(cpu_s=cpu_s, wall_s=4 * cpu_s, memory_mb=memory_mb)
    except ValidationError:
        faults.append(f"--cpu-seconds must be above 0 and --memory-mb at least 64, got {cpu_s:g} and {memory_mb}")
    if faults:
        raise InputError("\n".join(faults))
    count = workers or len(os.sched_getaffinity(0))
    return _How(limits=limits, workers=count, isolation=isolation)  # type: ignore[arg-type]


def _check_request(completions: Path | None, out: Path | None, check_references: bool) -> None:
    from orchestrator.errors import InputError

    if completions is None and not check_references:
        raise InputError("nothing to judge; name a file with --completions, or ask for --check-references")
    if completions is not None and out is None:
        raise InputError("--out is missing; name the file that verdicts are written to")


def _read(
    problems: Path | None, completions: Path | None, format_: str
) -> "tuple[tuple[Problem, ...], tuple[Sample, ...]]":
    from orchestrator.errors import InputError
    from orchestrator.files.completions import read_results, read_samples
    from tasks.readers.formats import check_format, read_format

    if problems is not None:
        known = read_format(problems, format=format_)
        return known, read_samples(completions, known, format=format_) if completions else ()
    check_format(format_)
    if format_ != "codereval" or completions is None:
        raise InputError("--problems is missing; name the data set's file (CoderEval's result files alone need none)")
    return read_results(completions)


def _run_of(format_: str, problems: Path | None, completions: Path | None, how: _How) -> Any:
    from orchestrator.files.verdictfile import Run
    from tasks.readers.files import content_digest

    return Run(
        format=format_,
        problems=content_digest([("problems", problems)]) if problems else "in the results",
        completions=content_digest([("completions", completions)]) if completions else "the references",
        isolation=how.isolation,
        limits=how.limits.model_dump(),
    )


def _open(out: Path, *, run: Any) -> "VerdictFile":
    from orchestrator.files.verdictfile import VerdictFile

    return VerdictFile(out, run=run)


@contextmanager
def _interruptible(out: Path | None) -> Iterator[None]:
    """Ctrl-C and a polite kill end the command with status 130; what is judged is on the disk."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        kept = f"what was judged is in {out}, run again to go on" if out else "nothing was written"
        sys.stderr.write(f"polytune: interrupted; {kept}\n")
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _judge(
    problems: "Sequence[Problem]", samples: "Sequence[Sample]", *, how: _How, file: "VerdictFile | None", title: str
) -> "tuple[Verdict, ...]":
    """The samples' verdicts, in their order; those in `file` are not judged again."""
    from evaluators.sandbox import IsolationError
    from orchestrator.errors import InputError
    from orchestrator.work.judge import judge_programs

    found: dict[tuple[str, int], Verdict] = dict(file.found) if file else {}
    names = {sample.problem.id: sample.name for sample in samples}

    def take(verdict: "Verdict") -> None:
        found[verdict.task_id, verdict.sample] = verdict
        if file is not None:
            file.append(verdict)

    due = [sample for sample in samples if sample.key not in found]
    runnable = []
    for sample in due:
        known = sample.known()
        if known is None:
            runnable.append(sample)
        else:
            take(known)
    with _progress(len(samples), len(samples) - len(runnable), title=title) as advance:
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


@contextmanager
def _progress(total: int, done: int, *, title: str) -> Iterator[Callable[[], object]]:
    """A bar on standard error where that is a terminal; yields what to call for each verdict."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title, total=total, completed=done)
        yield lambda: bar.advance(task)


def _summary(
    problems: "Sequence[Problem]",
    samples: "Sequence[Sample]",
    verdicts: "Sequence[Verdict]",
    *,
    ks: Sequence[int],
    checked: _References | None,
) -> dict[str, Any]:
    """What is printed; `checked` adds the figures over problems whose reference passes."""
    from orchestrator.report.tally import count_strengths, count_verdicts, isolation_of, pass_at, reasons

    figures = pass_at(verdicts, ks=ks)
    summary: dict[str, Any] = {
        "problems": len(problems),
        "samples": len(samples),
        "verdicts": count_verdicts(verdicts),
        "pass_at": dict(figures.pass_at),
        "isolation": isolation_of(verdicts),
        "strength": count_strengths(verdicts),
        "without_samples": len(problems) - len({sample.problem.id for sample in samples}),
    }
    if figures.missing:
        summary["pass_at_missing"] = dict(figures.missing)
    if checked is not None:
        among = {sample.name for sample in samples if sample.problem.id in checked.passing}
        summary["pass_at_where_reference_passes"] = _figures(pass_at(verdicts, ks=ks, among=among), len(among))
    if unjudged := reasons(verdicts):
        summary["unjudged"] = unjudged
    return summary


def _figures(figures: "Figures", problems: int) -> dict[str, Any]:
    return {"problems": problems, **{name: value for name, value in asdict(figures).items() if value}}


def _about(checked: _References) -> dict[str, Any]:
    return {
        "passed": len(checked.passing),
        "absent": checked.absent,
        "failed": [{"task_id": v.task_id, "verdict": v.verdict, "detail": v.detail} for v in checked.failed],
    }


def _print(summary: Mapping[str, Any], out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    table = Table("verdict", "samples", "share")
    table.columns[1].justify = table.columns[2].justify = "right"
    for name, count in summary["verdicts"].items():
        table.add_row(name.replace("_", " "), str(count), f"{100 * count / summary['samples']:.1f} %")
    console.print(table)
    lines = [*_figure_lines(summary), *_reference_lines(summary), *_run_lines(summary)]
    if out is not None:
        lines.append(f"verdicts: {out}")
    console.print("\n".join(lines), markup=False)


def _figure_lines(summary: Mapping[str, Any]) -> list[str]:
    lines = [f"pass@{k} {100 * value:.1f} %" for k, value in summary["pass_at"].items()]
    lines += [f"pass@{k} not given: {reason}" for k, reason in summary.get("pass_at_missing", {}).items()]
    where = summary.get("pass_at_where_reference_passes")
    if where:
        over = f"over the {where['problems']} problems whose reference passes"
        lines += [f"pass@{k} {100 * value:.1f} % {over}" for k, value in where.get("pass_at", {}).items()]
        lines += [f"pass@{k} not given {over}: {reason}" for k, reason in where.get("missing", {}).items()]
    if summary["without_samples"]:
        lines.append(f"{summary['without_samples']} of {summary['problems']} problems have no sample")
    return lines


def _reference_lines(summary: Mapping[str, Any]) -> list[str]:
    about = summary.get("references")
    if about is None:
        return []
    total = about["passed"] + len(about["failed"])
    absent = f"; {about['absent']} problems have none" if about["absent"] else ""
    lines = [f"references: {about['passed']} of {total} pass{absent}"]
    lines += [f"  {one['task_id']}: {one['verdict']}: {one['detail']}" for one in about["failed"][:_SHOWN]]
    if len(about["failed"]) > _SHOWN:
        lines.append(f"  and {len(about['failed']) - _SHOWN} more; --json names all")
    return lines


def _run_lines(summary: Mapping[str, Any]) -> list[str]:
    lines = [f"unjudged: {count} x {reason}" for reason, count in list(summary.get("unjudged", {}).items())[:_SHOWN]]
    total = sum(summary["strength"].values())
    shares = ", ".join(f"{100 * count / total:.1f} % {name}" for name, count in summary["strength"].items())
    lines.append(f"isolation: {summary['isolation'] or 'nothing ran'}" + (f"; tests {shares}" if shares else ""))
    return [*lines, f"{summary['samples']} samples of {summary['problems']} problems in {summary['seconds']:.1f} s"]


__all__ = ["EPILOG", "execute"]
