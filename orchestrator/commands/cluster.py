"""`polytune cluster check` and `polytune submit`: a study on a cluster that `ray up` starts."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.commands.options import SetOption
from orchestrator.commands.output import Told, fail

if TYPE_CHECKING:
    from orchestrator.commands.request import Request

SUBMIT_EPILOG = "Example: polytune submit studies/paper-2601-15094.yaml --cluster cluster.yaml --detach"
CHECK_EPILOG = "Example: polytune cluster check cluster.yaml studies/paper-2601-15094.yaml"


def check_file(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    study: Annotated[
        Path | None, typer.Argument(metavar="[STUDY]", help="A study file that the cluster is to run.")
    ] = None,
) -> None:
    """Check a cluster file against Ray's schema, what Polytune needs and what a study needs, without a network."""
    from orchestrator.commands.clusterfile import check, is_on_prem
    from orchestrator.study.file import load_study

    faults = check(file, load_study(study) if study else None)
    if faults:
        fail("\n".join([f"{file}:", *(f"  {fault}" for fault in faults)]), status=2)
    sys.stdout.write(f"{file}: valid\n")
    if is_on_prem(file):
        # With the other autoscaler such a cluster never becomes complete, and the file has no place to say so.
        sys.stdout.write(f"start it by: RAY_UP_enable_autoscaler_v2=0 ray up {file}\n")


def submit(
    study: Annotated[Path, typer.Argument(metavar="STUDY")],
    cluster: Annotated[Path, typer.Option("--cluster", metavar="FILE", help="A Ray cluster file.")],
    set_: SetOption = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave the study running on the head, whatever becomes of this machine.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent and run, and stop.")] = False,
) -> None:
    """Send the study to a cluster that `ray up` started, and run it there.

    Tokens, a bucket's keys and MLflow's address are taken from the environment here and go to the study through
    memory alone. Without --detach the study stops, with what is finished kept, when this command or its connection
    ends.
    """
    from orchestrator.commands.clusterfile import check, folder_of, project_of
    from orchestrator.commands.head import ask_head, send
    from orchestrator.commands.submission import submission_of
    from orchestrator.study.file import load_study

    loaded = load_study(study, changes=set_ or [])
    faults = check(cluster, loaded)
    if faults:
        fail("\n".join([f"{cluster}:", *(f"  {fault}" for fault in faults)]), status=2)
    found = submission_of(study, cluster, changes=set_ or (), detach=detach)
    if dry_run:
        sys.stderr.writelines(f"$ {shlex.join(command)}\n" for command in found.commands)
        sys.stderr.write(_in_words(found.request))
        return
    folder, project = folder_of(cluster), project_of(cluster)
    send(found.commands, folder=folder)
    sys.stderr.write(_in_words(found.request))
    status = ask_head(cluster, found.request, project=project, folder=folder)
    if detach and not status:
        # A bucket is named, so that its keys go along with the question.
        named = f"{loaded.storage}/{loaded.study}" if "://" in loaded.storage else str(study)
        for command in ("status", "logs", "cancel"):
            sys.stdout.write(f"  polytune {command} {named} --cluster {cluster}\n")
    raise Told(status)


def ask_about(command: str, study: str, cluster: Path, *options: str, changes: list[str] | None = None) -> NoReturn:
    """Give a command about a study to the head of the cluster that runs it.

    Raises:
        Told: with the status that it ended with there.
    """
    from orchestrator.commands.clusterfile import folder_of, project_of
    from orchestrator.commands.head import ask_head
    from orchestrator.commands.submission import about

    request = about(command, study, options=options, changes=changes or ())
    raise Told(ask_head(cluster, request, project=project_of(cluster), folder=folder_of(cluster)))


def _in_words(request: "Request") -> str:
    names = ", ".join(request.environment) or "none is set"
    return (
        f"$ polytune {shlex.join(request.arguments)}\n"
        f"  on the head{', detached' if request.detach else ''}; with, through memory alone: {names}\n"
    )
