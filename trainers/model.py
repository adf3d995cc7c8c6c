"""Load base models, tokenizers and trained weights, for training and for generation.

One decision: weights that were trained are always read back from disk before they are used. On some
CPUs bitsandbytes repacks 4-bit weights at the first evaluation forward, and whatever is done to the
model afterwards (training on, merging) gives garbage; a fresh load has no such history.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel

from trainers.locations import ModelError, location_of
from trainers.spec import MethodKind, ModelSpec, Runtime


def device_of(runtime: Runtime) -> torch.device:
    """The device that a runtime asks for; `auto` takes CUDA where there is one.

    Raises:
        ModelError: if CUDA is asked for and not there.
    """
    available = torch.cuda.is_available()
    if runtime.device == "cuda" and not available:
        raise ModelError("runtime.device is cuda, but PyTorch sees no GPU here; use device: auto or cpu")
    return torch.device("cuda" if available and runtime.device != "cpu" else "cpu")


def load_tokenizer(model: ModelSpec) -> Any:
    """The model's own tokenizer, with a padding token that is not its end of text where it has one."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            location_of(model), revision=model.revision, trust_remote_code=model.trust_remote_code
        )
    except OSError as error:
        raise ModelError(_unreadable(model)) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(model: ModelSpec, *, kind: MethodKind, runtime: Runtime) -> PreTrainedModel:
    """The base model as a method trains it: NF4 for qlora, bf16 (CUDA) or fp32 (CPU) otherwise.

    Raises:
        ModelError: if the weights cannot be read.
    """
    device = device_of(runtime)
    options: dict[str, Any] = {"revision": model.revision, "trust_remote_code": model.trust_remote_code}
    if kind == "qlora":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    options["dtype"] = torch.float32 if device.type == "cpu" and kind != "qlora" else torch.bfloat16
    return _pretrained(model, location_of(model), device, options)


def load_trained(model: ModelSpec, *, kind: MethodKind, weights: Path | None, runtime: Runtime) -> Any:
    """A model ready to generate: the base, the base with its adapter, or fully trained weights.

    A QLoRA adapter sits, unmerged, on the 4-bit base that it was trained on. The frozen model is
    loaded in full precision.
    """
    if kind == "full" and weights is not None:
        device = device_of(runtime)
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        loaded: Any = _pretrained(model, str(weights), device, {"dtype": dtype})
    else:
        loaded = load_base(model, kind=kind, runtime=runtime)
        if weights is not None:
            from peft import PeftModel

            loaded = PeftModel.from_pretrained(loaded, str(weights))
    loaded.eval()
    return loaded


def _pretrained(model: ModelSpec, where: str, device: torch.device, options: dict[str, Any]) -> PreTrainedModel:
    try:
        loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(where, device_map={"": str(device)}, **options)
    except OSError as error:
        raise ModelError(_unreadable(model)) from error
    return loaded


def _unreadable(model: ModelSpec) -> str:
    revision = f" at revision {model.revision}" if model.revision else ""
    return (
        f"model {model.name!r}{revision} cannot be loaded: it is no local folder with a model, and the hub "
        "gave nothing; check the name, log in for a gated model, or give a local path"
    )
