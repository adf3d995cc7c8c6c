"""Check a Ray cluster file before it costs money, and say how a study is sent to such a cluster.

One decision: Ray's own schema and its own preparation of the file decide what Ray will take; the rules
here are only what Polytune needs besides. Everything works without a network and without credentials,
and a submission is a list of plain `ray` command lines that a person could type.
"""

import copy
import json
import logging
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from orchestrator.commands.doctor import PACKAGES
from orchestrator.errors import Fault, StudyError
from orchestrator.study.file import load_study
from orchestrator.study.schema import Study
from orchestrator.work.session import TRIAL_RESOURCE

_COMMANDS = (
    "initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands",
    "head_start_ray_commands", "worker_start_ray_commands",
)  # fmt: skip
_PLACEHOLDER = re.compile(r"FILL_IN_\w+")
_BUCKET_MOUNTS = re.compile(r"\b(mount-s3|s3fs|goofys|gcsfuse|blobfuse2?|rclone)\b")
_DATA = "data"

_Config = dict[str, Any]


def check(path: Path) -> tuple[Fault, ...]:
    """Every fault of a cluster file, by Ray's schema first and then by what Polytune needs.

    Paths below `file_mounts` are looked up from the file's folder, where `ray up` is to be run.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node, config = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except OSError as error:
        return (Fault(where="", message=f"cannot be read: {error.strerror}; give the path of a Ray cluster file"),)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        return (Fault(where="", message=f"no YAML: {getattr(error, 'problem', None) or error}", line=line),)
    if not isinstance(config, dict):
        return (Fault(where="", message="a cluster file is a mapping of settings, and this is none"),)
    found = tuple(_ray_faults(config)) or tuple(f for rule in _RULES for f in rule(config, path.resolve().parent))
    placed = (Fault(where=fault.where, message=fault.message, line=_line(node, fault.where)) for fault in found)
    return tuple(dict.fromkeys(placed))


def _line(node: Any, where: str) -> int | None:
    """The line of the deepest part of a dotted place that the file holds."""
    line, rest = None, where
    while isinstance(node, yaml.MappingNode) and rest:
        # Keys hold dots themselves (`~/polytune/pyproject.toml`), so the longest that fits is taken.
        fitting = [pair for pair in node.value if rest == pair[0].value or rest.startswith(f"{pair[0].value}.")]
        if not fitting:
            break
        key, node = max(fitting, key=lambda pair: len(pair[0].value))
        line, rest = key.start_mark.line + 1, rest[len(key.value) + 1 :]
    return line


def _ray_faults(config: _Config) -> Iterator[Fault]:
    """What Ray would refuse: its JSON schema, then its own preparation and validation."""
    import jsonschema  # type: ignore[import-untyped]
    from ray.autoscaler._private.util import prepare_config, validate_config

    schema_faults = list(jsonschema.Draft7Validator(_ray_schema()).iter_errors(config))
    for error in schema_faults:
        where = ".".join(str(part) for part in error.absolute_path)
        yield Fault(where=where, message=f"{error.message.splitlines()[0]} (Ray's schema)")
    if schema_faults or config["provider"]["type"] == "kuberay":  # whose resource the operator validates
        return
    logging.disable(logging.WARNING)  # Ray tells of every default that it fills in
    try:
        # Without mounts, which Ray here only remarks upon.
        validate_config(prepare_config(copy.deepcopy({**config, "file_mounts": {}})))
    except (ValueError, RuntimeError, LookupError, jsonschema.ValidationError) as error:  # NotImplementedError is one
        yield Fault(where="", message=f"Ray refuses it: {str(error).splitlines()[0]}")
    finally:
        logging.disable(logging.NOTSET)


def _ray_schema() -> _Config:
    import ray.autoscaler

    schema: _Config = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text(encoding="utf-8"))
    return schema


def _coordinators(config: _Config, folder: Path) -> Iterator[Fault]:
    """Full fine-tunings are started by coordinators, which hold the custom resource alone."""
    head = config.get("head_node_type")
    resources = config.get("available_node_types", {}).get(head, {}).get("resources", {})
    started_with = " ".join(config.get("head_start_ray_commands", []))
    if resources.get(TRIAL_RESOURCE, 0) < 1 and not re.search(rf"--resources\S*\W{TRIAL_RESOURCE}\W", started_with):
        where = f"available_node_types.{head}.resources" if head else "head_start_ray_commands"
        yield Fault(
            where=where,
            message=f"the head has no custom resource `{TRIAL_RESOURCE}`, which trials of kind full wait for; "
            f"add {TRIAL_RESOURCE}: 1000",
        )


def _sizes(config: _Config, folder: Path) -> Iterator[Fault]:
    """Numbers of workers that Ray takes, but that cannot be meant."""
    head, most = config.get("head_node_type"), config.get("max_workers")
    workers = {name: kind for name, kind in config.get("available_node_types", {}).items() if name != head}
    for name, kind in workers.items():
        least, own_most = kind.get("min_workers", 0), kind.get("max_workers", most)
        where = f"available_node_types.{name}.min_workers"
        if least < 0:
            yield Fault(where=where, message=f"min_workers must be at least 0, got {least}")
        if own_most is not None and least > own_most:
            yield Fault(
                where=where,
                message=f"min_workers must not exceed max_workers, {own_most}, got {least}; raise max_workers",
            )
    if workers and (most == 0 or all(kind.get("max_workers", most) == 0 for kind in workers.values())):
        yield Fault(where="max_workers", message="no worker can ever start with 0 of every type; raise max_workers")


def _mounts(config: _Config, folder: Path) -> Iterator[Fault]:
    for remote, local in config.get("file_mounts", {}).items():
        if not _source(local, folder).exists():
            yield Fault(
                where=f"file_mounts.{remote}",
                message=f"{local} is not there; paths are relative to {folder}, where `ray up` is to be run",
            )


def _source(local: str, folder: Path) -> Path:
    return folder / Path(local).expanduser()


def _shipped(config: _Config, folder: Path) -> Iterator[Fault]:
    """All packages reach the nodes, in one folder, and are installed there."""
    if config.get("docker", {}).get("image"):
        return
    setup = " ".join(config.get("setup_commands", []))
    if "pip install" not in setup and "pip sync" not in setup:
        yield Fault(
            where="setup_commands",
            message="nothing installs Polytune, and without setup_commands Ray installs a Ray of its own; add: "
            "pip install --editable ~/polytune",
        )
    if "git+" in setup or "git clone" in setup:
        return
    roots = {name: _remote_root(name, config, folder) for name in PACKAGES}
    missing = [name for name, root in roots.items() if root is None]
    if missing:
        yield Fault(
            where="file_mounts",
            message=f"{', '.join(missing)} would not reach the nodes; mount each package, as in "
            f"~/polytune/{missing[0]}: {missing[0]}",
        )
    elif len(set(roots.values())) > 1:
        places = ", ".join(f"{name} in {root}" for name, root in roots.items())
        yield Fault(where="file_mounts", message=f"the packages must come from one folder, got {places}")


def _remote_root(package: str, config: _Config, folder: Path) -> str | None:
    """The folder on the nodes that a package's mount puts it in; None if nothing ships it."""
    for remote, local in config.get("file_mounts", {}).items():
        source, target = _source(local, folder), PurePosixPath(remote)
        if (source / package / "__init__.py").is_file():
            return str(target)
        if target.name == package and (source / "__init__.py").is_file():
            return str(target.parent)
    return None


