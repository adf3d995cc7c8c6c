"""What this machine offers to a Ray of our own, and which of a study's settings ask for more.

One decision: what fits no node waits in Ray, silently, for one that may still join. None ever joins a Ray of
our own, so what asks for more than there is is refused before anything starts. On a cluster that is joined
nothing is: it may grow.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from orchestrator.provenance import usable_cores
from orchestrator.study.resources import Resources, cluster_address
from orchestrator.study.stages import StageName
from trainers.methods.table import MethodKind, traits_of

# What holds cores or GPUs by the study's settings: a training in one process, a full fine-tuning, a generation.
Work = Literal["train", "train full", "generate"]
_OR = "or resources.address to a cluster that has more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """How many cores and GPUs there are to be given away."""

    cores: int
    gpus: int


def this_machine(resources: Resources) -> Machine | None:
    """What a Ray of a study's own would offer; None where the study runs on one that is there already."""
    ray = sys.modules.get("ray")
    if cluster_address(resources) or (ray is not None and ray.is_initialized()):
        return None
    # Ray takes a second to import, and most studies on a machine of their own ask for no GPU.
    asks = resources.trial_gpus or resources.generator_gpus
    return Machine(cores=usable_cores(), gpus=_gpus() if asks else 0)


def _gpus() -> int:
    """The GPUs that Ray will find: those that are there, less what `CUDA_VISIBLE_DEVICES` and its like hide."""
    from ray._private.accelerators import get_accelerator_manager_for_resource

    manager = get_accelerator_manager_for_resource("GPU")
    if manager is None:
        return 0
    there, visible = manager.get_current_node_num_accelerators(), manager.get_current_process_visible_accelerator_ids()
    return there if visible is None else min(there, len(visible))


def works_of(kind: MethodKind, due: Iterable[StageName]) -> tuple[Work, ...]:
    """What of a trial's due stages holds what the study's settings say; the others hold a core, which is there."""
    found: list[Work] = []
    for stage in due:
        if stage == "train":
            found.append("train full" if traits_of(kind).in_many_processes else "train")
        elif stage == "generate":
            found.append("generate")
    return tuple(found)


def asked_too_much(due: Iterable[Work], resources: Resources, machine: Machine | None) -> tuple[str, ...]:
    """Each setting by which something that is due could never start on a machine, with what there is and a remedy.

    Following all remedies at once is enough.
    """
    if machine is None:
        return ()
    found = [text for work in due for text in _asked_by(work, resources, machine)]
    return tuple(dict.fromkeys(found))


def _asked_by(work: Work, resources: Resources, machine: Machine) -> Iterator[str]:
    if work == "generate":
        yield from _more_than("generator_cpus", resources.generator_cpus, machine.cores, "core")
        yield from _more_than("generator_gpus", resources.generator_gpus, machine.gpus, "GPU")
        return
    yield from _more_than("trial_cpus", resources.trial_cpus, machine.cores, "core")
    if work == "train":
        yield from _more_than("trial_gpus", resources.trial_gpus, machine.gpus, "GPU")
        return
    workers = resources.full_workers
    cores = min(resources.trial_cpus, machine.cores)
    with_cores = f" with resources.trial_cpus {resources.trial_cpus}"
    yield from _more_than("full_workers", workers, machine.cores // cores, "core", have=machine.cores, so=with_cores)
    if resources.trial_gpus and not machine.gpus:
        yield from _more_than("trial_gpus", resources.trial_gpus, 0, "GPU")
    elif resources.trial_gpus:
        # Ray Train gives each process a whole one, however little trial_gpus asks for.
        yield from _more_than("full_workers", workers, machine.gpus, "GPU", so=", each on a GPU of its own")


def _more_than(
    setting: str, value: float, most: int, unit: str, *, have: int | None = None, so: str = ""
) -> Iterator[str]:
    """A refusal, if a setting is above the `most` that a machine of `have` units allows."""
    if value > most:
        have = most if have is None else have
        there = f"{have or 'no'} {unit}{'' if have < 2 else 's'}"
        lower = f"set it to {most} at most" if most else "set it to 0"
        yield f"resources.{setting} is {value:g}{so}, and this machine has {there}; {lower}, {_OR}"


__all__ = ["Machine", "Work", "asked_too_much", "this_machine", "works_of"]
