"""The training loop under LoRA: what it learns, logs, keeps and refuses."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from models.loading import load_adapter, load_base
from models.spec import ModelSpec
from tests.trainers.plain_loss import plain_loss
from trainers.batches.rows import encode
from trainers.loop.divergence import TrainingDiverged
from trainers.loop.log import Row
from trainers.loop.schedule import learning_rate_at
from trainers.loop.train import Hooks, TrainingData, TrainingSummary, train
from trainers.spec import Runtime, TrainingSettings

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
TRACK = "generation/python"


def rows_in(out: Path) -> list[Row]:
    chunks = sorted((out / "metrics").iterdir())
    assert [chunk.name for chunk in chunks] == [f"{number:05d}.jsonl" for number in range(len(chunks))]
    return [json.loads(line) for chunk in chunks for line in chunk.read_text().splitlines()]


@pytest.fixture(scope="module")
def data(examples_of: Any) -> TrainingData:
    return TrainingData(train=examples_of(TRACK), validation=examples_of(TRACK, start=32, count=16))


@pytest.fixture(scope="module")
def trained(
    spec_of: Any, data: TrainingData, runtime: Runtime, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainingSummary, Path, list[Row]]:
    """One LoRA training of 30 steps over two logged chunks, shared by the tests that look at it."""
    out, reported = tmp_path_factory.mktemp("lora"), list[Row]()
    spec = spec_of("lora", validate_every=1, dropout=0.1)
    summary = train(spec, data=data, out=out, runtime=runtime, hooks=Hooks(report=reported.append))
    return summary, out, reported


def test_loss_falls_on_training_and_on_validation_data(trained: tuple[TrainingSummary, Path, list[Row]]) -> None:
    summary, out, _ = trained
    validation = [row["validation/loss"] for row in rows_in(out) if "validation/loss" in row]
    assert summary.last_loss < 0.8 * summary.first_loss
    assert min(validation) < 0.9 * validation[0]
    assert summary.best_value == min(validation)
    assert summary.best_step == 1 + validation.index(min(validation))


def test_every_step_has_a_gradient_and_a_learning_rate(trained: tuple[TrainingSummary, Path, list[Row]]) -> None:
    rows = [row for row in rows_in(trained[1]) if "loss" in row]
    assert len(rows) == 30
    assert all(row["gradient_norm"] > 0 and row["learning_rate"] > 0 for row in rows)
    assert [row[f"loss/{TRACK}"] for row in rows] == pytest.approx([row["loss"] for row in rows])


def test_metric_chunks_hold_what_was_reported_each_step_once(
    trained: tuple[TrainingSummary, Path, list[Row]],
) -> None:
    _, out, reported = trained
    rows = rows_in(out)
    # A listener is told besides how many steps there will be.
    assert [{**row, "total_steps": 30} for row in rows] == reported
    assert len(list((out / "metrics").iterdir())) == 2
    for name in ("loss", "validation/loss"):
        steps = [row["step"] for row in rows if name in row]
        assert steps == sorted(set(steps)) == list(range(1, 31))


def test_summary_counts_examples_tokens_and_parameters(
    trained: tuple[TrainingSummary, Path, list[Row]], spec_of: Any, data: TrainingData, tokenizer: Any
) -> None:
    summary, out, reported = trained
    spec = spec_of()
    lengths = [len(e.ids) for e in encode(data.train, tokenizer, settings=spec.settings).examples]
    base = load_base(spec.model, precision="fp32", device=CPU)
    assert summary.examples == {TRACK: 32}
    assert summary.steps == 30
    assert not summary.stopped_early
    assert summary.rows == "flat"
    # Seven whole epochs of four steps, then two more steps over part of an eighth.
    assert 7 * sum(lengths) < summary.tokens < 8 * sum(lengths)
    assert summary.tokens == max(row.get("tokens", 0) for row in reported)
    adapter = load_file(out / summary.weights / "adapter_model.safetensors")
    assert summary.trainable_parameters == sum(tensor.numel() for tensor in adapter.values())
    assert summary.total_parameters == base.num_parameters() + summary.trainable_parameters


def test_adapter_is_saved_as_peft_saves_it_and_only_the_best_is_kept(
    trained: tuple[TrainingSummary, Path, list[Row]],
) -> None:
    summary, out, _ = trained
    files = {path.name for path in (out / summary.weights).iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"} <= files
    assert {path.name for path in out.iterdir()} == {summary.weights, "metrics"}
    assert summary.weights == f"checkpoint-{summary.best_step}"


def test_adapter_that_is_read_back_has_the_validation_loss_it_was_kept_for(
    trained: tuple[TrainingSummary, Path, list[Row]],
    data: TrainingData,
    model_spec: ModelSpec,
    tokenizer: Any,
) -> None:
    summary, out, _ = trained
    adapted = load_adapter(load_base(model_spec, precision="fp32", device=CPU), out / summary.weights)
    frozen = load_base(model_spec, precision="fp32", device=CPU)
    assert plain_loss(adapted, data.validation, tokenizer) == pytest.approx(summary.best_value, abs=5e-3)
    ids = torch.tensor([encode(data.validation, tokenizer, settings=TrainingSettings(max_steps=1)).examples[0].ids])
    with torch.no_grad():
        assert (adapted(input_ids=ids).logits - frozen(input_ids=ids).logits).abs().max() > 0.1


def _after(
    spec: Any, data: TrainingData, out: Path, runtime: Runtime
) -> tuple[TrainingSummary, dict[str, torch.Tensor]]:
    summary = train(spec, data=data, out=out, runtime=runtime, hooks=Hooks())
    return summary, load_file(out / summary.weights / "adapter_model.safetensors")


def test_cut_of_a_batch_changes_no_weight(spec_of: Any, data: TrainingData, tmp_path: Path) -> None:
    """Examples of unequal length, so that a mean of means would show."""
    spec = spec_of("lora", precision="fp32", max_steps=2)
    found = {}
    for size in (64, 512, 10_000):
        runtime = Runtime(device="cpu", micro_tokens=size)
        found[size] = _after(spec, data, tmp_path / str(size), runtime)
    for size in (64, 512):
        assert found[size][0].last_loss == pytest.approx(found[10_000][0].last_loss, rel=1e-5)
        for name, tensor in found[10_000][1].items():
            # Steps are of 1e-2.
            torch.testing.assert_close(tensor, found[size][1][name], rtol=0.0, atol=5e-5)


def test_gradient_checkpointing_changes_no_weight(spec_of: Any, data: TrainingData, tmp_path: Path) -> None:
    spec = spec_of("lora", precision="fp32", max_steps=2)
    found = []
    for checkpointing in (False, True):
        runtime = Runtime(device="cpu", micro_tokens=1024, gradient_checkpointing=checkpointing)
        found.append(_after(spec, data, tmp_path / str(checkpointing), runtime)[1])
    for name, tensor in found[0].items():
        torch.testing.assert_close(tensor, found[1][name], rtol=1e-4, atol=1e-5)


def test_same_spec_gives_the_same_weights_and_another_seed_others(
    spec_of: Any, data: TrainingData, runtime: Runtime, tmp_path: Path
) -> None:
    spec = spec_of("lora", max_steps=2, dropout=0.1)
    first, again = (_after(spec, data, tmp_path / name, runtime)[1] for name in ("first", "again"))
    other = _after(spec.model_copy(update={"seed": 1}), data, tmp_path / "other", runtime)[1]
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert not any(torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_eight_bit_optimizer_trains_too(spec_of: Any, data: TrainingData, runtime: Runtime, tmp_path: Path) -> None:
    summary, _ = _after(spec_of("lora", optimizer="adamw_8bit", max_steps=10), data, tmp_path, runtime)
    assert summary.last_loss < 0.95 * summary.first_loss


def test_patience_ends_a_training_that_no_longer_improves(
    spec_of: Any, data: TrainingData, runtime: Runtime, tmp_path: Path
) -> None:
    spec = spec_of("lora", validate_every=2, patience=2, min_delta=0.05, learning_rate=1e-6)
    summary, _ = _after(spec, data, tmp_path, runtime)
    # The first validation is the best so far; two that improve by less than min_delta end it.
    assert (summary.stopped_early, summary.steps, summary.best_step) == (True, 6, 2)
    assert summary.weights == "checkpoint-2"


def test_checkpoint_that_a_judge_of_outputs_likes_best_is_kept(
    spec_of: Any, data: TrainingData, runtime: Runtime, tmp_path: Path
) -> None:
    verdicts = iter([0.1, 0.7, 0.4])
    spec = spec_of("lora", max_steps=6, validate_every=2, select_by="similarity")
    hooks = Hooks(validate=lambda model: {"similarity": next(verdicts), "training": float(model.training)})
    summary = train(spec, data=data, out=tmp_path, runtime=runtime, hooks=hooks)
    assert (summary.best_step, summary.weights) == (4, "checkpoint-4")
    judged = [row for row in rows_in(tmp_path) if "validation/similarity" in row]
    assert [row["validation/similarity"] for row in judged] == [0.1, 0.7, 0.4]
    assert [row["validation/training"] for row in judged] == [0.0] * 3


def test_diverging_training_is_named_and_says_what_to_lower(
    spec_of: Any, data: TrainingData, runtime: Runtime, tmp_path: Path
) -> None:
    with pytest.raises(TrainingDiverged, match=r"step 2: loss .*lower training\.learning_rate"):
        _after(spec_of("lora", learning_rate=1e30), data, tmp_path, runtime)
    assert [row["step"] for row in rows_in(tmp_path) if math.isfinite(row["loss"])] == [1]


def test_weights_that_diverge_at_the_last_step_are_seen_by_validation_and_not_kept(
    spec_of: Any, data: TrainingData, runtime: Runtime, tmp_path: Path
) -> None:
    spec = spec_of("lora", learning_rate=1e30, max_steps=1, validate_every=1)
    with pytest.raises(TrainingDiverged, match=r"validation after step 1: loss .*lower training\.learning_rate"):
        _after(spec, data, tmp_path, runtime)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics"]


def test_data_that_nowhere_fits_is_refused_with_the_remedy(
    spec_of: Any, data: TrainingData, runtime: Runtime, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"none of the 32 training examples fits training\.max_length=8"):
        _after(spec_of("lora", max_length=8), data, tmp_path, runtime)


def test_validation_without_anything_to_validate_on_is_refused(
    spec_of: Any, data: TrainingData, runtime: Runtime, tmp_path: Path
) -> None:
    spec = spec_of("lora", validate_every=1, patience=1, max_steps=3)
    with pytest.raises(ValueError, match=r"none of the 0 validation examples fits training\.max_length=256"):
        _after(spec, TrainingData(train=data.train), tmp_path, runtime)


def test_choosing_by_similarity_without_a_judge_is_refused(
    spec_of: Any, data: TrainingData, runtime: Runtime, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"training\.select_by is similarity, but nothing judges"):
        _after(spec_of("lora", validate_every=1, select_by="similarity"), data, tmp_path, runtime)


def test_lora_target_that_the_model_lacks_is_named(
    spec_of: Any, data: TrainingData, runtime: Runtime, tmp_path: Path
) -> None:
    spec = spec_of("lora")
    spec = spec.model_copy(update={"lora": spec.lora.model_copy(update={"targets": ("q_proj", "c_attn")})})
    with pytest.raises(ValueError, match=r"lora\.targets names c_attn, which qwen2 does not have"):
        _after(spec, data, tmp_path, runtime)


def test_learning_rate_warms_up_and_ends_near_zero() -> None:
    def rates(schedule: str) -> list[float]:
        settings = TrainingSettings.model_validate(
            {"learning_rate": 1.0, "schedule": schedule, "warmup_steps": 10, "max_steps": 100}
        )
        return [learning_rate_at(step, settings=settings, total_steps=100, warmup=10) for step in range(100)]

    for schedule in ("cosine", "linear", "constant"):
        assert rates(schedule)[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    for schedule in ("cosine", "linear"):
        falling = rates(schedule)[10:]
        assert falling[0] == 1.0
        assert falling == sorted(falling, reverse=True)
        assert 0 < falling[-1] < 0.02
    assert set(rates("constant")[10:]) == {1.0}
    assert rates("cosine")[55] == pytest.approx(0.5)


def test_how_long_must_be_said_exactly_once() -> None:
    for wrong in ({}, {"max_steps": 1, "epochs": 1.0}):
        with pytest.raises(ValueError, match="exactly one of max_steps and epochs"):
            TrainingSettings.model_validate(wrong)
    with pytest.raises(ValueError, match=r"training\.patience needs training\.validate_every"):
        TrainingSettings(max_steps=1, patience=1)
