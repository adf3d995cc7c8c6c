"""Fused kernels for a base model's norms, rotary positions and gated MLPs, by liger-kernel where it is installed.

One decision: they are put on where they can run and said in what was put on, never asked for: they change speed and
memory, and results by rounding alone. The loss stays ours, so nothing of theirs that touches the head is taken.
"""

import importlib.util
import inspect
import logging
from dataclasses import dataclass
from typing import Any

import torch

WANTED = ("rope", "rms_norm", "swiglu", "geglu")
"""What is taken of liger-kernel, by its own names; a family has some of them."""

_NOT_WANTED = ("cross_entropy", "fused_linear_cross_entropy")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """Which kernels a model got, of which version of liger-kernel; `why_not` is why it got none."""

    kernels: tuple[str, ...] = ()
    version: str | None = None
    why_not: str | None = None


def apply_kernels(model: torch.nn.Module) -> Applied:
    """Put fused kernels on a base model, in place, before adapters are.

    A model on a CPU, a family that liger-kernel does not know and a machine without it are left as they are. Rotary
    positions are replaced for the family's whole module, so a process that judges with the same family on a CPU
    must not have called this.
    """
    if next(model.parameters()).device.type != "cuda":
        return Applied(why_not="the model is not on a GPU")
    if importlib.util.find_spec("liger_kernel") is None:
        return Applied(why_not="liger-kernel is not installed; get it with: pip install 'polytune[gpu]'")
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN

    return apply_known(model, MODEL_TYPE_TO_APPLY_LIGER_FN)


def apply_known(model: torch.nn.Module, known: dict[str, Any]) -> Applied:
    """Put on what a table of functions, by a model's type, has for a model."""
    kind = getattr(getattr(model, "config", None), "model_type", "")
    if kind not in known:
        return Applied(why_not=f"liger-kernel has no kernels for {kind}")
    takes = inspect.signature(known[kind]).parameters
    kernels = tuple(name for name in WANTED if name in takes)
    options = dict.fromkeys(kernels, True) | {name: False for name in _NOT_WANTED if name in takes}
    try:
        known[kind](model=model, **options)
    except (AttributeError, ImportError, TypeError) as error:  # A version of transformers that it does not fit.
        log.warning("liger-kernel could not be put on %s: %s", kind, error)
        return Applied(why_not=f"liger-kernel failed on {kind}: {error}")
    return Applied(kernels=kernels, version=_version())


def _version() -> str:
    from importlib.metadata import version

    return version("liger-kernel")
