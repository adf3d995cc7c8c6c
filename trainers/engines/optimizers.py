"""Optimizers by the name that a study gives them.

One decision: bitsandbytes is imported only for an optimizer of its own.
"""

from collections.abc import Iterable
from typing import Any

import torch

from trainers.spec import TrainingSettings


def optimizer_for(parameters: Iterable[torch.nn.Parameter], *, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW, or bitsandbytes' with 8-bit states (tensors under 4096 elements keep 32-bit ones), paged or not."""
    trained = list(parameters)
    options: dict[str, Any] = {
        "lr": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "betas": (settings.adam_beta1, settings.adam_beta2),
    }
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(trained, fused=trained[0].is_cuda, **options)
    from bitsandbytes.optim import adamw

    kind = {"adamw_8bit": adamw.AdamW8bit, "paged_adamw_8bit": adamw.PagedAdamW8bit}[settings.optimizer]
    optimizer: torch.optim.Optimizer = kind(trained, **options)
    return optimizer
