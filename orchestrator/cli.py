"""The command line: thin, and quick to start.

One decision: nothing heavy is imported here before a command needs it; `polytune --help` answers in a
third of a second although the project stands on torch, ray and mlflow.

Exit status: 0 done, 1 finished but something failed, 2 the user's input is at fault, 130 interrupted.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from orchestrator.commands import quality

if TYPE_CHECKING:
    from orchestrator.driver import Outcome
    from orchestrator.ledger import Ledger
    from orchestrator.study import Study

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

StudyArg = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a study that was run.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
TrialOption = Annotated[str | None, typer.Option("--trial", help="The trial's label, as `plan` prints it.")]


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
    except KeyboardInterrupt:
        _fail("interrupted; what was finished is in the ledger, run again to go on", status=130)


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
    sys.stderr.write(f"polytune: {message}\n")
    raise SystemExit(status)


def _load(study: str, changes: list[str] | None) -> "Study":
    """A study from its file, or by name from the ledger below the working directory."""
    from orchestrator.studyfile import load_named, load_study

    path = Path(study)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return load_study(path, changes=changes or [])
    return load_named(study, changes=changes or [])


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


@app.command(epilog="Example: polytune run studies/quickstart.yaml")
def run(
    study: StudyArg,
    set_: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run, and stop.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Train one trial in this process, for a debugger.")] = False,
    trial: TrialOption = None,
    json_: JsonOption = False,
) -> None:
    """Run what a study still lacks, then show the answer. Run again to finish the rest."""
    loaded = _load(study, set_)
    if dry_run:
        _show_plan(loaded, as_json=json_)
        return
    if local:
        _run_local(loaded, trial)
        return
    _terminate_like_interrupt()
    from orchestrator.driver import ledger_of, run_study
    from orchestrator.watch import Watcher

    with Watcher(ledger_of(loaded), quiet=json_) as watcher:
        outcome = run_study(loaded, listener=watcher.listener)
    status = _conclude(loaded, outcome, as_json=json_)
    raise typer.Exit(status)


def _terminate_like_interrupt() -> None:
    """A polite kill ends a run as Ctrl-C does, so that Ray's processes go with it."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def _run_local(study: "Study", label: str | None) -> None:
    from orchestrator.driver import run_one_here
    from orchestrator.trial import trials_of

    _choose_trial([t.label for t in trials_of(study) if t.kind != "frozen"], label)
    cause = run_one_here(study, str(label))
    if cause:
        _fail(cause, status=1)
    sys.stdout.write(f"{label}: trained\n")


def _choose_trial(labels: list[str], label: str | None) -> None:
    """Exit with the labels there are unless `label` is one of them."""
    if label not in labels:
        given = f"no trial {label!r}" if label else "--trial is needed"
        _fail(f"{given}; the trials are:\n  " + "\n  ".join(labels), status=2)


def _conclude(study: "Study", outcome: "Outcome", *, as_json: bool) -> int:
    """Bring MLflow up to date, write the report, print the tables; returns the exit status."""
    _track(study, strict=False)
    results, page = _report(study)
    if as_json:
        failed = [{"trial": t, "stage": s, "cause": c} for (t, s), c in outcome.failed.items()]
        _print_json({"ran": outcome.ran, "failed": failed, "report": str(page)})
    else:
        _print_tables(results, page, brief=True)
        for (label, stage), cause in outcome.failed.items():
            sys.stderr.write(f"{label} {stage}: {cause}\n")
    unjudged = any(row.verdict == "unjudged" for row in results.rows)
    return 1 if outcome.failed or unjudged else 0


def _report(study: "Study") -> tuple[Any, Path]:
    from orchestrator.collect import collect
    from orchestrator.driver import ledger_of
    from orchestrator.report import write_report
    from orchestrator.trial import trials_of

    ledger = ledger_of(study)
    results = collect(study, trials_of(study), ledger)
    return results, write_report(results, folder=ledger.study_folder(study.study))


def _print_tables(results: Any, page: Path, *, brief: bool = False) -> None:
    from rich.console import Console

    from orchestrator.report import print_report

    print_report(results, console=Console(), brief=brief)
    more = f"; `polytune report {results.study}` prints comparisons, quality and costs" if brief else ""
    sys.stdout.write(f"\nReport: {page}{more}\n")


def _track(study: "Study", *, strict: bool) -> int:
    """Project the ledger into MLflow; a server that is away is one warning unless `strict`."""
    from orchestrator.driver import ledger_of
    from orchestrator.tracking import TrackingUnavailable, project, tracking_uri
    from orchestrator.trial import trials_of

    ledger = ledger_of(study)
    try:
        done = project(study, trials_of(study), ledger, uri=tracking_uri(ledger.storage))
    except TrackingUnavailable as error:
        if strict:
            raise
        sys.stderr.write(f"polytune: {error}\n")
        return 0
    return int(done.runs)


