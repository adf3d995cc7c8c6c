"""LoRA and QLoRA (Hu et al. 2021; Dettmers et al. 2023): adapters as peft makes, names and saves them.

One decision: whether the base is quantised is the table's to say, so that what is true of 4-bit weights is done for
whatever kind holds them. The base is prepared here and not by peft, which would hold the embeddings of a 4-bit base in
32 bits and turn its whole residual stream into 32 bits with them.
"""

import logging
from collections.abc import Iterable
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from models.kernels import Applied, apply_kernels
from models.loading import device_of, load_base
from models.projections import ALL_LINEAR, linear_names
from trainers.methods.adapted import adapt
from trainers.methods.dropout import DropoutKey
from trainers.methods.pissa import PissaModel
from trainers.methods.table import traits_of
from trainers.spec import LoraSettings, Runtime, TrainingSpec

log = logging.getLogger(__name__)


def adapted(spec: TrainingSpec, *, runtime: Runtime, key: DropoutKey) -> Any:
    """The base model with fresh adapters in training mode, which change nothing yet; dropout is drawn by `key`."""
    assert spec.lora is not None, "a TrainingSpec of an adapter has lora settings"
    base, _ = frozen_base(spec, runtime=runtime)
    return with_adapters(base, spec.lora, seed=spec.seed, key=key)


def frozen_base(spec: TrainingSpec, *, runtime: Runtime) -> tuple[PreTrainedModel, Applied]:
    """The base model as adapters are put on it, and the kernels that it got."""
    device = device_of(runtime.device)
    precision = traits_of(spec.kind).trained_precision_on(device.type, spec.settings.precision)
    products = torch.float32 if spec.settings.precision == "fp32" else torch.bfloat16
    base = load_base(spec.model, precision=precision, device=device, products=products)
    if products is torch.float32:
        _in_32_bits(base.parameters())
    kernels = apply_kernels(base)
    log.info("kernels: %s", kernels)
    if runtime.gradient_checkpointing:
        # Non-reentrant, so it needs no input that wants a gradient.
        base.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    return base, kernels


def with_adapters(base: PreTrainedModel, lora: LoraSettings, *, seed: int, key: DropoutKey) -> Any:
    """A base with fresh adapters in training mode; the base is frozen and changed in place.

    Raises:
        ValueError: if the settings name layers that the model lacks.
    """
    base.requires_grad_(False)
    torch.manual_seed(seed)
    config = _config(lora, base)
    model = PissaModel(base, config) if lora.init == "pissa" else get_peft_model(base, config)
    _in_32_bits(parameter for parameter in model.parameters() if parameter.requires_grad)
    adapt(model, key)
    model.train()
    return model


def join(model: Any, spec: TrainingSpec, *, name: str, key: DropoutKey) -> None:
    """Put one adapter more on a base that has adapters already; it begins as it would alone.

    Raises:
        ValueError: if it starts from the base's own directions, which are taken out of the base for it alone.
    """
    assert spec.lora is not None, "a TrainingSpec of an adapter has lora settings"
    if spec.lora.init == "pissa":
        raise ValueError("lora.init: pissa changes the base, so no other adapter can be on it; use init: zero")
    torch.manual_seed(spec.seed)
    model.add_adapter(name, _config(spec.lora, model.get_base_model()))
    _in_32_bits(parameter for parameter in model.parameters() if parameter.requires_grad)
    adapt(model, key)


def _in_32_bits(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Hold in 32 bits what is held in 16; 4-bit weights are no floating numbers and stay."""
    for parameter in parameters:
        if parameter.is_floating_point():
            parameter.data = parameter.data.float()


def _config(lora: LoraSettings, base: PreTrainedModel) -> LoraConfig:
    """Peft's settings; layers that the model lacks are the user's mistake and are named."""
    linear = linear_names(base)
    targets = linear if lora.targets == ALL_LINEAR else lora.targets
    leaves = {name.rsplit(".", 1)[-1] for name, _ in base.named_modules()}
    for setting, names in (
        ("targets", targets),
        ("rank_pattern", tuple(lora.rank_pattern)),
        ("modules_to_save", lora.modules_to_save),
    ):
        if absent := [name for name in names if name not in leaves]:
            raise ValueError(
                f"lora.{setting} names {', '.join(absent)}, which {base.config.model_type} does not have; "
                f"its linear layers are {', '.join(linear)}"
            )
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(targets),
        rank_pattern=dict(lora.rank_pattern),
        use_rslora=lora.use_rslora,
        use_dora=lora.use_dora,
        init_lora_weights="pissa" if lora.init == "pissa" else True,
        modules_to_save=list(lora.modules_to_save) or None,
        ensure_weight_tying=bool(lora.modules_to_save and base.config.tie_word_embeddings),
        task_type="CAUSAL_LM",
    )
