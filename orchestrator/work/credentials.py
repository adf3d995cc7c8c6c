"""The driver's credentials to workers on other nodes, without writing them anywhere.

One decision: Ray's runtime environments are not used, since Ray shows and logs them. An actor that lives as
long as the driver holds the values in its memory, and a worker asks it before it needs them; values cross as
arguments and results of calls, which Ray keeps neither in its state nor in its logs. On the driver's own
machine workers inherit its environment, and no actor is needed. Drivers that share a cluster have an actor
each, named by their Ray job: one for all would give a study another's tokens, and end with whoever made it.
"""

import os
from collections.abc import Mapping
from typing import Any

from orchestrator.redaction import secrets

_NAMESPACE = "polytune"
# What a study may need of the environment that it is asked for in, by what it needs it for. It is the one list:
# `polytune submit` carries these names to the head, and the driver's workers are given them.
HUB = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT")
TRACKING = (
    "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN",
)  # fmt: skip
BUCKETS = {
    "s3": (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ALLOW_HTTP",
    ),
    "gs": ("GOOGLE_SERVICE_ACCOUNT_KEY",),
}  # fmt: skip
# What else names the place that a secret is for, and is none itself.
_PLACES = ("AWS_", *(name for names in (HUB, TRACKING, *BUCKETS.values()) for name in names))


class _Keeper:
    """Holds the environment variables that workers need."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}

    def hold(self, values: Mapping[str, str]) -> None:
        self._held = dict(values)

    def give(self) -> dict[str, str]:
        return self._held


def carried(storage: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment a study needs wherever it runs.

    A bucket's keys go with a study that lies in such a bucket and with no other: a person's keys to a cloud may do
    much more than read a bucket.
    """
    names = (*HUB, *TRACKING, *BUCKETS.get(storage.partition("://")[0], ()))
    return {name: environment[name] for name in names if environment.get(name)}


def share() -> None:
    """Let this driver's workers have its credentials; to be called once Ray is joined."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    found = secrets() | {name: value for name, value in os.environ.items() if name.startswith(_PLACES)}
    if found:
        # Beside the driver, for it must not be lost with a node that the driver survives.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(num_cpus=0)(_Keeper).options(
            name=_name(), namespace=_NAMESPACE, scheduling_strategy=here
        )
        # Not by the constructor, whose arguments Ray's control store keeps.
        keeper: Any = actor.remote()
        ray.get(keeper.hold.remote(found))
        _ALIVE.append(keeper)


def take() -> None:
    """Add the driver's credentials to a worker's environment; its node's own come first."""
    import ray

    try:
        keeper: Any = ray.get_actor(_name(), namespace=_NAMESPACE)
    except ValueError:
        # The driver had nothing to share: its own actor lives as long as it does, and so as this worker.
        return
    held: dict[str, str] = ray.get(keeper.give.remote())
    for name, value in held.items():
        os.environ.setdefault(name, value)


def _name() -> str:
    """What the actor of this process's driver is called; a worker belongs to its driver's job."""
    import ray

    return f"polytune-credentials-{ray.get_runtime_context().get_job_id()}"


# An actor ends when its last handle does.
_ALIVE: list[object] = []
