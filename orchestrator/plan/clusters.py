"""What a Ray cluster that is joined offers, and what it could start: asked of it before a study begins.

One decision: a demand is called impossible only where it is known that nothing better can come: on the head, which has
the autoscaler's own file, or has none and so starts nothing. Elsewhere whatever is asked for is waited for, and said.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Ray's cluster launcher leaves it on the head for the autoscaler.
_AUTOSCALERS_FILE = "ray_bootstrap_config.yaml"
_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Nodes of one size: how many there are or could be."""

    cores: float
    gpus: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """The nodes of a cluster, those that could be started too; `complete`: nothing else can come."""

    kinds: tuple[Kind, ...]
    complete: bool


def offers_of(address: str) -> Offers | None:
    """What the cluster at an address offers; None if it does not answer, which joining it will tell."""
    from ray import _raylet
    from ray._private import services

    raylet: Any = _raylet
    look_up: Any = services
    with contextlib.suppress(Exception):
        gcs = raylet.GcsClient(address=look_up.canonicalize_bootstrap_address(address))
        nodes = gcs.get_all_node_info(timeout=_ANSWER_S)
        alive = [node for node in nodes.values() if node.state == 0]
        kinds = [_kind(dict(node.resources_total), count=1) for node in alive]
        on_head = any(
            node.is_head_node and node.node_manager_address == look_up.get_node_ip_address() for node in alive
        )
        if not on_head or "KUBERNETES_SERVICE_HOST" in os.environ:
            return Offers(kinds=tuple(kinds), complete=False)
        config = _autoscalers_config(Path.home() / _AUTOSCALERS_FILE)
        return Offers(kinds=(*kinds, *startable(config)), complete=not may_surprise(config, workers=len(alive) - 1))
    return None


def _autoscalers_config(path: Path) -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def startable(config: dict[str, Any]) -> Iterator[Kind]:
    """The nodes that the autoscaler of a cluster file may start."""
    for name, kind in config.get("available_node_types", {}).items():
        count = kind.get("max_workers", config.get("max_workers", 0))
        if name != config.get("head_node_type") and count and kind.get("resources"):
            yield _kind(kind["resources"], count=count)


def may_surprise(config: dict[str, Any], *, workers: int) -> bool:
    """Whether nodes may come of which the file does not say what they have."""
    if config.get("provider", {}).get("type") == "local":
        return workers < len(config["provider"].get("worker_ips", []))
    head = config.get("head_node_type")
    kinds = (kind for name, kind in config.get("available_node_types", {}).items() if name != head)
    return any(not kind.get("resources") and kind.get("max_workers", 1) for kind in kinds)


def _kind(resources: dict[str, float], *, count: int) -> Kind:
    return Kind(cores=float(resources.get("CPU", 0)), gpus=float(resources.get("GPU", 0)), count=count)


def place_for(kinds: Iterable[Kind], *, cores: float, gpus: float) -> int:
    """How many processes of a size find place at once."""
    return sum(kind.count * _in_one(kind, cores, gpus) for kind in kinds)


def _in_one(kind: Kind, cores: float, gpus: float) -> int:
    return int(min(have // want for have, want in ((kind.cores, cores), (kind.gpus, gpus)) if want > 0))


__all__ = ["Kind", "Offers", "may_surprise", "offers_of", "place_for", "startable"]
