"""What stages are likely to take: memory, disk, hours and cost, as far as shapes and earlier records tell.

One decision: hours come from records of the same model and method, scaled by the amount of work. Where there is none
they are guessed and marked so (`plan.guesses`), or `Unknown` with the reason; neither refuses or stops anything.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from models.shapes import Estimate, Unknown, shape_of
from orchestrator.plan.families import known_rows
from orchestrator.plan.guesses import Guesser
from orchestrator.plan.history import History
from orchestrator.plan.machine import Machine, this_machine
from orchestrator.provenance import usable_cores
from orchestrator.study.passes import load_of, passes_for
from orchestrator.study.resources import Resources, cluster_address
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec, units_held
from trainers.memory import (
    Device,
    Kernels,
    Load,
    Passes,
    checkpoint_size,
    comparable,
    training_memory,
    weights_size,
)
from trainers.methods.table import MethodKind

GIB = 2**30
# Two are kept, and the older one of them goes when a third is whole.
CHECKPOINTS_AT_ONCE = 3


def memory_of(trial: TrialSpec, passes: Passes | None, resources: Resources, history: History) -> Estimate | Unknown:
    """Bytes that a trial's training takes on each device when it is cut so, corrected by what like trainings took."""
    if passes is None:
        return Unknown(reason="nothing is trained")
    load = load_of(trial, resources, passes)
    return training_memory(trial.model, load, measured=measured_of(trial, load, history))


def chosen_passes(trial: TrialSpec, resources: Resources, history: History, machine: Machine) -> Passes | None:
    """How a trial's training is cut into passes on a machine; None if nothing is trained."""
    if trial.training is None:
        return None
    load = load_of(trial, resources, Passes(micro_tokens=1, gradient_checkpointing=False))
    device = Device(capacity=_room(resources, machine), measured=measured_of(trial, load, history))
    return passes_for(trial, resources, device=device, single=known_rows(trial.model) == "single")


def passes_on_this_machine(resources: Resources, history: History) -> Callable[[TrialSpec], Passes | None]:
    """How trainings are cut into forward passes here, as a plan says it, by what the ledger knew when it was asked."""
    machine = this_machine(resources)

    def passes(trial: TrialSpec) -> Passes | None:
        return chosen_passes(trial, resources, history, machine)

    return passes


def _room(resources: Resources, machine: Machine) -> Estimate | Unknown:
    """Bytes that one training process gets: its share of a GPU, or of a machine that others train on beside it."""
    whole = device_memory(resources, machine)
    if isinstance(whole, Unknown):
        return whole
    if resources.trial_gpus:
        share = min(1.0, resources.trial_gpus)
    elif resources.trial_memory_mb is not None:
        share = min(1.0, resources.trial_memory_mb * 2**20 / whole.value)
    else:
        share = 1.0 if cluster_address(resources) else min(1.0, resources.trial_cpus / usable_cores())
    return Estimate(value=whole.value * share, basis=whole.basis)


def measured_of(trial: TrialSpec, load: Load, history: History) -> tuple[tuple[float, float], ...]:
    """Of each training of this model and kind on such a device: bytes by the formula, and its measured peak."""
    shape = shape_of(trial.model)
    if isinstance(shape, Unknown):
        return ()
    return tuple(
        (comparable(shape, _load_as_run(load, training, facts)), float(peak))
        for training, facts in history.trainings(trial, on_gpu=not load.on_cpu)
        if isinstance(peak := facts.get("peak_memory_bytes"), int | float)
    )


def _load_as_run(load: Load, training: Mapping[str, Any], facts: Mapping[str, Any]) -> Load:
    """How a training on record used its device."""
    settings, lora, runtime = training["settings"], training.get("lora") or {}, facts["runtime"]
    allowed = runtime.get("micro_tokens") or runtime["micro_batch"] * settings["max_length"]
    footing = facts.get("footing") or {}
    kernels: Kernels = "liger" if footing.get("kernels") else "plain"
    return replace(
        load,
        # The longest row that there was; how long one might have been says nothing of what it took.
        micro_tokens=footing.get("longest_row") or allowed,
        kernels=kernels if footing else load.kernels,
        in_32_bits=settings.get("precision") == "fp32",
        rank=lora.get("rank", 0),
        optimizer_8bit=settings["optimizer"] != "adamw",
        gradient_checkpointing=runtime["gradient_checkpointing"],
        zero_stage=runtime["zero_stage"] if load.zero_stage else 0,
        processes=runtime.get("processes", 1),
        keeps_dropout=bool(lora.get("use_dora")) and lora.get("dropout", 0) > 0,
        gradient_copies=1,
    )


