"""What this machine offers to a Ray of our own, and which of a study's settings ask for more.

One decision: what fits no node waits in Ray, silently, for one that may still join. None ever joins a Ray of
our own, so what asks for more than there is is refused before anything starts. On a cluster that is joined, what no
node has or could have is refused where that is known; else it may grow.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from models.shapes import Estimate, Unknown
from orchestrator.ledger.rejudging import Tools, present_tools
from orchestrator.plan.clusters import Offers, offers_of, place_for
from orchestrator.provenance import usable_cores
from orchestrator.study.resources import Resources, cluster_address
from orchestrator.study.stages import STAGES, Holds, StageName
from trainers.methods.table import MethodKind, traits_of


class Work(StrEnum):
    """What holds cores or GPUs by the study's settings."""

    TRAIN = "train"
    TRAIN_BY_SEVERAL = "train full"
    GENERATE = "generate"


_ADD = "lower it, or add a node of that size to the cluster (for `ray up`: to its file, whose max_workers may be 0)"
_OR = "or resources.address to a cluster that has more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is to run on, looked at once by whoever makes a plan.

    `cores` and `gpus` are those that are to be given away, None where a cluster is joined, which may grow. `memory` is
    that of the largest device that a training may get, in bytes. `tools` are the languages that can be run and the
    analyzers that are there. `offers` are the nodes of a cluster that answered.
    """

    cores: int | None = None
    gpus: int | None = None
    memory: Estimate | Unknown
    tools: Tools = field(default_factory=Tools)
    offers: Offers | None = None


UNSEEN = Machine(memory=Unknown(reason="no machine was looked at"))


def this_machine(resources: Resources) -> Machine:
    """What a study would run on."""
    tools = present_tools()
    if address := cluster_address(resources):
        unseen = Unknown(reason="the cluster's devices are not seen from here; set resources.device_memory_gib")
        return Machine(memory=unseen, tools=tools, offers=offers_of(address))
    asks = resources.trial_gpus or resources.generator_gpus
    memory = (
        _gpu_memory()
        if resources.trial_gpus
        else Estimate(value=float(_machine_memory()), basis="this machine's memory")
    )
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        return Machine(memory=memory, tools=tools)
    # Ray takes a second to import, and most studies on a machine of their own ask for no GPU.
    return Machine(cores=usable_cores(), gpus=_gpus() if asks else 0, memory=memory, tools=tools)


def _gpu_memory() -> Estimate | Unknown:
    tool = shutil.which("nvidia-smi")
    command = [tool or "", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60) if tool else None
    sizes = [int(line) for line in done.stdout.split() if line.isdecimal()] if done and not done.returncode else []
    if not sizes:
        return Unknown(reason="no GPU is seen from here; set resources.device_memory_gib")
    return Estimate(value=float(max(sizes) * 2**20), basis="this machine's largest GPU")


def _machine_memory() -> int:
    """What this machine has, or what its container may use of it."""
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(limit)
        if path.is_file() and (text := path.read_text(encoding="utf-8").strip()).isdecimal():
            have = min(have, int(text))
    return have


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
    training = Work.TRAIN_BY_SEVERAL if traits_of(kind).in_many_processes else Work.TRAIN
    by_holder = {Holds.TRAINER: training, Holds.GENERATOR: Work.GENERATE}
    return tuple(by_holder[holds] for stage in due if (holds := STAGES[stage].holds) in by_holder)


def asked_too_much(due: Iterable[Work], resources: Resources, machine: Machine) -> tuple[str, ...]:
    """Each setting by which something that is due could never start on a machine, with what there is and a remedy.

    Following all remedies at once is enough.
    """
    cores, gpus = machine.cores, machine.gpus
    if machine.offers is not None and machine.offers.complete:
        told = (_asked_of_cluster(work, resources, machine.offers) for work in due)
        return tuple(dict.fromkeys(filter(None, told)))
    if cores is None or gpus is None:
        return ()
    found = [text for work in due for text in _asked_by(work, resources, cores=cores, gpus=gpus)]
    return tuple(dict.fromkeys(found))


def _asked_of_cluster(work: Work, resources: Resources, offers: Offers) -> str:
    """What a cluster could never start of some work; nothing if it could."""
    prefix = "generator" if work == Work.GENERATE else "trial"
    cores, gpus = getattr(resources, f"{prefix}_cpus"), getattr(resources, f"{prefix}_gpus")
    by_several = work == Work.TRAIN_BY_SEVERAL
    # Ray Train gives each process a whole one, however little trial_gpus asks for.
    gpus = float(gpus > 0) if by_several else gpus
    place = place_for(offers.kinds, cores=cores, gpus=gpus)
    wanted = resources.full_workers if by_several else 1
    if place >= wanted:
        return ""
    most = max((kind.gpus for kind in offers.kinds), default=0.0)
    if gpus > most:
        have = f"no node of the cluster has or could have {'a GPU' if not most else f'more than {most:g}'}"
        return f"resources.{prefix}_gpus is {getattr(resources, f'{prefix}_gpus'):g}, and {have}; {_ADD}"
    if place:
        each = f"{cores} cores" + (" and a GPU" if gpus else "")
        return f"resources.full_workers is {wanted}, each with {each}, and the cluster has place for {place}; {_ADD}"
    largest = max((kind.cores for kind in offers.kinds if kind.gpus >= gpus), default=0.0)
    beside = f" that has {gpus:g} GPU" if gpus else ""
    return f"resources.{prefix}_cpus is {cores}, and no node{beside} has more than {largest:g} cores; {_ADD}"


def _asked_by(work: Work, resources: Resources, *, cores: int, gpus: int) -> Iterator[str]:
    if work == Work.GENERATE:
        yield from _more_than("generator_cpus", resources.generator_cpus, cores, "core")
        yield from _more_than("generator_gpus", resources.generator_gpus, gpus, "GPU")
        return
    yield from _more_than("trial_cpus", resources.trial_cpus, cores, "core")
    if work == Work.TRAIN:
        yield from _more_than("trial_gpus", resources.trial_gpus, gpus, "GPU")
        return
    workers = resources.full_workers
    each = min(resources.trial_cpus, cores)
    with_cores = f" with resources.trial_cpus {resources.trial_cpus}"
    yield from _more_than("full_workers", workers, cores // each, "core", have=cores, so=with_cores)
    if resources.trial_gpus and not gpus:
        yield from _more_than("trial_gpus", resources.trial_gpus, 0, "GPU")
    elif resources.trial_gpus:
        # Ray Train gives each process a whole one, however little trial_gpus asks for.
        yield from _more_than("full_workers", workers, gpus, "GPU", so=", each on a GPU of its own")


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
