"""`polytune cluster check` and `polytune submit`: a study on a cluster that `ray up` starts."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.commands.options import SetOption
from orchestrator.commands.output import fail

SUBMIT_EPILOG = "Example: polytune submit studies/paper-2601-15094.yaml --cluster cluster.yaml"
CHECK_EPILOG = "Example: polytune cluster check cluster.yaml"


def check_file(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Check a cluster file against Ray's schema and what Polytune needs, without a network."""
    from orchestrator.commands.clusterfile import check

    faults = check(file)
    if faults:
        fail("\n".join([f"{file}:", *(f"  {fault}" for fault in faults)]), status=2)
    sys.stdout.write(f"{file}: valid\n")


def submit(
    study: Annotated[Path, typer.Argument(metavar="STUDY")],
    cluster: Annotated[Path, typer.Option("--cluster", metavar="FILE", help="A Ray cluster file.")],
    set_: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and stop.")] = False,
) -> None:
    """Send the study to a cluster that `ray up` started, and run it there."""
    from orchestrator.commands.clusterfile import check, submit_command
    from orchestrator.study.file import load_study

    load_study(study, changes=set_ or [])
    faults = check(cluster)
    if faults:
        fail("\n".join([f"{cluster}:", *(f"  {fault}" for fault in faults)]), status=2)
    # Ray reads a cluster file's mounts from the working directory, and is installed beside Python.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    for command in submit_command(study, cluster, changes=set_ or ()):
        sys.stderr.write(f"$ {shlex.join(command)}\n")
        if not dry_run and (code := subprocess.call(command, cwd=cluster.parent, env={**os.environ, "PATH": path})):
            raise typer.Exit(code)
