"""Check a Ray cluster file before it costs money, alone and together with a study.

One decision: Ray's own schema and its own preparation of the file decide what Ray will take; the rules
here are only what Polytune needs besides. Everything works without a network and without credentials.
"""

import copy
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from orchestrator.errors import Fault
from orchestrator.study.schema import Study
from orchestrator.work.delivery import PACKAGES
from orchestrator.work.session import TRIAL_RESOURCE

_COMMANDS = (
    "initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands",
    "head_start_ray_commands", "worker_start_ray_commands",
)  # fmt: skip
_PLACEHOLDER = re.compile(r"FILL_IN_\w+")
_BUCKET_MOUNTS = re.compile(r"\b(mount-s3|s3fs|goofys|gcsfuse|blobfuse2?|rclone)\b")

_Config = dict[str, Any]


def check(path: Path, study: Study | None = None) -> tuple[Fault, ...]:
    """Every fault of a cluster file, by Ray's schema first, then by what Polytune and a study need.

    Paths below `file_mounts` are looked up from `folder_of`, where `ray up` is to be run.
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
    found = tuple(_ray_faults(config)) or (
        *(f for rule in _RULES for f in rule(config, folder_of(path))),
        *(f for rule in _STUDY_RULES if study for f in rule(config, study)),
        *(() if study else _folder_is_mounted(config)),
    )
    placed = (Fault(where=fault.where, message=fault.message, line=_line(node, fault.where)) for fault in found)
    return tuple(dict.fromkeys(placed))


def folder_of(path: Path) -> Path:
    """Where a cluster file's mounts are relative to: here, as Ray has it, or where they all are: beside or above it."""
    mounts = yaml.safe_load(path.read_text(encoding="utf-8")).get("file_mounts") or {}
    here, beside = Path.cwd(), path.resolve().parent
    fitting = (f for f in (here, beside, beside.parent) if all(_source(m, f).exists() for m in mounts.values()))
    return next(fitting, beside)


def is_on_prem(path: Path) -> bool:
    """Whether a cluster file is of machines that are there already."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    return bool(config["provider"]["type"] == "local")


def project_of(path: Path) -> str:
    """The folder on the nodes that holds the project."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    return _remote_root(PACKAGES[0], config, folder_of(path)) or "~/polytune"


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
                message=f"{local} is not there; paths are relative to where `ray up` is to be run, {folder}",
            )


def _source(local: str, folder: Path) -> Path:
    return folder / Path(local).expanduser()


def _shipped(config: _Config, folder: Path) -> Iterator[Fault]:
    """All packages reach the nodes, in one folder, and are installed there; or the nodes have them already."""
    if config.get("docker", {}).get("image"):
        return
    is_local = config["provider"]["type"] == "local"
    if "setup_commands" not in config and not is_local:
        yield Fault(
            where="setup_commands",
            message="nothing installs Polytune, and without setup_commands Ray installs a Ray of its own; add: "
            "pip install --editable ~/polytune, or setup_commands: [] if the nodes have it already",
        )
    setup = " ".join(config.get("setup_commands", []))
    installs = re.search(r"\b(pip install|pip sync|uv sync)\b", setup)
    mounted = any(_remote_root(name, config, folder) for name in PACKAGES)
    if "git+" in setup or "git clone" in setup or not (installs or mounted):
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


def _folder_is_mounted(config: _Config) -> Iterator[Fault]:
    if not _on_prem(config) and not _mounts_anything(config):
        yield Fault(
            where="worker_start_ray_commands",
            message="nothing mounts a file system that all nodes see, and the ledger needs one; mount NFS, EFS or FSx, "
            "or give the study a bucket (and this command the study)",
        )


def _on_prem(config: _Config) -> bool:
    """Whether what nodes share is the site's affair, or KubeRay's."""
    return config["provider"]["type"] in ("local", "kuberay")


def _mounts_anything(config: _Config) -> bool:
    commands = (command for key in _COMMANDS for command in config.get(key, []))
    return any(re.search(r"\bmount\b", command) for command in commands)


def _profiles(config: _Config) -> dict[str, bool]:
    """The types of workers on AWS, and whether each has an instance profile."""
    if config["provider"]["type"] != "aws":
        return {}
    head = config.get("head_node_type")
    types = {name: kind for name, kind in config.get("available_node_types", {}).items() if name != head}
    return {name: bool(kind["node_config"].get("IamInstanceProfile")) for name, kind in types.items()}


def _bucket_is_open(config: _Config, study: Study) -> Iterator[Fault]:
    """Keys of the caller are carried along; without any, nodes use a bucket by the rights of their own profile."""
    if not study.storage.startswith("s3://") or os.environ.get("AWS_ACCESS_KEY_ID"):
        return
    for name in (name for name, has in _profiles(config).items() if not has):
        yield Fault(
            where=f"available_node_types.{name}.node_config",
            message=f"storage is {study.storage}, and workers of this type have no rights to a bucket: Ray gives a "
            "profile to the head alone; add IamInstanceProfile: {Name: ...}, or submit with AWS_ACCESS_KEY_ID set",
        )


def _folder_is_shared(config: _Config, study: Study) -> Iterator[Fault]:
    """A relative folder lies beside the code, which each node of an on-prem cluster has on a disk of its own."""
    if "://" in study.storage:
        return
    yield from _folder_is_mounted(config)
    if not Path(study.storage).is_absolute() and config["provider"]["type"] == "local" and not _mounts_anything(config):
        yield Fault(
            where="",
            message=f"storage is {study.storage}, which each node would have on a disk of its own, for nothing here "
            "mounts a shared folder; set the study's storage to a bucket or to the absolute path of a folder that all "
            "nodes share",
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
_STUDY_RULES: tuple[Callable[[_Config, Study], Iterator[Fault]], ...] = (_bucket_is_open, _folder_is_shared)

__all__ = ["check", "folder_of", "is_on_prem", "project_of"]
