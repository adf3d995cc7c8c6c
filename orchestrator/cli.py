"""The command line: thin, and quick to start.

One decision: nothing heavy is imported here before a command needs it; `polytune --help` answers in a
third of a second although the project stands on torch, ray and mlflow.

Exit status: 0 done, 1 finished but something failed, 2 the user's input is at fault, 130 interrupted.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from orchestrator.commands import compare, execute, gc, quality, score
from orchestrator.commands.cancel import cancel
from orchestrator.commands.logs import logs
from orchestrator.commands.options import JsonOption, SetOption, StudyArg, TrialOption, choose_trial, load
from orchestrator.commands.status import status
from orchestrator.commands.track import track
from orchestrator.commands.ui import ui

if TYPE_CHECKING:
    from orchestrator.limits import Limits
    from orchestrator.study.schema import Study
    from orchestrator.underway import Outcome

_INTERRUPTED = 130

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


def main() -> None:
    """Entry point: turns errors that are a user's to mend into one message and exit status 2."""
    from orchestrator.errors import PolytuneError
    from tasks.readers.source import DataError
    from trainers.locations import ModelError

    _quieten()
    try:
        app()
    except (PolytuneError, DataError, ModelError) as error:
        _fail(str(error), status=2)
    except SystemExit as end:
        # Typer takes an interrupt for itself and ends with this status.
        if end.code == _INTERRUPTED:
            _fail("interrupted; what was finished is in the ledger, run again to go on", status=_INTERRUPTED)
        raise


def _quieten() -> None:
    """Libraries announce themselves; what they say of nothing is kept from the terminal."""
    for name, value in {
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }.items():
        os.environ.setdefault(name, value)


def _fail(message: str, *, status: int) -> NoReturn:
    from orchestrator.redaction import without_secrets

    sys.stderr.write(f"polytune: {without_secrets(message)}\n")
    raise SystemExit(status)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


