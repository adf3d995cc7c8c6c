"""LoRA and QLoRA (Hu et al. 2021; Dettmers et al. 2023), by peft and bitsandbytes.

One decision: 4-bit layers never leave training mode while their process trains. Their evaluation
forward repacks the weights on some CPUs, after which training on gives garbage, so validation
switches off dropout and leaves those layers alone.
"""

from typing import Any

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import PreTrainedModel

from trainers.model import load_base
from trainers.spec import LoraSettings, Runtime, TrainingSpec


def adapted(spec: TrainingSpec, *, runtime: Runtime) -> Any:
    """The base model with fresh adapters in training mode; their B matrices are zero."""
    torch.manual_seed(spec.seed)
    base = load_base(spec.model, kind=spec.kind, runtime=runtime)
    if spec.kind == "qlora":
        base = prepare_model_for_kbit_training(
            base,
            use_gradient_checkpointing=runtime.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
        )
    elif runtime.gradient_checkpointing:
        base.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        base.enable_input_require_grads()
    assert spec.lora is not None
    model = get_peft_model(base, _config(spec.lora, base))
    model.train()
    return model


def _config(lora: LoraSettings, base: PreTrainedModel) -> LoraConfig:
    """Peft's settings; targets that the model lacks are the user's mistake and are named."""
    leaves = {name.rsplit(".", 1)[-1] for name, _ in base.named_modules()}
    absent = [target for target in lora.targets if target not in leaves]
    if absent:
        raise ValueError(f"lora.targets names {', '.join(absent)}, which {base.config.model_type} does not have")
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        task_type="CAUSAL_LM",
    )


def set_evaluating(model: torch.nn.Module, evaluating: bool) -> None:
    """Switch dropout and the like; 4-bit layers stay in training mode (see this module's docstring)."""
    from bitsandbytes.nn.modules import Linear4bit

    model.train(not evaluating)
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.training = True
