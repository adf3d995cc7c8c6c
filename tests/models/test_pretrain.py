"""How the built-in base is made: weights of the two halves, the loss, the rate, and the saved model."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2ForCausalLM

from models.micro.pretrain import (
    CONDITIONING_WEIGHT,
    VOCABULARY,
    Recipe,
    _batches,
    _rate,
    _save,
    build_model,
    collate,
    weighted_loss,
)


def test_conditioning_half_weighs_little_and_padding_nothing() -> None:
    ids_BT, weights_BT = collate([([7, 8, 9, 0], 2), ([5, 0], 1)], pad=1)
    assert ids_BT.tolist() == [[7, 8, 9, 0], [5, 0, 1, 1]]
    low = CONDITIONING_WEIGHT
    torch.testing.assert_close(weights_BT, torch.tensor([[low, low, 1.0, 1.0], [low, 1.0, 0.0, 0.0]]))


@pytest.fixture(scope="module")
def tiny(tiny_base: Path) -> Qwen2ForCausalLM:
    model: Qwen2ForCausalLM = Qwen2ForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    model.eval()
    return model


@torch.no_grad()
def test_loss_is_the_weighted_mean_and_reports_the_conditioned_half_plainly(tiny: Qwen2ForCausalLM) -> None:
    documents = [([7, 8, 9, 10, 0], 2), ([5, 6, 0], 1)]
    loss, conditioned = weighted_loss(tiny, *collate(documents, pad=1))
    total, weight, plain = 0.0, 0.0, list[float]()
    for ids, conditioning in documents:
        logits = tiny(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        for position in range(1, len(ids)):
            nats, share = -float(logits[position - 1, ids[position]]), 1.0
            if position < conditioning:
                share = CONDITIONING_WEIGHT
            else:
                plain.append(nats)
            total, weight = total + share * nats, weight + share
    assert float(loss) == pytest.approx(total / weight, rel=1e-4)
    assert float(conditioned) == pytest.approx(sum(plain) / len(plain), rel=1e-4)


def test_rate_warms_up_and_falls_to_a_fiftieth() -> None:
    recipe = Recipe(warmup_steps=100)
    rates = [_rate(step, 1000, recipe) for step in range(1000)]
    assert rates[0] < 0.02
    assert rates[:90] == sorted(rates[:90])
    assert max(rates) == pytest.approx(1.0, abs=0.03)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert _rate(1000, 1000, recipe) == _rate(5000, 1000, recipe) == pytest.approx(0.02)


class _Chunks:
    """A queue that always has the same chunk."""

    def __init__(self, chunk: list[tuple[list[int], int]]) -> None:
        self.chunk = chunk

    def get(self) -> list[tuple[list[int], int]]:
        return self.chunk


def test_batches_hold_documents_of_like_length_and_all_of_a_chunk() -> None:
    chunk: Any = [([1] * length, 1) for length in (9, 3, 7, 2, 8, 4)]
    stream = _batches(_Chunks(chunk), Recipe(batch_documents=2))  # type: ignore[arg-type]
    first = [sorted(len(ids) for ids, _ in next(stream)) for _ in range(3)]
    assert sorted(first) == [[2, 3], [4, 7], [8, 9]]


def test_built_in_architecture_is_a_small_qwen2(tokenizer: Any) -> None:
    model = build_model(tokenizer, 0)
    assert model.config.model_type == "qwen2"
    assert 2.5e6 < model.num_parameters() < 4e6
    assert model.config.vocab_size == len(tokenizer) == VOCABULARY
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_saving_writes_bf16_and_leaves_the_model_in_training_as_it_was(tokenizer: Any, tmp_path: Path) -> None:
    model = build_model(tokenizer, 0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    _save(model, tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    again = Qwen2ForCausalLM.from_pretrained(tmp_path)
    assert again.dtype == torch.bfloat16
    assert all(torch.equal(tensor, before[name].bfloat16()) for name, tensor in again.state_dict().items())


def test_training_loop_logs_a_falling_loss(tiny_base: Path) -> None:
    rows = [json.loads(line) for line in (tiny_base / "loss.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
    assert rows[-1]["loss"] < rows[0]["loss"] < math.log(VOCABULARY)
    assert rows[-1]["tokens"] >= 60_000
