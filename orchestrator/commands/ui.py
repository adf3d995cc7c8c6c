"""`polytune ui`: MLflow's pages for a study, on this machine."""

import os
import sys
from typing import Annotated

import typer

from orchestrator.commands.options import StudyArg, opened


def ui(study: StudyArg, port: Annotated[int, typer.Option("--port", help="Port on this machine.")] = 5000) -> None:
    """Open MLflow's pages for a study on this machine."""
    from orchestrator.tracking.project import project, tracking_uri, ui_command

    cells, ledger = opened(study)
    uri = tracking_uri(ledger.storage)
    command, environment = ui_command(uri, port=port)
    driver = ledger.lease(cells.study.study).holder()
    live_since = driver.since if driver else None
    done = project(cells.study, cells.trials, ledger, uri=uri, live_since=live_since)
    for name, page in done.pages.items():
        sys.stderr.write(f"{name}: http://127.0.0.1:{port}{page}\n")
    sys.stderr.write("Ctrl-C stops MLflow\n")
    sys.stderr.flush()
    # In this process's place, so that whatever ends it ends MLflow.
    os.execve(command[0], command, {**os.environ, **environment})
