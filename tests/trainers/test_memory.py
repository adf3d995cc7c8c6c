"""Memory estimates, planned without loading anything."""

from pathlib import Path
from typing import Any

import pytest

from models.shapes import Estimate, Shape, Unknown, shape_of
from models.spec import ModelSpec
from trainers.memory import Load, training_memory, weights_size
from trainers.methods.table import MethodKind
from trainers.spec import Runtime

KINDS = (MethodKind.QLORA, MethodKind.LORA, MethodKind.FULL)


def test_lora_parameters_are_those_that_peft_makes(model_spec: ModelSpec, spec_of: Any, runtime: Runtime) -> None:
    from trainers.methods.dropout import DropoutKey
    from trainers.methods.lora import adapted

    model = adapted(spec_of(), runtime=runtime, key=DropoutKey(seed=0))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    shape = shape_of(model_spec)
    assert isinstance(shape, Shape)
    assert shape.lora_parameters(4) == trainable


def test_unknown_model_gives_unknown_with_its_name() -> None:
    model = ModelSpec(name="somebody/some-model")
    answer = training_memory(model, Load(kind=MethodKind.LORA, tokens=512))
    assert isinstance(answer, Unknown)
    assert "somebody/some-model" in answer.reason


def test_quantised_training_takes_least_and_full_takes_most() -> None:
    model = ModelSpec(name="Qwen/Qwen2.5-Coder-7B-Instruct")
    qlora, lora, full = (training_memory(model, Load(kind=kind, tokens=512)) for kind in KINDS)
    assert isinstance(qlora, Estimate)
    assert isinstance(lora, Estimate)
    assert isinstance(full, Estimate)
    assert qlora.value < lora.value < full.value
    # 16 bytes a weight: bf16 weight and gradient, 32-bit master and two moments.
    assert full.value > 16 * 7.6e9
    smaller = training_memory(model, Load(kind=MethodKind.FULL, tokens=512, optimizer_8bit=True))
    assert isinstance(smaller, Estimate)
    assert smaller.value < full.value


def value(answer: Estimate | Unknown) -> float:
    assert isinstance(answer, Estimate)
    return answer.value


def test_zero_shares_states_between_processes_and_checkpointing_spares_activations() -> None:
    model = ModelSpec(name="Qwen/Qwen2.5-Coder-7B-Instruct")
    one = Load(kind=MethodKind.FULL, tokens=512)
    shared = [
        value(training_memory(model, Load(kind=MethodKind.FULL, tokens=512, zero_stage=stage, processes=4)))
        for stage in range(4)
    ]
    assert shared == sorted(shared, reverse=True)
    assert shared[0] == value(training_memory(model, one))
    # Of 16 bytes a weight, 12, then 14, then all are divided by four.
    parameters = 7.616e9  # to three places from its safetensors
    for saved, width in zip((shared[0] - s for s in shared[1:]), (12, 14, 16), strict=True):
        assert saved == pytest.approx(parameters * width * 3 / 4, rel=0.02)
    checkpointed = Load(kind=MethodKind.FULL, tokens=512, gradient_checkpointing=True)
    assert value(training_memory(model, checkpointed)) < value(training_memory(model, one))


def test_adapter_on_disk_is_as_large_as_peft_writes_it(
    model_spec: ModelSpec, spec_of: Any, runtime: Runtime, tmp_path: Path
) -> None:
    from trainers.methods.dropout import DropoutKey
    from trainers.methods.lora import adapted

    adapted(spec_of(), runtime=runtime, key=DropoutKey(seed=0)).save_pretrained(str(tmp_path))
    size = value(weights_size(model_spec, kind=MethodKind.LORA, rank=4, on_cpu=True))
    # The file has names and shapes besides.
    assert size == pytest.approx((tmp_path / "adapter_model.safetensors").stat().st_size, rel=0.2)
