"""Adapters that start from the base's largest singular directions (PiSSA, Meng et al. 2024), saved as plain ones.

The start takes its directions out of the base, W = W' + s B0 A0, so the trained A and B fit only that changed base.

One decision: what is saved fits the base as it came. With A0 and B0 below and beside A and B, of twice the rank,
s (B A - B0 A0) is the change alone (that of the paper's appendix), and no reader need know how it was started.
"""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModelForCausalLM, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor

_FILE = "adapter_model.safetensors"


class PissaModel(PeftModelForCausalLM):
    """A peft model whose adapters start so."""

    def __init__(self, base: torch.nn.Module, config: LoraConfig) -> None:
        super().__init__(base, config)
        self._start = {name: value.detach().cpu().clone() for name, value in get_peft_model_state_dict(self).items()}

    def save_pretrained(self, save_directory: str, *_: Any, **__: Any) -> None:
        """Write the adapter as a plain one of twice the rank; see `load_adapter`."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        now = {name: value.detach().cpu() for name, value in get_peft_model_state_dict(self).items()}
        config: Any = self.peft_config["default"]
        # Scales are alpha / rank, or by its root: the saved B makes up for what twice the rank would take.
        makes_up = 2**0.5 if config.use_rslora else 2.0
        plain = {name: _beside(name, value, self._start[name], makes_up) for name, value in now.items()}
        save_file(plain, folder / _FILE, metadata={"format": "pt"})
        _doubled(config).save_pretrained(str(folder))


def _beside(name: str, now: Tensor, start: Tensor, makes_up: float) -> Tensor:
    if "lora_A" in name:
        return torch.cat([now, start], dim=0).contiguous()
    return (torch.cat([now, -start], dim=1) * makes_up).contiguous()


def _doubled(config: Any) -> LoraConfig:
    """The settings of the saved adapter."""
    plain = LoraConfig(**{**config.to_dict(), "init_lora_weights": True})
    plain.r, plain.rank_pattern = 2 * config.r, {name: 2 * rank for name, rank in config.rank_pattern.items()}
    plain.inference_mode = True
    return plain
