"""4-bit layers keep to training mode, and whoever has none pays nothing for it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.loading import load_base
from models.quantised import Dequantised, dequantise_unfit, kept_packed, layers_4bit, set_evaluating
from models.spec import ModelSpec
from models.widths import growth_bytes, takes_packed

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


@pytest.fixture(scope="module")
def odd_base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A base of which no MLP's widths are whole blocks, and whose keys and values have 48 outputs."""
    from transformers import AutoConfig, AutoTokenizer, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("odd-base")
    config = AutoConfig.from_pretrained(tiny_base)
    config.update({"hidden_size": 192, "intermediate_size": 200, "num_attention_heads": 4, "num_key_value_heads": 1})
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
    return ModelSpec(name=str(folder))


def logits_of(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.arange(3, 40)[None]).logits
    return found


def test_layers_of_widths_that_no_kernel_takes_compute_in_16_bits_what_4_bits_do_in_training(
    odd_base: ModelSpec,
) -> None:
    model = load_base(odd_base, precision="nf4", device=torch.device("cpu"))
    set_evaluating(model, True)
    in_training = logits_of(model)
    unfit = [layer for layer in layers_4bit(model) if not takes_packed(layer.in_features, layer.out_features)]
    assert dequantise_unfit(model) == len(unfit) == 2 * 5
    set_evaluating(model, True)
    assert torch.equal(logits_of(model), in_training)
    made = [module for module in model.modules() if isinstance(module, Dequantised)]
    assert len(made) == len(unfit)
    assert len(layers_4bit(model)) == 2 * 2
    weights = sum(module.weight.numel() for module in made)
    assert growth_bytes((m.in_features, m.out_features) for m in made) == weights * (2 - 0.5625)


def test_model_whose_widths_the_kernels_take_is_left_as_it_is(model_spec: ModelSpec) -> None:
    model = load_base(model_spec, precision="nf4", device=torch.device("cpu"))
    assert dequantise_unfit(model) == 0
    assert len(layers_4bit(model)) == 14


def test_base_of_odd_widths_writes_in_4_bits_with_an_adapter_and_without(odd_base: ModelSpec, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    from evaluators.generation.protocol import Prompt
    from evaluators.generation.settings import GenerationSettings
    from evaluators.generation.shelf import Base, ModelShelf
    from evaluators.generation.transformers_engine import TransformersGenerator
    from tasks.micro import problems
    from tasks.records import Completion, Track

    plain = load_base(odd_base, precision="fp32", device=torch.device("cpu"))
    adapted = get_peft_model(
        plain, LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", init_lora_weights=False)
    )
    adapted.save_pretrained(str(tmp_path / "adapter"))
    generator = TransformersGenerator(
        ModelShelf(), Base(model=odd_base, precision="nf4", device=torch.device("cpu")), slots=4, probes=2
    )
    asked = problems(Track.parse("generation/python"), split="test")[:3]
    prompts = [Prompt(problem=problem, adapter=folder) for problem in asked for folder in (None, tmp_path / "adapter")]
    found = [done for _, done in generator.complete(prompts, settings=GenerationSettings(max_new_tokens=8))]
    assert all(isinstance(done, Completion) for done in found)
    assert len(found) == 6
    proof = generator.proofs[tmp_path / "adapter"]
    assert proof.engine_off is not None
    assert proof.adapter_logits