def _images(config: _Config, folder: Path) -> Iterator[Fault]:
    if config["provider"]["type"] != "aws" or config.get("docker", {}).get("image"):
        return
    for name, kind in config.get("available_node_types", {}).items():
        if not kind["node_config"].get("ImageId"):
            yield Fault(
                where=f"available_node_types.{name}.node_config",
                message="ImageId is missing, and Ray's default, Ubuntu 18.04, has glibc 2.27 where PyTorch needs 2.28; "
                "name a recent image",
            )


def _storage(config: _Config, folder: Path) -> Iterator[Fault]:
    """The ledger needs hard links and one view from all nodes: a mounted file system, and no bucket."""
    commands = [(key, command) for key in _COMMANDS for command in config.get(key, [])]
    for key, command in commands:
        bucket = _BUCKET_MOUNTS.search(command)
        if bucket:
            yield Fault(
                where=key,
                message=f"{bucket[0]} mounts a bucket, which has no hard links, and the ledger needs them; "
                "mount NFS, EFS or FSx",
            )
    is_cloud = config["provider"]["type"] not in ("local", "kuberay")
    if is_cloud and not any(re.search(r"\bmount\b", command) for _, command in commands):
        yield Fault(
            where="worker_start_ray_commands",
            message="nothing mounts a file system that all nodes see, and the ledger needs one; mount NFS, EFS or FSx",
        )


def _placeholders(config: _Config, folder: Path) -> Iterator[Fault]:
    first: dict[str, str] = {}
    for where, text in _texts(config, ()):
        for name in _PLACEHOLDER.findall(text):
            first.setdefault(name, where)
    for name, where in first.items():
        yield Fault(where=where, message=f"{name} is still to be filled in; the comment above it says with what")


def _texts(value: Any, place: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*place, str(key)))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, place)
    elif isinstance(value, str):
        yield ".".join(place), value


_RULES: tuple[Callable[[_Config, Path], Iterator[Fault]], ...] = (
    _coordinators, _sizes, _mounts, _shipped, _images, _storage, _placeholders,
)  # fmt: skip


def submit_command(study_path: Path, cluster_path: Path, *, changes: Sequence[str] = ()) -> list[list[str]]:
    """The `ray` command lines that send the code, a study and its local data to a running cluster and run it.

    They are to be run in the cluster file's folder, one after the other, up to the first that fails.
    The last one's exit status is the study's own. `changes` are `KEY=VALUE`, as `--set` takes them.

    Raises:
        StudyError: if the study is at fault, or names a model or data that cannot be sent.
    """
    study = load_study(study_path, changes=changes)
    config = yaml.safe_load(cluster_path.read_text(encoding="utf-8"))
    project = _remote_root(PACKAGES[0], config, cluster_path.resolve().parent) or "~/polytune"
    cluster, remote_study = str(cluster_path.resolve()), f"studies/{study_path.name}"
    data = _local_data(study, source=str(study_path))
    folders = sorted({"studies", *(str(PurePosixPath(_DATA, part).parent) for part in data)})
    kept = [change for change in changes if not change.startswith("data.root=")]
    settings = [*kept, "resources.address=auto", *([f"data.root={_DATA}"] if data else [])]
    run = shlex.join(["polytune", "run", remote_study, *(part for setting in settings for part in ("--set", setting))])
    return [
        ["ray", "rsync-up", cluster],
        ["ray", "exec", cluster, f"cd {project} && mkdir -p {shlex.join(folders)}"],
        ["ray", "rsync-up", cluster, str(study_path.resolve()), f"{project}/{remote_study}"],
        *(["ray", "rsync-up", cluster, *_ends(local, f"{project}/{_DATA}/{part}")] for part, local in data.items()),
        ["ray", "exec", cluster, f"cd {project} && {run}"],
    ]


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


__all__ = ["check", "submit_command"]
