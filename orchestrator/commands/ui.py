"""`polytune ui`: MLflow's pages for a study, on this machine."""

import os
import sys
from typing import Annotated

import typer

from orchestrator.commands.options import StudyArg, load


def ui(study: StudyArg, port: Annotated[int, typer.Option("--port", help="Port on this machine.")] = 5000) -> None:
    """Open MLflow's pages for a study on this machine."""
    from orchestrator.ledger.studies import ledger_of
    from orchestrator.study.cells import trials_of
    from orchestrator.tracking import project, tracking_uri, ui_command

    loaded = load(study)
    ledger = ledger_of(loaded)
    uri = tracking_uri(ledger.storage)
    command, environment = ui_command(uri, port=port)
    driver = ledger.lease(loaded.study).holder()
    live_since = driver.since if driver else None
    done = project(loaded, trials_of(loaded), ledger, uri=uri, live_since=live_since)
    for name, page in zip(("Runs", "Compare"), done.pages, strict=False):
        sys.stderr.write(f"{name}: http://127.0.0.1:{port}{page}\n")
    sys.stderr.write("Ctrl-C stops MLflow\n")
    sys.stderr.flush()
    # In this process's place, so that whatever ends it ends MLflow.
    os.execve(command[0], command, {**os.environ, **environment})
