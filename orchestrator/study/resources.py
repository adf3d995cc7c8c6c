"""Where and how a study runs: the one block of a study file that is meant to change no number.

One decision: a cluster that is named in the environment counts as one that the study names, so that one file runs
on a laptop and, through `ray submit`, on a cluster.
"""

import os
from typing import Annotated, Literal

from pydantic import Field

from tasks.records import Settings


class Resources(Settings):
    """Where and how it runs; nothing here is meant to change a number.

    Counts are by trial: `trial_cpus` and `trial_gpus` for each training process, `full_workers`
    processes for a full fine-tuning. `generators` tasks at once write completions, each on
    `generator_cpus` and `generator_gpus`. `address`, or the environment's `RAY_ADDRESS`, joins a
    running Ray cluster. A training process that
    would take more than `trial_memory_mb` of host memory fails for want of it, instead of having its node killed.

    `micro_tokens` is how many tokens one forward pass of a training holds, `auto` for as many as are safe.
    Every `checkpoint_minutes` a training leaves what another process needs to go on where it was.

    `price_per_hour` is in USD for one GPU, or for one core in a study without GPUs. `device_memory_gib`
    is the memory of the largest GPU, or of the largest machine in a study without GPUs; it is looked up
    where it can be. `checkpoints_gib` is how much the weights of all trainings in the storage may take together:
    no training begins that would pass it.
    """

    address: str | None = None
    trial_cpus: int = Field(default=1, ge=1)
    trial_gpus: float = Field(default=0.0, ge=0)
    trial_memory_mb: int | None = Field(default=None, ge=1)
    full_workers: int = Field(default=1, ge=1)
    micro_tokens: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    checkpoint_minutes: float = Field(default=10.0, ge=0)
    zero_stage: Literal[0, 1, 2, 3] = 2
    gradient_checkpointing: bool = False
    generators: int = Field(default=1, ge=1)
    generator_cpus: int = Field(default=1, ge=1)
    generator_gpus: float = Field(default=0.0, ge=0)
    generation_batch: int = Field(default=32, ge=1)
    object_store_mb: int = Field(default=256, ge=80)
    price_per_hour: float | None = Field(default=None, ge=0)
    device_memory_gib: float | None = Field(default=None, gt=0)
    checkpoints_gib: float | None = Field(default=None, gt=0)


def cluster_address(resources: Resources) -> str | None:
    """Where the cluster is that a study joins; None if it starts a Ray of its own."""
    return resources.address or os.environ.get("RAY_ADDRESS")


__all__ = ["Resources", "cluster_address"]