@app.command(epilog="Example: polytune run studies/quickstart.yaml")
def run(
    study: StudyArg,
    set_: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run, and stop.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Run one trial in this process, for a debugger.")] = False,
    trial: TrialOption = None,
    max_hours: Annotated[
        float | None, typer.Option("--max-hours", metavar="H", min=0, help="Stop when all runs together took H hours.")
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            "--max-cost",
            metavar="USD",
            min=0,
            help="Stop when all runs together cost so much, by resources.price_per_hour.",
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Run what a study still lacks, then show the answer. Run again to finish the rest.

    A limit is of the study, so what earlier runs used counts. No stage is begun that by its estimate would pass
    it; what still runs when it is reached is stopped, and begun anew by the next run. Exit status 1 then.
    """
    loaded = load(study, set_)
    if dry_run:
        _show_plan(loaded, as_json=json_)
        return
    if local:
        _run_local(loaded, trial)
        return
    if max_cost is not None and loaded.resources.price_per_hour is None:
        _fail("--max-cost needs resources.price_per_hour, the USD of one GPU (or core) an hour; set it", status=2)
    _take_signals()
    from orchestrator.limits import Limits

    outcome, results, page = _run_watched(loaded, Limits(max_hours=max_hours, max_cost=max_cost), quiet=json_)
    raise typer.Exit(_conclude(results, page, outcome, as_json=json_))


def _run_watched(loaded: "Study", limits: "Limits", *, quiet: bool) -> "tuple[Outcome, Any, Path | None]":
    """Run a study while a person and MLflow are shown how far it is, then write its report."""
    from orchestrator.driver import run_study
    from orchestrator.ledger.studies import ledger_of
    from orchestrator.search import resolved
    from orchestrator.study.cells import trials_of
    from orchestrator.tracking import LiveTracking, tracking_uri
    from orchestrator.watch import Watcher

    ledger = ledger_of(loaded)
    uri = tracking_uri(ledger.storage)
    with (
        Watcher(trials_of(loaded), ledger, quiet=quiet) as watcher,
        LiveTracking(ledger, uri=uri, say=_warn) as tracking,
        # Ray tells of lost processes and nodes on standard output, which is for results.
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):

        def opened(study: "Study") -> None:
            found = trials_of(study)
            watcher.watch(found)
            tracking.follow(study, found)

        outcome = run_study(loaded, listener=replace(watcher.listener, study=opened), limits=limits)
    try:
        results, page = _report(resolved(loaded, ledger))
    finally:
        tracking.conclude()
    return outcome, results, page


def _take_signals() -> None:
    """Ctrl-C, or a polite kill, ends a run with what is finished kept; a second one ends it at once."""

    def stop(*_: object) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, _end_at_once)
        raise KeyboardInterrupt

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, stop)


def _end_at_once(*_: object) -> NoReturn:
    """Leave without waiting for anything; all that this process started, Ray's processes too, goes with it."""
    from orchestrator.provenance import descendants

    for pid in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # Not by `sys.stderr`, which this signal may have come in the middle of.
    os.write(
        2, b"\npolytune: ended at once; run again to go on, or `polytune track STUDY` to close its runs in MLflow\n"
    )
    os._exit(_INTERRUPTED)


def _warn(message: str) -> None:
    sys.stderr.write(f"polytune: {message}\n")


def _run_local(study: "Study", label: str | None) -> None:
    from orchestrator.driver import run_one_here
    from orchestrator.study.cells import trials_of

    choose_trial([t.label for t in trials_of(study)], label)
    outcome = run_one_here(study, str(label))
    _print_causes(outcome)
    if outcome.failed:
        raise typer.Exit(1)
    sys.stdout.write(f"{label}: {', '.join(outcome.ran) or 'nothing was due'}\n")


def _conclude(results: Any, page: Path | None, outcome: "Outcome", *, as_json: bool) -> int:
    """Print what a run came to; returns the exit status."""
    if as_json:
        failed = [
            {"trial": t, "stage": s, "kind": f.kind, "cause": f.cause, "log": f.log_path}
            for (t, s), f in outcome.failed.items()
        ]
        did = {"ran": outcome.ran, "failed": failed, "retried": outcome.retried, "stopped": outcome.stopped}
        _print_json({**did, "report": str(page) if page else None})
    else:
        _print_tables(results, page, brief=True)
        _print_causes(outcome)
    unjudged = any(row.verdict == "unjudged" for row in results.rows)
    return 1 if outcome.failed or outcome.stopped or unjudged or page is None else 0


def _print_causes(outcome: "Outcome") -> None:
    """A table of what failed and why, and what ended the run before its study was finished."""
    from rich.console import Console

    from orchestrator.planview import causes_table

    console = Console(stderr=True, highlight=False)
    if outcome.failed:
        console.print(causes_table(outcome.failed))
    if outcome.stopped:
        console.print(f"stopped: {outcome.stopped}", markup=False)


def _report(study: "Study") -> tuple[Any, Path | None]:
    """A study's results, and their page unless the ledger has no room for it, which is told."""
    from orchestrator.collect import collect
    from orchestrator.errors import LedgerError
    from orchestrator.ledger.studies import ledger_of
    from orchestrator.report import write_report
    from orchestrator.study.cells import trials_of

    ledger = ledger_of(study)
    results = collect(study, trials_of(study), ledger)
    try:
        page = write_report(results, folder=ledger.study_folder(study.study))
        ledger.keep_study_file(study.study, page)
    except (OSError, LedgerError) as error:
        why = f"{ledger.address}: {error.strerror}" if isinstance(error, OSError) else str(error)
        _warn(f"the report's page was not written, {why}; its tables are complete")
        return results, None
    return results, page


def _print_tables(results: Any, page: Path | None, *, brief: bool = False) -> None:
    from rich.console import Console

    from orchestrator.report import print_report

    print_report(results, console=Console(), brief=brief)
    more = f"; `polytune report {results.study}` prints comparisons, quality and costs" if brief else ""
    sys.stdout.write(f"\nReport: {page}{more}\n" if page else f"\nReport: not written{more}\n")


@app.command(epilog="Example: polytune plan studies/paper-2601-15094.yaml --json")
def plan(
    study: StudyArg,
    set_: SetOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash every file of finished stages, not only files below 64 MiB.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Show what would run and why, with estimates. Needs no network and starts nothing."""
    _show_plan(load(study, set_), verify=verify, as_json=json_)


def _show_plan(study: "Study", *, as_json: bool, verify: bool = False) -> None:
    from orchestrator.driver import plan_study
    from orchestrator.plan import refuse_what_does_not_fit
    from orchestrator.planview import plan_as_json, print_plan

    planned, notes = plan_study(study, verify=verify)
    if as_json:
        _print_json(plan_as_json(planned, notes=notes))
    else:
        print_plan(planned, notes=notes)
    refuse_what_does_not_fit(planned, here=False)


@app.command(epilog="Example: polytune report quickstart --csv tables/")
def report(
    study: StudyArg,
    set_: SetOption = None,
    latex: Annotated[Path | None, typer.Option("--latex", metavar="DIR", help="Also write LaTeX tables.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="DIR", help="Also write CSV tables and rows.")] = None,
) -> None:
    """Show the answer: tables here, and one self-contained HTML page."""
    from orchestrator.report import write_csv, write_latex

    results, page = _report(load(study, set_))
    _print_tables(results, page)
    for folder, write in ((csv, write_csv), (latex, write_latex)):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            write(results, folder=folder)
            sys.stdout.write(f"Written: {folder}\n")
    if page is None:
        raise typer.Exit(1)


@app.command(epilog="Example: polytune show studies/quickstart.yaml --track generation/python")
def show(
    study: StudyArg,
    set_: SetOption = None,
    trial: TrialOption = None,
    track: Annotated[str | None, typer.Option("--track", help="Only this track.")] = None,
    json_: JsonOption = False,
) -> None:
    """Show rendered prompts, tokens, loss mask and packing: what the model really sees."""
    from orchestrator.planview import print_shown
    from orchestrator.show import shown

    examples = shown(load(study, set_), trial, track)
    if json_:
        _print_json([example.as_json() for example in examples])
    else:
        print_shown(examples)


@app.command(epilog="Example: polytune export quickstart --trial micro/qlora-together/seed0 --to adapter/")
def export(
    study: StudyArg,
    trial: Annotated[str, typer.Option("--trial", help="The trial's label, as `plan` prints it.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder that is empty or not there.")],
    merge: Annotated[bool, typer.Option("--merge", help="Merge the adapter into the full-precision base.")] = False,
) -> None:
    """Write a trial's adapter, or merged model, with a model card."""
    from orchestrator.export import export as write_export
    from orchestrator.ledger.studies import ledger_of

    loaded = load(study, None)
    sys.stdout.write(f"Written: {write_export(loaded, trial, ledger_of(loaded), to=to, merge=merge)}\n")


@app.command(epilog="Example: polytune doctor --json")
def doctor(json_: JsonOption = False) -> None:
    """Say what this machine can do: GPUs, compilers, analyzers, isolation."""
    from orchestrator.doctor import examine
    from orchestrator.planview import print_checks

    checks = examine()
    if json_:
        _print_json([check.model_dump(mode="json") for check in checks])
    else:
        print_checks(checks)


app.command("execute", epilog=execute.EPILOG)(execute.execute)
app.command(epilog=score.EPILOG)(score.score)
app.command(epilog=compare.EPILOG)(compare.compare)
app.command(epilog=quality.EPILOG)(quality.quality)
app.command("gc", epilog=gc.EPILOG)(gc.gc)
app.command(epilog="Example: polytune status quickstart --follow")(status)
app.command(epilog="Example: polytune cancel quickstart")(cancel)
app.command(epilog="Example: polytune logs quickstart --trial micro/full/seed0")(logs)
app.command(epilog="Example: polytune track quickstart")(track)
app.command(epilog="Example: polytune ui quickstart --port 5000")(ui)

cluster_app = typer.Typer(no_args_is_help=True, help="Ray cluster files.")
app.add_typer(cluster_app, name="cluster")


@cluster_app.command("check", epilog="Example: polytune cluster check cluster.yaml")
def cluster_check(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Check a cluster file against Ray's schema and what Polytune needs, without a network."""
    from orchestrator.cluster import check

    faults = check(file)
    if faults:
        _fail("\n".join([f"{file}:", *(f"  {fault}" for fault in faults)]), status=2)
    sys.stdout.write(f"{file}: valid\n")


@app.command(epilog="Example: polytune submit studies/paper-2601-15094.yaml --cluster cluster.yaml")
def submit(
    study: Annotated[Path, typer.Argument(metavar="STUDY")],
    cluster: Annotated[Path, typer.Option("--cluster", metavar="FILE", help="A Ray cluster file.")],
    set_: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and stop.")] = False,
) -> None:
    """Send the study to a cluster that `ray up` started, and run it there."""
    from orchestrator.cluster import check, submit_command
    from orchestrator.study.file import load_study

    load_study(study, changes=set_ or [])
    faults = check(cluster)
    if faults:
        _fail("\n".join([f"{cluster}:", *(f"  {fault}" for fault in faults)]), status=2)
    # Ray reads a cluster file's mounts from the working directory, and is installed beside Python.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    for command in submit_command(study, cluster, changes=set_ or ()):
        sys.stderr.write(f"$ {shlex.join(command)}\n")
        if not dry_run and (code := subprocess.call(command, cwd=cluster.parent, env={**os.environ, "PATH": path})):
            raise typer.Exit(code)


__all__ = ["app", "main"]
