"""Options of adapters: what they make, what is saved of them, and what is said where they do not go together."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from models.loading import load_adapter, load_base
from models.spec import ModelSpec
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from trainers.methods.dropout import DropoutKey
from trainers.methods.lora import with_adapters
from trainers.spec import LoraSettings, TrainingSpec

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
IDS = torch.arange(5, 45)[None]
QWEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
STUDY = Path(__file__).resolve().parents[2] / "studies" / "quickstart.yaml"


def made(spec: ModelSpec, *, precision: Any = "fp32", **lora: Any) -> Any:
    key = DropoutKey(seed=0)
    key.example_keys_T, key.positions_T = torch.zeros(IDS.numel(), dtype=torch.int64), torch.arange(IDS.numel())
    settings = LoraSettings.model_validate({"rank": 4, "alpha": 8, "dropout": 0.0, **lora})
    return with_adapters(load_base(spec, precision=precision, device=CPU), settings, seed=0, key=key)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=model.dtype is torch.bfloat16):
        found: torch.Tensor = model(input_ids=IDS, use_cache=False).logits.float()
    return found


def moved(model: Any) -> Any:
    """As if it had been trained for a while."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn(parameter.shape, generator=generator) * 0.02
    return model.eval()


def ranks(model: Any) -> dict[str, int]:
    return {
        name.rsplit(".", 1)[-1]: module.r["default"] for name, module in model.named_modules() if hasattr(module, "r")
    }


def test_all_linear_adapts_every_linear_layer_but_the_output(model_spec: ModelSpec) -> None:
    assert set(ranks(made(model_spec))) == set(QWEN)


def test_a_rank_pattern_gives_layers_ranks_of_their_own(model_spec: ModelSpec) -> None:
    found = ranks(made(model_spec, rank_pattern={"down_proj": 16}))
    assert found == dict.fromkeys(QWEN, 4) | {"down_proj": 16}


def test_rslora_scales_by_the_root_of_the_rank(model_spec: ModelSpec) -> None:
    model = made(model_spec, use_rslora=True)
    assert model.base_model.model.model.layers[0].mlp.up_proj.scaling == {"default": 8 / 4**0.5}


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"rank_pattern": {"down_proj": 8}}])
def test_pissa_starts_as_the_base_and_is_saved_as_a_plain_adapter_of_the_base_as_it_came(
    model_spec: ModelSpec, tmp_path: Path, options: dict[str, Any]
) -> None:
    base = load_base(model_spec, precision="fp32", device=CPU)
    untouched = logits(base)
    model = made(model_spec, init="pissa", **options)
    assert torch.allclose(logits(model), untouched, atol=1e-4)
    matrix = model.base_model.model.model.layers[0].mlp.up_proj.lora_B["default"].weight
    assert bool(matrix.any())
    trained = logits(moved(model))
    assert not torch.allclose(trained, untouched, atol=1e-2)
    model.save_pretrained(str(tmp_path))
    loaded = load_adapter(base, tmp_path)
    assert torch.allclose(logits(loaded), trained, atol=1e-4)
    assert loaded.peft_config["default"].r == 8 and loaded.peft_config["default"].init_lora_weights is True
    assert all("weight" in name for name in load_file(tmp_path / "adapter_model.safetensors"))


def test_dora_and_modules_trained_whole_are_computed_by_peft_and_read_back_alike(
    model_spec: ModelSpec, tmp_path: Path
) -> None:
    model = made(model_spec, precision="bf16", use_dora=True, modules_to_save=("norm",))
    layer = model.base_model.model.model.layers[0].mlp.up_proj
    assert not hasattr(layer, "dropout_key")
    trained = [p for p in model.parameters() if p.requires_grad]
    assert {p.dtype for p in trained} == {torch.float32}
    expected = logits(moved(model))
    model.save_pretrained(str(tmp_path))
    loaded = load_adapter(load_base(model_spec, precision="bf16", device=CPU), tmp_path)
    assert torch.allclose(logits(loaded), expected, atol=0.1)
    assert any("norm" in name for name in load_file(tmp_path / "adapter_model.safetensors"))


def test_a_4bit_base_keeps_its_embeddings_and_norms_in_16_bits(model_spec: ModelSpec) -> None:
    model = made(model_spec, precision="nf4")
    dtypes = {p.dtype for name, p in model.named_parameters() if "embed" in name or "norm" in name}
    assert dtypes == {torch.bfloat16}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"targets": ("q_proj", "w2")},
            "lora.targets names w2, which qwen2 does not have; its linear layers are q_proj,",
        ),
        ({"rank_pattern": {"w2": 3}}, "lora.rank_pattern names w2, which qwen2 does not have"),
        ({"modules_to_save": ("heads",)}, "lora.modules_to_save names heads, which qwen2 does not have"),
    ],
)
def test_a_layer_that_the_model_lacks_is_named_with_those_it_has(
    model_spec: ModelSpec, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        made(model_spec, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": "pissa", "use_dora": True}, "has no place for use_dora"),
        ({"init": "pissa", "modules_to_save": ("norm",)}, "has no place for modules_to_save"),
        ({"targets": ("q_proj",), "rank_pattern": {"v_proj": 2}}, "v_proj, which is not among lora.targets"),
        ({"rank_pattern": {"v_proj": 0}}, "greater than or equal to 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LoraSettings.model_validate(options)


def test_pissa_on_a_4bit_base_is_refused_with_the_remedy(spec_of: Any) -> None:
    spec = spec_of("qlora")
    with pytest.raises(ValidationError, match="use kind: lora"):
        TrainingSpec.model_validate({**spec.model_dump(), "lora": {"init": "pissa"}})


def test_what_an_option_costs_is_said() -> None:
    assert LoraSettings().notes() == ()
    said = LoraSettings(use_dora=True, modules_to_save=("lm_head",)).notes()
    assert [line.split()[0] for line in said] == ["lora.use_dora", "lora.modules_to_save", "lora.use_dora"]
    assert "rank 16" in LoraSettings(init="pissa").notes()[0]


def keys_of(*changes: str) -> list[str]:
    study = load_study(STUDY, changes=changes)
    trial = next(trial for trial in expand(study).trials if trial.kind == "qlora")
    return [trial.key(stage) for stage in trial.stages]


def test_all_linear_and_its_names_are_one_study_and_new_options_rename_nothing_until_used() -> None:
    usual = keys_of()
    assert keys_of("lora.targets=all-linear") == usual
    assert keys_of(f"lora.targets=[{', '.join(QWEN)}]") == usual
    assert keys_of("lora.use_dora=false", "lora.init=zero", "lora.rank_pattern={}") == usual
    assert keys_of("lora.use_rslora=true")[0] != usual[0]
    assert keys_of("lora.rank_pattern={down_proj: 16}")[0] != usual[0]
