"""The table of linear layers against transformers' own modules, built without weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from models.projections import _NAMES, linear_names, names_known
from models.spec import ModelSpec

SMALL = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 128, "head_dim": 16, "pad_token_id": 0,
}  # fmt: skip


def built(kind: str) -> Any:
    config = AutoConfig.for_model(kind)
    for name, value in SMALL.items():
        if hasattr(config, name) and not isinstance(getattr(type(config), name, None), property):
            setattr(config, name, value)
    if getattr(config, "layer_types", None):
        config.layer_types = list(config.layer_types)[:2]
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize("kind", sorted(_NAMES))
def test_a_family_has_the_layers_that_the_table_says(kind: str) -> None:
    model = built(kind)
    expected = _NAMES[kind]
    if kind == "falcon":  # Whose order differs by the kind of its blocks.
        assert set(linear_names(model)) == set(expected)
    else:
        assert linear_names(model) == expected


def test_experts_in_one_tensor_and_layers_that_kernels_pass_by_are_left_out() -> None:
    assert linear_names(built("qwen3_moe")) == ("q_proj", "k_proj", "v_proj", "o_proj")


def test_names_are_known_by_config_file_or_preset_and_else_not(tmp_path: Path) -> None:
    assert names_known(ModelSpec(name="Qwen/Qwen2.5-Coder-7B-Instruct")) == _NAMES["qwen2"]
    assert names_known(ModelSpec(name="someone/unheard-of")) is None
    for kind, expected in (("starcoder2", _NAMES["starcoder2"]), ("novel", None)):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}), encoding="utf-8")
        assert names_known(ModelSpec(name=str(tmp_path))) == expected
