"""Full fine-tuning: all weights of a model.

One decision: what this needs of a machine is told before anything is loaded.
"""

import logging
import shutil

import torch
from transformers import PreTrainedModel

from models.kernels import Applied, apply_kernels
from models.loading import device_of, load_base
from trainers.methods.table import traits_of
from trainers.spec import Runtime, TrainingSpec

log = logging.getLogger(__name__)


def missing_for_full() -> str | None:
    """Why full fine-tuning cannot run on this machine, with the remedy; None if it can."""
    if shutil.which("g++") is None:
        return "no g++, which DeepSpeed compiles with; install one with: apt-get install g++"
    return None


def whole(spec: TrainingSpec, *, runtime: Runtime) -> tuple[PreTrainedModel, Applied]:
    """The base model with all its weights in training mode, and the kernels that were put on it."""
    torch.manual_seed(spec.seed)
    device = device_of(runtime.device)
    precision = traits_of(spec.kind).trained_precision_on(device.type, spec.settings.precision)
    model = load_base(spec.model, precision=precision, device=device)
    kernels = apply_kernels(model)
    log.info("kernels: %s", kernels)
    if runtime.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    return model, kernels
