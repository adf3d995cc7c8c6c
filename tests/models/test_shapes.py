"""Shapes of models, told without loading anything."""

import json
from pathlib import Path

import pytest
import torch

from models.loading import load_base
from models.shapes import Shape, Unknown, shape_of
from models.spec import ModelSpec

# Totals from the models' cards: 0.49B, 1.54B, 3.09B, 7.61B, to three places from their safetensors.
TOTALS = {"0.5B": 0.494e9, "1.5B": 1.544e9, "3B": 3.086e9, "7B": 7.616e9}


@pytest.mark.parametrize("size", TOTALS)
@pytest.mark.parametrize("suffix", ["", "-Instruct"])
def test_preset_has_the_published_number_of_parameters(size: str, suffix: str) -> None:
    shape = shape_of(ModelSpec(name=f"Qwen/Qwen2.5-Coder-{size}{suffix}"))
    assert isinstance(shape, Shape)
    assert shape.parameters == pytest.approx(TOTALS[size], rel=0.02)


def test_local_model_has_the_parameters_that_its_folder_holds(model_spec: ModelSpec) -> None:
    shape = shape_of(model_spec)
    assert isinstance(shape, Shape)
    real = load_base(model_spec, precision="fp32", device=torch.device("cpu")).num_parameters()
    assert shape.parameters == pytest.approx(real, rel=0.02)
    assert shape.tied


def test_unknown_model_gives_unknown_with_its_name() -> None:
    answer = shape_of(ModelSpec(name="somebody/some-model"))
    assert isinstance(answer, Unknown)
    assert "somebody/some-model" in answer.reason


def test_folder_whose_config_says_too_little_gives_unknown(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 8}))
    answer = shape_of(ModelSpec(name=str(tmp_path)))
    assert isinstance(answer, Unknown)
    assert "num_hidden_layers" in answer.reason
