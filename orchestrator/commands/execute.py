"""`polytune execute`: the sandbox on anybody's problems and completions.

One decision: everything that a person can get wrong is found before anything runs or is written; from then
on each verdict is on the disk as soon as it is known, and the same command goes on from there.
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.files.judging import How, References, Summary
    from orchestrator.files.verdictfile import VerdictFile
    from orchestrator.report.tally import Figures

EPILOG = (
    "Example: polytune execute --format humaneval --problems HumanEval.jsonl.gz --completions C.jsonl --out V.jsonl"
)
_SHOWN = 20


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
    cpu_seconds: Annotated[
        float, typer.Option("--cpu-seconds", help="CPU time of a program; in EvalPlus' formats of each input.")
    ] = 5.0,
    wall_seconds: Annotated[
        float | None, typer.Option("--wall-seconds", help="Time of a program that waits; default: 4 x its CPU time.")
    ] = None,
    memory_mb: Annotated[int, typer.Option("--memory-mb", help="Memory of a program, in MiB.")] = 1024,
    output_bytes: Annotated[
        int, typer.Option("--output-bytes", help="Output and each returned value; 4 x the reference's if more.")
    ] = 1_000_000,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")] = False,
) -> None:
    """Run completions, isolated, against their problems' tests; run again to go on after an interruption."""
    from orchestrator.files.completions import references_of
    from orchestrator.files.judging import References, check_how, judge, read_inputs, summarize

    ks = _checked_ks(k)
    how = check_how(
        isolation=isolation,
        workers=workers,
        cpu_seconds=cpu_seconds,
        wall_seconds=wall_seconds,
        memory_mb=memory_mb,
        output_bytes=output_bytes,
    )
    _check_request(completions, out, check_references)
    known, samples = read_inputs(problems, completions, format=format_)
    references = references_of(known) if check_references else ()
    started = time.monotonic()
    with _interruptible(out), ExitStack() as stack:
        file = None
        if out is not None:
            run = _run_of(format_, problems, completions, how)
            file = stack.enter_context(_open(out, run=run))
        checked = None
        if check_references:
            bar = partial(_progress, title="references")
            verdicts = judge(known, references, how=how, file=None if samples else file, progress=bar)
            checked = References(verdicts=verdicts, absent=len(known) - len(references))
        judged = checked.verdicts if checked else ()
        if samples:
            judged = judge(known, samples, how=how, file=file, progress=partial(_progress, title="samples"))
    found = summarize(known, samples or references, judged, ks=ks, checked=checked if samples else None)
    summary = _as_json(found)
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


def _check_request(completions: Path | None, out: Path | None, check_references: bool) -> None:
    from orchestrator.errors import InputError

    if completions is None and not check_references:
        raise InputError("nothing to judge; name a file with --completions, or ask for --check-references")
    if completions is not None and out is None:
        raise InputError("--out is missing; name the file that verdicts are written to")


def _run_of(format_: str, problems: Path | None, completions: Path | None, how: "How") -> Any:
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


def _as_json(found: "Summary") -> dict[str, Any]:
    """What is printed; what there is none of is left out."""
    summary: dict[str, Any] = {
        "problems": found.problems,
        "samples": found.samples,
        "verdicts": found.verdicts,
        "pass_at": found.pass_at,
        "isolation": found.isolation,
        "strength": found.strength,
        "without_samples": found.without_samples,
    }
    if found.pass_at_missing:
        summary["pass_at_missing"] = found.pass_at_missing
    if found.where_reference_passes is not None:
        figures = _figures(found.where_reference_passes, found.reference_passes)
        summary["pass_at_where_reference_passes"] = figures
    if found.unjudged:
        summary["unjudged"] = found.unjudged
    return summary


def _figures(figures: "Figures", problems: int) -> dict[str, Any]:
    return {"problems": problems, **{name: value for name, value in asdict(figures).items() if value}}


def _about(checked: "References") -> dict[str, Any]:
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
    from orchestrator.report.layout import count_nouns

    lines = [f"unjudged: {count} x {reason}" for reason, count in list(summary.get("unjudged", {}).items())[:_SHOWN]]
    total = sum(summary["strength"].values())
    shares = ", ".join(f"{100 * count / total:.1f} % {name}" for name, count in summary["strength"].items())
    ran = f"{summary['isolation']}; tests {shares}" if shares else summary["isolation"]
    lines.append(f"isolation: {ran if summary['isolation'] else 'nothing ran'}")
    judged = f"{count_nouns(summary['samples'], 'sample')} of {count_nouns(summary['problems'], 'problem')}"
    return [*lines, f"{judged} in {summary['seconds']:.1f} s"]


__all__ = ["EPILOG", "execute"]
