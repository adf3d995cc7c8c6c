"""The command line: thin, and quick to start.

One decision: nothing heavy is imported here before a command needs it; `polytune --help` answers in a
third of a second although the project stands on torch, ray and mlflow.

Exit status: 0 done, 1 finished but something failed, 2 the user's input is at fault, 130 interrupted.
"""

import os
import sys
from typing import Annotated

import typer

from orchestrator.commands import (
    cluster,
    compare,
    doctor,
    execute,
    export,
    gc,
    init,
    plan,
    quality,
    replay,
    report,
    run,
    samples,
    schema,
    score,
    show,
)
from orchestrator.commands.cancel import cancel
from orchestrator.commands.logs import logs
from orchestrator.commands.options import ON_HEAD
from orchestrator.commands.output import Told, drop_output, fail, mend_streams
from orchestrator.commands.status import status
from orchestrator.commands.track import track
from orchestrator.commands.ui import ui

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


def main() -> None:
    """Entry point: turns errors that are a user's to mend into one message and exit status 2."""
    try:
        _run_command()
    except SystemExit as end:
        _leave_ray(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise
    _leave_ray(0)


def _leave_ray(status: int) -> None:
    """End at once where a run that was stopped has left threads that use Ray."""
    session = sys.modules.get("orchestrator.work.session")
    if session is not None:
        session.end_if_left(status)


def _run_command() -> None:
    from models.locations import ModelError
    from orchestrator.errors import FULL, PolytuneError
    from tasks.readers.source import DataError

    _quieten()
    mend_streams()
    try:
        try:
            if sys.argv[1:] == [ON_HEAD]:
                from orchestrator.commands.onhead import take_request

                sys.argv[1:] = take_request()
            app()
        finally:
            sys.stdout.flush()
    except (PolytuneError, DataError, ModelError) as error:
        fail(str(error), status=2)
    except BrokenPipeError:
        # Whoever read what we print has read enough, as `head` does.
        drop_output()
    except OSError as error:
        if error.errno not in FULL:
            raise
        drop_output()
        fail(f"what was printed could not be written: {error.strerror}; what was computed is kept", status=1)
    except SystemExit as end:
        # Typer takes an interrupt for itself and ends with this status.
        if end.code == run.INTERRUPTED and not isinstance(end, Told):
            fail("interrupted; what was finished is in the ledger, run again to go on", status=run.INTERRUPTED)
        raise


def _quieten() -> None:
    """Libraries announce themselves; what they say of nothing is kept from the terminal."""
    for name, value in {
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # A thread that is late, when a study was stopped, would start or join a Ray of its own.
        "RAY_ENABLE_AUTO_CONNECT": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }.items():
        os.environ.setdefault(name, value)


def _print_version(asked: bool) -> None:
    if asked:
        from orchestrator.provenance import version

        sys.stdout.write(f"polytune {version()}\n")
        raise typer.Exit


@app.callback()
def polytune(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Which way to fine-tune a code model is better, on what, by how much, at what cost, and is it real?"""


app.command(epilog=init.EPILOG)(init.init)
app.command(epilog=run.EPILOG)(run.run)
app.command(epilog=plan.EPILOG)(plan.plan)
app.command(epilog="Example: polytune status quickstart --follow")(status)
app.command(epilog="Example: polytune cancel quickstart")(cancel)
app.command(epilog="Example: polytune logs quickstart --trial micro/full/seed0")(logs)
app.command(epilog=report.EPILOG)(report.report)
app.command(epilog=samples.EPILOG)(samples.samples)
app.command(epilog=show.EPILOG)(show.show)
app.command(epilog="Example: polytune ui quickstart --port 5000")(ui)
app.command(epilog="Example: polytune track quickstart")(track)
app.command(epilog=replay.EPILOG)(replay.replay)
app.command(epilog=export.EPILOG)(export.export)
app.command("gc", epilog=gc.EPILOG)(gc.gc)
app.command(epilog=doctor.EPILOG)(doctor.doctor)
app.command(epilog=schema.EPILOG)(schema.schema)
app.command("execute", epilog=execute.EPILOG)(execute.execute)
app.command(epilog=score.EPILOG)(score.score)
app.command(epilog=quality.EPILOG)(quality.quality)
app.command(epilog=compare.EPILOG)(compare.compare)
app.command(epilog=cluster.SUBMIT_EPILOG)(cluster.submit)

cluster_app = typer.Typer(no_args_is_help=True, help="Ray cluster files.")
app.add_typer(cluster_app, name="cluster")
cluster_app.command("check", epilog=cluster.CHECK_EPILOG)(cluster.check_file)

__all__ = ["app", "main"]
