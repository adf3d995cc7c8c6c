"""How a trial's training uses a device, and how it is cut into forward passes there.

One decision: what a study leaves to `auto` is chosen once, before a training is sent out, and from then on it is said.
So what runs, what is halved when memory runs out and what the record tells are the same two settings.
"""

from importlib.util import find_spec

from models.shapes import Unknown
from orchestrator.study.resources import Resources, cluster_address
from orchestrator.study.trial import TrialSpec, processes_of
from trainers.memory import Device, Load, Passes, must_recompute, passes_of

UNSEEN = Device(capacity=Unknown(reason="no device was looked at"))


def load_of(trial: TrialSpec, resources: Resources, passes: Passes) -> Load:
    """How a trial's training uses each of its devices when it is cut so; a pass holds the longest example at least."""
    assert trial.training is not None
    on_cpu = resources.trial_gpus == 0
    # Who computes norms on another machine is not seen from here; without Liger more is taken.
    liger = not on_cpu and not cluster_address(resources) and find_spec("liger_kernel") is not None
    return Load(
        kind=trial.kind,
        micro_tokens=max(passes.micro_tokens, trial.training.max_length),
        rank=trial.lora.rank if trial.lora else 0,
        optimizer_8bit=trial.training.optimizer != "adamw",
        gradient_checkpointing=passes.gradient_checkpointing,
        on_cpu=on_cpu,
        zero_stage=resources.zero_stage if trial.traits.in_many_processes else 0,
        processes=processes_of(trial, resources),
        kernels="liger" if liger else "plain",
        # peft's own layers, which DoRA needs, keep their masks; ours are drawn again.
        keeps_dropout=trial.lora is not None and trial.lora.use_dora and trial.lora.dropout > 0,
        gradient_copies=len(trial.tracks) if trial.training.balance.projection else 1,
        in_32_bits=trial.training.precision == "fp32",
    )


def passes_for(trial: TrialSpec, resources: Resources, *, device: Device = UNSEEN, single: bool = False) -> Passes:
    """What the study says, and what it leaves to be chosen by what the device holds.

    Args:
        trial: One with a training.
        resources: What the study says.
        device: What one process of the training gets.
        single: Whether the model's family wants one example a pass.
    """
    assert trial.training is not None
    longest = trial.training.max_length
    share = longest if single else _share_of_batch(trial, resources)
    said = None if resources.gradient_checkpointing == "auto" else resources.gradient_checkpointing
    if resources.micro_tokens == "auto":
        load = load_of(trial, resources, Passes(micro_tokens=longest, gradient_checkpointing=False))
        return passes_of(trial.model, load, device=device, longest=longest, batch_tokens=share, checkpointing=said)
    passes = Passes(
        micro_tokens=max(1, min(resources.micro_tokens, max(longest, share))), gradient_checkpointing=bool(said)
    )
    if said is None and must_recompute(trial.model, load_of(trial, resources, passes), device=device):
        return Passes(micro_tokens=passes.micro_tokens, gradient_checkpointing=True)
    return passes


def _share_of_batch(trial: TrialSpec, resources: Resources) -> int:
    """Tokens of a global batch that one process computes, at most."""
    assert trial.training is not None
    longest, tokens = trial.training.max_length, trial.training.batch_tokens
    batch = (trial.training.batch_size or 1) * longest if tokens is None else tokens + longest
    return -(-batch // processes_of(trial, resources))


def saying(resources: Resources, passes: Passes) -> Resources:
    """A study's resources with what was chosen in place of what it left open."""
    said = {"micro_tokens": passes.micro_tokens, "gradient_checkpointing": passes.gradient_checkpointing}
    return resources.model_copy(update=said)


__all__ = ["UNSEEN", "load_of", "passes_for", "saying"]
