"""QLoRA: training that goes on after validation, and weights that mean the same when read back.

On CPUs with AVX512-BF16 bitsandbytes repacks a 4-bit layer at its first evaluation forward; training
on after that gives garbage. These tests look for it where it would happen.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from models.loading import load_adapter, load_base
from models.spec import ModelSpec
from tests.trainers.plain_loss import plain_loss
from trainers.loop.log import Row
from trainers.loop.train import Hooks, TrainingData, TrainingSummary, train
from trainers.spec import Runtime

CPU = torch.device("cpu")
TRACK = "generation/python"


def layers_4bit(model: Any) -> list[Any]:
    from bitsandbytes.nn import Linear4bit  # type: ignore[attr-defined]

    return [module for module in model.modules() if isinstance(module, Linear4bit)]


def repacked(model: Any) -> int:
    return sum(bool(getattr(layer.weight.quant_state, "packing_format_for_cpu", False)) for layer in layers_4bit(model))


@pytest.fixture(scope="module")
def data(examples_of: Any) -> TrainingData:
    return TrainingData(train=examples_of(TRACK), validation=examples_of(TRACK, start=32, count=16))


@pytest.fixture(scope="module")
def trained(
    spec_of: Any, data: TrainingData, runtime: Runtime, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainingSummary, Path, list[Row]]:
    """30 steps with validations in between, each followed by a look at the 4-bit layers."""
    out, rows = tmp_path_factory.mktemp("qlora"), list[Row]()

    def look(model: Any) -> Row:
        return {
            "repacked": repacked(model),
            "layers": len(layers_4bit(model)),
            "dropouts": sum(isinstance(m, torch.nn.Dropout) and m.training for m in model.modules()),
            "again": plain_loss(model, data.validation, tokenizer),
        }

    spec = spec_of("qlora", validate_every=6, dropout=0.1)
    summary = train(spec, data=data, out=out, runtime=runtime, hooks=Hooks(report=rows.append, validate=look))
    return summary, out, rows


def test_validation_repacks_no_4bit_layer_and_switches_dropout_off(
    trained: tuple[TrainingSummary, Path, list[Row]],
) -> None:
    looks = [row for row in trained[2] if "validation/repacked" in row]
    assert len(looks) == 5
    assert {row["validation/layers"] for row in looks} == {14}
    assert {row["validation/repacked"] for row in looks} == {0}
    assert {row["validation/dropouts"] for row in looks} == {0}
    assert [row["validation/again"] for row in looks] == pytest.approx(
        [row["validation/loss"] for row in looks], abs=2e-2
    )


def test_training_goes_on_learning_after_each_validation(trained: tuple[TrainingSummary, Path, list[Row]]) -> None:
    summary, _, rows = trained
    assert summary.rows == "flat"
    validation = [row["validation/loss"] for row in rows if "validation/loss" in row]
    assert validation[-1] < 0.95 * validation[0]
    assert all(later < earlier + 0.1 for earlier, later in pairwise(validation))
    assert summary.last_loss < 0.8 * summary.first_loss
    assert all(row["gradient_norm"] > 0 for row in rows if "loss" in row)


def test_the_look_at_4bit_layers_would_see_a_repacking(model_spec: ModelSpec) -> None:
    from bitsandbytes.functional import has_avx512bf16

    if not has_avx512bf16():
        pytest.skip("this CPU has no AVX512-BF16, and bitsandbytes repacks nothing here")
    model = load_base(model_spec, precision="nf4", device=CPU).eval()
    with torch.no_grad():
        model(input_ids=torch.tensor([[5, 6, 7]]))
    assert repacked(model) == len(layers_4bit(model)) == 14


def test_adapter_on_a_fresh_4bit_base_has_the_loss_it_was_kept_for(
    trained: tuple[TrainingSummary, Path, list[Row]],
    data: TrainingData,
    model_spec: ModelSpec,
    tokenizer: Any,
) -> None:
    summary, out, _ = trained
    model = load_adapter(load_base(model_spec, precision="nf4", device=CPU), out / summary.weights)
    assert plain_loss(model, data.validation, tokenizer) == pytest.approx(summary.best_value, abs=0.05)


def test_adapter_merges_into_the_full_precision_base(
    trained: tuple[TrainingSummary, Path, list[Row]],
    data: TrainingData,
    model_spec: ModelSpec,
    tokenizer: Any,
) -> None:
    summary, out, _ = trained
    base = load_base(model_spec, precision="fp32", device=CPU)
    before = plain_loss(base, data.validation, tokenizer)
    merged = PeftModel.from_pretrained(base, str(out / summary.weights)).merge_and_unload()
    merged.eval()
    assert not layers_4bit(merged)
    after = plain_loss(merged, data.validation, tokenizer)
    assert after == pytest.approx(summary.best_value, rel=0.1)
    assert after < before
