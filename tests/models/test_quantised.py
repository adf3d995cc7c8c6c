"""4-bit layers keep to training mode, and whoever has none pays nothing for it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.loading import load_base
from models.quantised import kept_packed, layers_4bit, set_evaluating
from models.spec import ModelSpec

ROOT = Path(__file__).parents[2]


def test_evaluation_leaves_4bit_layers_in_training_mode_and_all_others_not(model_spec: ModelSpec) -> None:
    model = load_base(model_spec, precision="nf4", device=torch.device("cpu"))
    layers = layers_4bit(model)
    assert len(layers) == 14
    set_evaluating(model, True)
    assert {module.training for module in layers} == {True}
    assert not any(module.training for module in model.modules() if module not in layers)
    set_evaluating(model, False)
    assert all(module.training for module in model.modules())


def test_model_without_4bit_layers_is_evaluated_without_bitsandbytes() -> None:
    code = (
        "import sys, torch\n"
        "from models.quantised import set_evaluating\n"
        "model = torch.nn.Sequential(torch.nn.Dropout())\n"
        "set_evaluating(model, True)\n"
        "assert not model[0].training\n"
        "print('bitsandbytes' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_packed_layers_whose_state_is_read_say_the_same_as_before(model_spec: ModelSpec) -> None:
    from bitsandbytes.functional import has_avx512bf16

    if not has_avx512bf16():
        pytest.skip("this CPU has no AVX512-BF16, and bitsandbytes repacks nothing here")
    model = load_base(model_spec, precision="nf4", device=torch.device("cpu"))

    def logits() -> torch.Tensor:
        with torch.inference_mode():
            found: torch.Tensor = model(input_ids=torch.tensor([[5, 6, 7]])).logits
        return found

    before = logits()
    with kept_packed(model):
        model.state_dict()
    assert torch.equal(logits(), before)
    model.state_dict()
    assert not torch.equal(logits(), before), "bitsandbytes reads its state without loss now: drop kept_packed"
