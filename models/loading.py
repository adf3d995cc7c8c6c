"""Load tokenizers, base models and adapters, for training and for generation.

One decision: weights that were trained are always read back from disk before they are used. On some
CPUs bitsandbytes repacks 4-bit weights at the first evaluation forward, and whatever is done to the
model afterwards (training on, merging) gives garbage; a fresh load has no such history.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel

from models.locations import ModelError, local_digest, location_of, template_text
from models.spec import Device, ModelSpec, Precision
from tasks.templates import fitted


def device_of(device: Device) -> torch.device:
    """The device that is asked for; `auto` takes CUDA where there is one.

    Raises:
        ModelError: if CUDA is asked for and not there.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ModelError("runtime.device is cuda, but PyTorch sees no GPU here; use device: auto or cpu")
    return torch.device("cuda" if available and device != "cpu" else "cpu")


def load_tokenizer(model: ModelSpec) -> Any:
    """The model's own tokenizer, with the template that it is to have, and with a padding token.

    The template is the study's or its own or, for a base model without one, the plain one of `tasks.templates`; dates
    in it stand still. The padding token is not the end of text where the tokenizer has one.

    Raises:
        ModelError: if it cannot be read, or has no end-of-text token.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            location_of(model), revision=model.revision, trust_remote_code=model.trust_remote_code
        )
    except OSError as error:
        raise ModelError(_unreadable(model)) from error
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"the tokenizer of {model.name!r} has no end-of-text token, so a model would never learn to stop; "
            "set eos_token in its tokenizer_config.json"
        )
    tokenizer.chat_template = fitted(tokenizer, template=template_text(model), arguments=model.template_arguments)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(
    model: ModelSpec,
    *,
    precision: Precision,
    device: torch.device,
    weights: Path | None = None,
    products: torch.dtype = torch.bfloat16,
) -> PreTrainedModel:
    """A base model's weights in a precision, on a device.

    `weights` is a folder with all weights of a full fine-tuning, which are then a base of their own; `products` is
    what those of 4-bit weights are computed in.

    Raises:
        ModelError: if the weights cannot be read.
    """
    options: dict[str, Any] = {"trust_remote_code": model.trust_remote_code}
    if weights is None:
        options["revision"] = model.revision
    if precision == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=products,
        )
    options["dtype"] = torch.float32 if precision == "fp32" else torch.bfloat16
    where = location_of(model) if weights is None else str(weights)
    _refuse_unable(model, precision, device)
    try:
        loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(where, device_map={"": str(device)}, **options)
    except OSError as error:
        raise ModelError(_unreadable(model)) from error
    return loaded


def load_adapter(base: PreTrainedModel, folder: Path, *, name: str = "default") -> Any:
    """A base with an adapter on it, unmerged, ready to generate; the base is changed in place.

    Raises:
        ModelError: if the adapter was trained on another base.
    """
    from peft import PeftModel

    refuse_other_base(base, folder)
    device = str(base.device)
    # Without these peft takes a GPU wherever there is one, whatever the base lies on.
    where: dict[str, Any] = {"torch_device": device, "device_map": {"": device}}
    return PeftModel.from_pretrained(base, str(folder), adapter_name=name, **where).eval()


def _refuse_unable(model: ModelSpec, precision: Precision, device: torch.device) -> None:
    """Name what a precision needs and is not here."""
    if precision == "nf4" and find_spec("bitsandbytes") is None:
        raise ModelError(f"{model.name!r} in 4 bits needs bitsandbytes: pip install bitsandbytes, or kind: lora")
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        gpu = torch.cuda.get_device_name(device)
        raise ModelError(
            f"{model.name!r} in 16 bits needs a GPU that computes in bfloat16, and {gpu} does not; use a newer GPU, or "
            "training.precision: fp32"
        )


def refuse_other_base(base: PreTrainedModel, folder: Path) -> None:
    """Refuse an adapter that says it is of another base, where both can be told apart.

    A folder may have moved since, so a path that is not there any more says nothing.
    """
    settings = folder / "adapter_config.json"
    told = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    named, here = str(told.get("base_model_name_or_path") or ""), str(base.config._name_or_path)
    if not named or not here or named == here:
        return
    there, ours = (_digest_or_name(name) for name in (named, here))
    if there is not None and ours is not None and there != ours:
        raise ModelError(
            f"the adapter in {folder} was trained on {named}, and the base here is {here}; use it with its own base"
        )


def _digest_or_name(name: str) -> str | None:
    """What tells a base: its files if it is a folder, or its hub id; None for a folder that is not there."""
    if Path(name).is_dir():
        return local_digest(ModelSpec(name=name))
    return name if name.count("/") == 1 and not name.startswith((".", "~", "/")) else None


def _unreadable(model: ModelSpec) -> str:
    revision = f" at revision {model.revision}" if model.revision else ""
    return (
        f"model {model.name!r}{revision} cannot be loaded: it is no local folder with a model, and the hub "
        "gave nothing; check the name, log in for a gated model, or give a local path"
    )
