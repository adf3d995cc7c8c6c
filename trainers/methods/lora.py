"""LoRA and QLoRA (Hu et al. 2021; Dettmers et al. 2023), by peft and bitsandbytes.

One decision: whether the base is quantised is the table's to say, so that what is true of 4-bit weights is done for
whatever kind holds them.
"""

from typing import Any

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import PreTrainedModel

from models.loading import device_of, load_base
from trainers.methods.table import traits_of
from trainers.spec import LoraSettings, Runtime, TrainingSpec


def adapted(spec: TrainingSpec, *, runtime: Runtime) -> Any:
    """The base model with fresh adapters in training mode; their B matrices are zero."""
    device = device_of(runtime.device)
    precision = traits_of(spec.kind).trained_precision_on(device.type, spec.settings.precision)
    products = torch.float32 if spec.settings.precision == "fp32" else torch.bfloat16
    base = load_base(spec.model, precision=precision, device=device, products=products)
    if precision == "nf4":
        base = prepare_model_for_kbit_training(
            base,
            use_gradient_checkpointing=runtime.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
        )
    elif runtime.gradient_checkpointing:
        base.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        base.enable_input_require_grads()
    assert spec.lora is not None, "a TrainingSpec of an adapter has lora settings"
    torch.manual_seed(spec.seed)
    model = get_peft_model(base, _config(spec.lora, base))
    model.train()
    return model


def join(model: Any, spec: TrainingSpec, *, name: str) -> None:
    """Put one adapter more on a base that has adapters already; it begins as it would alone."""
    assert spec.lora is not None, "a TrainingSpec of an adapter has lora settings"
    torch.manual_seed(spec.seed)
    model.add_adapter(name, _config(spec.lora, model.get_base_model()))


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
