"""Optimizers by the name that a study gives them.

One decision: bitsandbytes is imported only for an optimizer of its own.
"""

from collections.abc import Sequence
from typing import Any

import torch

from trainers.spec import TrainingSettings

# bitsandbytes' classes; the paged one moves its states to the host where the GPU has no room for them.
_BITSANDBYTES = {"adamw_8bit": "AdamW8bit", "paged_adamw_8bit": "PagedAdamW8bit"}


def optimizer_for(parameters: Sequence[torch.nn.Parameter], *, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW, or bitsandbytes' with 8-bit states (tensors under 4096 elements keep 32-bit ones).

    On a GPU AdamW is one fused kernel for all weights.
    """
    options: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    name = _BITSANDBYTES.get(settings.optimizer)
    if name is None:
        on_gpu = all(parameter.is_cuda for parameter in parameters)
        return torch.optim.AdamW(parameters, fused=on_gpu, **options)
    import bitsandbytes.optim

    optimizer: torch.optim.Optimizer = getattr(bitsandbytes.optim, name)(parameters, **options)
    return optimizer
