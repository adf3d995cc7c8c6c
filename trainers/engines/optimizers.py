"""Optimizers by the name that a study gives them.

One decision: bitsandbytes is imported only for an optimizer of its own.
"""

from collections.abc import Iterable
from typing import Any

import torch

from trainers.spec import TrainingSettings


def optimizer_for(parameters: Iterable[torch.nn.Parameter], *, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW, or bitsandbytes' with 8-bit states (tensors under 4096 elements keep 32-bit ones)."""
    options: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **options)
    from bitsandbytes.optim.adamw import AdamW8bit

    optimizer: torch.optim.Optimizer = AdamW8bit(parameters, **options)
    return optimizer
