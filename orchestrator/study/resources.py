"""Where and how a study runs: the one block of a study file that is meant to change no number.

One decision: a cluster that is named in the environment counts as one that the study names, so that one file runs
on a laptop and, through `ray submit`, on a cluster.
"""

import os
from typing import Annotated, Literal

from pydantic import Field

from tasks.records import Settings


class Resources(Settings):
    """Where and how a study runs. Nothing here is meant to change a number, and no stage's key depends on it."""

    address: str | None = Field(default=None, examples=["auto"])
    """Address of a running Ray cluster to join. The environment's `RAY_ADDRESS` counts as one. Without either the
    study starts a Ray of its own on this machine."""

    trial_cpus: int = Field(default=1, ge=1, examples=[4])
    """Cores of each training process."""

    trial_gpus: float = Field(default=0.0, ge=0, examples=[1])
    """GPUs of each training process; a fraction lets trainings of adapters share one."""

    trial_memory_mb: int | None = Field(default=None, ge=1, examples=[16_000])
    """MiB of host memory of a training process. One that would take more fails for want of memory, instead of having
    its node killed."""

    full_workers: int = Field(default=1, ge=1, examples=[4])
    """Processes that share a full fine-tuning."""

    micro_tokens: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(default="auto", examples=[8192])
    """Tokens that one forward pass of a training holds; `auto` is as many as the device holds by the planner's word, up
    to 65536 with a GPU and 4096 without, or 8192 where nothing is known of the device. Where memory runs out they are
    halved. A batch is cut into passes, which changes no number."""

    checkpoint_minutes: float = Field(default=10.0, ge=0, examples=[5])
    """Minutes after which a training leaves what another process needs to go on exactly where it was."""

    zero_stage: Literal[0, 1, 2, 3] = 2
    """DeepSpeed's ZeRO stage of full fine-tunings: what is split over processes (nothing; optimizer states; gradients
    too; weights too)."""

    gradient_checkpointing: Literal["auto"] | bool = Field(default="auto", examples=[True])
    """Whether activations are computed again in the backward pass, which saves memory and takes time; `auto` does so
    where passes would be short without."""

    generators: int = Field(default=1, ge=1, examples=[2])
    """Processes that write completions at once."""

    generator_cpus: int = Field(default=1, ge=1, examples=[2])
    """Cores of each process that writes completions."""

    generator_gpus: float = Field(default=0.0, ge=0, examples=[1])
    """GPUs of each process that writes completions."""

    generation_batch: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(default="auto", examples=[64])
    """Prompts that are answered at once by one process; `auto` is as many as memory holds, at most 64 without a GPU and
    256 with one. It changes no answer."""

    object_store_mb: int = Field(default=256, ge=80, examples=[1024])
    """MiB of shared memory of a Ray that the study starts itself."""

    price_per_hour: float | None = Field(default=None, ge=0, examples=[2.5])
    """USD for an hour of one GPU, or of one core in a study without GPUs. Without it no costs are shown."""

    device_memory_gib: float | None = Field(default=None, gt=0, examples=[80])
    """GiB of the largest GPU, or of the largest machine in a study without GPUs. It is looked up where it can be; a
    training that fits nowhere is refused before anything starts."""

    checkpoints_gib: float | None = Field(default=None, gt=0, examples=[200])
    """GiB that the weights of all trainings in the storage may take together, with what those under way leave to go on
    from; no training begins that would pass it."""


def cluster_address(resources: Resources) -> str | None:
    """Where the cluster is that a study joins; None if it starts a Ray of its own."""
    return resources.address or os.environ.get("RAY_ADDRESS")


__all__ = ["Resources", "cluster_address"]
