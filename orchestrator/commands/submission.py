"""What of a study is sent to a cluster's head, and what it is asked for there.

One decision: code and data go to the head by `ray rsync-up`, as a person could type it, and from there to every other
node by Ray itself (`orchestrator.work.delivery`), since nodes come and go while a study runs. The study file and the
caller's environment are part of the request, see `orchestrator.commands.request`.
"""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.commands.clusterfile import project_of
from orchestrator.commands.request import Request
from orchestrator.errors import Fault, StudyError
from orchestrator.study.file import load_study
from orchestrator.study.schema import Study
from orchestrator.work.credentials import carried

_DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The `ray` command lines that send code and local data, in their order, and the request that follows."""

    commands: tuple[tuple[str, ...], ...]
    request: Request


def submission_of(
    study_path: Path,
    cluster_path: Path,
    *,
    changes: Sequence[str] = (),
    detach: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Submission:
    """How a study gets to a running cluster; the commands are to be run where the cluster file's mounts are.

    Args:
        study_path: The study file.
        cluster_path: The cluster file.
        changes: `KEY=VALUE`, as `--set` takes them.
        detach: Whether the study goes on when the caller goes.
        environment: Where its tokens, a bucket's keys and MLflow's address are looked up.

    Raises:
        StudyError: if the study is at fault, or names a model or data that cannot be sent.
    """
    study = load_study(study_path, changes=changes)
    project, cluster = project_of(cluster_path), str(cluster_path.resolve())
    data = _local_data(study, source=str(study_path))
    kept = [change for change in changes if not change.startswith("data.root=")]
    request = Request(
        command="run",
        study=f"studies/{study_path.name}",
        name=study.study,
        changes=(*kept, "resources.address=auto", *([f"data.root={_DATA}"] if data else [])),
        environment=carried(study.storage, environment),
        files={f"studies/{study_path.name}": study_path.read_text(encoding="utf-8")},
        detach=detach,
    )
    return Submission(commands=tuple(_commands(cluster, project, data)), request=request)


def _commands(cluster: str, project: str, data: Mapping[str, Path]) -> Iterator[tuple[str, ...]]:
    yield "ray", "rsync-up", cluster
    if data:
        folders = sorted({str(PurePosixPath(_DATA, part).parent) for part in data})
        yield "ray", "exec", cluster, f"mkdir -p {project} && cd {project} && mkdir -p {shlex.join(folders)}"
    for part, local in data.items():
        yield "ray", "rsync-up", cluster, *_ends(local, f"{project}/{_DATA}/{part}")


def about(command: str, study: str, *, options: Sequence[str] = (), changes: Sequence[str] = ()) -> Request:
    """A request about a study on a cluster, which is named by its file here, or as it is called there."""
    path = Path(study)
    is_file = path.suffix in (".yaml", ".yml") and path.is_file()
    loaded = load_study(path, changes=changes) if is_file else None
    storage = loaded.storage if loaded else study
    return Request.model_validate(
        {
            "command": command,
            "study": f"studies/{path.name}" if is_file else study,
            "name": loaded.study if loaded else study.rpartition("/")[2],
            "changes": tuple(changes),
            "options": tuple(options),
            "environment": carried(storage, os.environ),
            "files": {f"studies/{path.name}": path.read_text(encoding="utf-8")} if is_file else {},
        }
    )


def _ends(local: Path, remote: str) -> tuple[str, str]:
    """Source and target for rsync, to which a folder's contents are the folder with a slash."""
    return (f"{local}/", f"{remote}/") if local.is_dir() else (str(local), remote)


def _local_data(study: Study, *, source: str) -> dict[str, Path]:
    """The study's local files and folders, by their place below the data root.

    Raises:
        StudyError: for data or a model on this machine that has no such place.
    """
    root = Path(study.data.root).resolve()
    found, faults = dict[str, Path](), list(_unsendable_models(study))
    items = [(track, i) for track, e in study.tasks.items() for i in (*e.train, *e.validation, *e.test) if i.path]
    for track, item in items:
        local = (root / str(item.path)).resolve()
        if not local.exists() and Path(str(item.path)).is_absolute():
            continue  # a place on the cluster's own file system
        if not local.exists():
            message = f"{item.path} is not there below data.root, {root}; set data.root"
        elif not local.is_relative_to(root):
            message = f"{item.path} lies outside data.root, {root}, and only what is below it is sent; set data.root"
        else:
            found[str(local.relative_to(root))] = local
            continue
        faults.append(Fault(where=f"tasks.{track}", message=message))
    if faults:
        raise StudyError(source, tuple(dict.fromkeys(faults)))
    return found


def _unsendable_models(study: Study) -> Iterator[Fault]:
    for index, model in enumerate(study.models):
        if Path(model.name).expanduser().is_dir():
            yield Fault(
                where=f"models.{index}",
                message=f"{model.name} is a folder on this machine, which a cluster's nodes do not see; use a hub id, "
                "or copy it to the shared folder by `ray rsync-up` and name it as it is called there",
            )


__all__ = ["Submission", "about", "submission_of"]