def disk_of(
    trial: TrialSpec,
    due: Iterable[StageName],
    history: History,
    resources: Resources,
    guesser: Guesser | None = None,
) -> Estimate | Unknown:
    """Bytes that a trial's due stages write: as earlier ones did, the weights by their shape, or guessed."""
    total, basis, guess = 0.0, "", False
    for stage in due:
        known = history.disk(trial, stage)
        if isinstance(known, Unknown) and stage == StageName.TRAIN:
            known = _weights(trial)
        elif isinstance(known, Unknown) and guesser is not None:
            known = guesser.disk(trial, stage)
        if isinstance(known, Estimate):
            total, basis, guess = total + known.value, basis or known.basis, guess or known.guess
        elif stage == StageName.TRAIN:
            return known
    if not basis:
        return Unknown(reason="nothing like it is in the ledger yet")
    return Estimate(value=total, basis=basis, guess=guess)


def _weights(trial: TrialSpec) -> Estimate | Unknown:
    in_32_bits = trial.training is not None and trial.training.precision == "fp32"
    rank = trial.lora.rank if trial.lora else 0
    return weights_size(trial.model, kind=trial.kind, rank=rank, in_32_bits=in_32_bits)


def checkpoints_of(trial: TrialSpec, resources: Resources) -> Estimate | Unknown:
    """Bytes of what a trial's training leaves to go on from, at most, until it is recorded.

    These are the last two and one that is being written, with the best weights in each where it validates.
    """
    if trial.training is None:
        return Unknown(reason="nothing is trained")
    load = load_of(trial, resources, Passes(micro_tokens=1, gradient_checkpointing=False))
    once = checkpoint_size(trial.model, load)
    best = _weights(trial)
    if isinstance(once, Unknown) or isinstance(best, Unknown):
        return once
    each = once.value + (best.value if trial.training.validate_every else 0.0)
    return Estimate(value=CHECKPOINTS_AT_ONCE * each, basis=once.basis)


def cost_of(
    trial: TrialSpec, hours: Mapping[StageName, Estimate | Unknown], resources: Resources
) -> Estimate | Unknown:
    """USD of a trial's due stages: what each holds, for as long as it is estimated to take."""
    if resources.price_per_hour is None:
        return Unknown(reason="no price is known; set resources.price_per_hour")
    total, guess = 0.0, False
    for stage, value in hours.items():
        if isinstance(value, Unknown):
            return value
        guess = guess or value.guess
        total += value.value * units_held(trial, stage, resources) * resources.price_per_hour
    return Estimate(value=total, basis="from hours and resources.price_per_hour", guess=guess)


def device_memory(resources: Resources, machine: Machine) -> Estimate | Unknown:
    """Bytes of the largest device that a training may get: a GPU's, or a whole machine's without GPUs."""
    if resources.device_memory_gib is not None:
        return Estimate(value=resources.device_memory_gib * GIB, basis="resources.device_memory_gib")
    return machine.memory


def refusal(trial: TrialSpec, resources: Resources, capacity: Estimate | Unknown) -> str:
    """Why a training can run on no device, with the numbers and what would fit; nothing if it can, or none knows.

    A training that runs out of memory is tried again with half as many tokens a pass, so what counts is what it
    takes with one example a pass.
    """
    if trial.training is None or isinstance(capacity, Unknown):
        return ""
    recomputing = resources.gradient_checkpointing is not False
    longest = trial.training.max_length
    least = load_of(trial, resources, Passes(micro_tokens=longest, gradient_checkpointing=recomputing))
    need = training_memory(trial.model, least)
    if isinstance(need, Unknown) or need.value <= capacity.value:
        return ""
    fitting = [f"{what} ({size / GIB:.1f} GiB)" for what, size in _others(trial, least) if size <= capacity.value]
    remedy = (
        f"would fit: {', or '.join(fitting)}" if fitting else f"a device of {need.value / GIB:.1f} GiB would fit it"
    )
    return (
        f"{trial.label} needs at least {need.value / GIB:.1f} GiB on one device ({need.basis}), and the largest has "
        f"{capacity.value / GIB:.1f} GiB ({capacity.basis}); {remedy}"
    )


def _others(trial: TrialSpec, least: Load) -> Iterable[tuple[str, float]]:
    """Ways to train the model on less, with the bytes that each takes on one device."""
    rank = trial.lora.rank if trial.lora else 8
    ways = []
    if not least.gradient_checkpointing:
        ways.append(("resources.gradient_checkpointing: true", replace(least, gradient_checkpointing=True)))
    if trial.traits.in_many_processes:
        for processes in (2, 4, 8):
            if processes > least.processes:
                name = f"resources.zero_stage: 3 with resources.full_workers: {processes}"
                ways.append((name, replace(least, zero_stage=3, processes=processes)))
        ways.append((f"kind: {MethodKind.LORA}", replace(least, kind=MethodKind.LORA, rank=rank, processes=1)))
    if not trial.traits.is_quantised:
        ways.append((f"kind: {MethodKind.QLORA}", replace(least, kind=MethodKind.QLORA, rank=rank, processes=1)))
    for name, load in ways:
        size = training_memory(trial.model, load)
        if isinstance(size, Estimate):
            yield name, size.value


__all__ = [
    "GIB",
    "checkpoints_of",
    "chosen_passes",
    "cost_of",
    "device_memory",
    "disk_of",
    "memory_of",
    "passes_on_this_machine",
    "refusal",
]