@app.command(epilog="Example: polytune plan studies/paper-2601-15094.yaml --json")
def plan(study: StudyArg, set_: SetOption = None, json_: JsonOption = False) -> None:
    """Show what would run and why, with estimates. Needs no network and starts nothing."""
    _show_plan(_load(study, set_), as_json=json_)


def _show_plan(study: "Study", *, as_json: bool) -> None:
    from orchestrator.driver import ledger_of
    from orchestrator.plan import plan as make_plan
    from orchestrator.planview import plan_as_json, print_plan
    from orchestrator.trial import trials_of

    planned = make_plan(trials_of(study), ledger_of(study), micro_batch=study.resources.micro_batch)
    if as_json:
        _print_json(plan_as_json(planned))
    else:
        print_plan(planned)


@app.command(epilog="Example: polytune status quickstart")
def status(study: StudyArg, set_: SetOption = None, json_: JsonOption = False) -> None:
    """Show each trial's stages as the ledger has them now, and how far running ones are."""
    from orchestrator.driver import ledger_of
    from orchestrator.planview import print_status, status_rows
    from orchestrator.trial import trials_of

    loaded = _load(study, set_)
    rows = status_rows(trials_of(loaded), ledger_of(loaded))
    if json_:
        _print_json(rows)
    else:
        print_status(rows)


@app.command(epilog="Example: polytune report quickstart --csv tables/")
def report(
    study: StudyArg,
    set_: SetOption = None,
    latex: Annotated[Path | None, typer.Option("--latex", metavar="DIR", help="Also write LaTeX tables.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="DIR", help="Also write CSV tables and rows.")] = None,
) -> None:
    """Show the answer: tables here, and one self-contained HTML page."""
    from orchestrator.report import write_csv, write_latex

    results, page = _report(_load(study, set_))
    _print_tables(results, page)
    for folder, write in ((csv, write_csv), (latex, write_latex)):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            write(results, folder=folder)
            sys.stdout.write(f"Written: {folder}\n")


@app.command(epilog="Example: polytune track quickstart")
def track(study: StudyArg, set_: SetOption = None) -> None:
    """Bring MLflow up to date with the ledger, or rebuild it."""
    runs = _track(_load(study, set_), strict=True)
    sys.stdout.write(f"{runs} runs are up to date\n")


@app.command(epilog="Example: polytune ui quickstart --port 5000")
def ui(study: StudyArg, port: Annotated[int, typer.Option("--port", help="Port on this machine.")] = 5000) -> None:
    """Open MLflow's pages for a study on this machine."""
    from orchestrator.driver import ledger_of
    from orchestrator.tracking import project, tracking_uri, ui_command
    from orchestrator.trial import trials_of

    loaded = _load(study, None)
    ledger = ledger_of(loaded)
    uri = tracking_uri(ledger.storage)
    command, environment = ui_command(uri, port=port)
    done = project(loaded, trials_of(loaded), ledger, uri=uri)
    for name, page in zip(("Runs", "Compare"), done.pages, strict=False):
        sys.stderr.write(f"{name}: http://127.0.0.1:{port}{page}\n")
    sys.stderr.write("Ctrl-C stops MLflow\n")
    raise typer.Exit(subprocess.call(command, env={**os.environ, **environment}))


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

    examples = shown(_load(study, set_), trial, track)
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
    from orchestrator.driver import ledger_of
    from orchestrator.export import export as write_export

    loaded = _load(study, None)
    sys.stdout.write(f"Written: {write_export(loaded, trial, ledger_of(loaded), to=to, merge=merge)}\n")


@app.command(epilog="Example: polytune logs quickstart --trial micro/full/seed0")
def logs(study: StudyArg, trial: TrialOption = None) -> None:
    """Print how a trial's failed attempts failed."""
    from orchestrator.driver import ledger_of
    from orchestrator.trial import trials_of

    loaded = _load(study, None)
    trials = {t.label: t for t in trials_of(loaded)}
    _choose_trial(list(trials), trial)
    _print_failures(ledger_of(loaded), [(stage, trials[str(trial)].key(stage)) for stage in trials[str(trial)].stages])


def _print_failures(ledger: "Ledger", stages: list[tuple[Any, str]]) -> None:
    for stage, key in stages:
        failure = ledger.last_failure(key)
        sys.stdout.write(f"{stage}: {failure[1]}\n{failure[0].traceback}" if failure else f"{stage}: no failure\n")


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


app.command(epilog=quality.EPILOG)(quality.quality)

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
    from orchestrator.studyfile import load_study

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
