"""Losses by track against the plain computation, and their independence of how a batch is cut."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from models.flat import flat_rows, path_of
from models.loading import load_base
from models.spec import ModelSpec
from trainers.batches.rows import Encoded, Row, encode, lay_flat
from trainers.objective import token_losses
from trainers.objective.token_losses import counts_of, loss_sums
from trainers.spec import TrainingSettings

CPU = torch.device("cpu")

TRACKS = ("generation/python", "summarization/java")


@pytest.fixture(scope="module")
def model(model_spec: ModelSpec) -> Any:
    return load_base(model_spec, precision="fp32", device=CPU).eval()


@pytest.fixture(scope="module")
def encoded(examples_of: Any, tokenizer: Any) -> tuple[Encoded, ...]:
    examples = [example for track in TRACKS for example in examples_of(track, count=3)]
    return encode(examples, tokenizer, settings=TrainingSettings(max_steps=1)).examples


def row_of(examples: Sequence[Encoded], *, filled: bool = True) -> Row:
    return lay_flat(examples, keys=range(len(examples)), tracks=TRACKS, pad=0, filled=filled)


def sums_of(model: Any, row: Row, **how: Any) -> torch.Tensor:
    with flat_rows(model):
        return loss_sums(model, row, num_tracks=len(TRACKS), **how)


def naive(model: Any, examples: Sequence[Encoded]) -> list[float]:
    """Every logit of every token, example by example, by the model's own forward pass."""
    sums = [0.0] * len(TRACKS)
    for example in examples:
        logits = model(input_ids=torch.tensor([example.ids])).logits[0].log_softmax(-1)
        for place in range(example.loss_from, len(example.ids)):
            sums[TRACKS.index(example.track)] -= float(logits[place - 1, example.ids[place]])
    return sums


@torch.no_grad()
def test_sums_by_track_are_those_of_the_plain_computation(model: Any, encoded: Any) -> None:
    assert sums_of(model, row_of(encoded)).tolist() == pytest.approx(naive(model, encoded), rel=1e-5)
    assert counts_of(encoded, TRACKS) == tuple(
        sum(len(e.ids) - e.loss_from for e in encoded if e.track == track) for track in TRACKS
    )


@torch.no_grad()
def test_sums_of_single_examples_under_the_own_attention_are_the_same(model: Any, encoded: Any) -> None:
    alone = [
        loss_sums(model, row_of([example], filled=False), num_tracks=len(TRACKS), flat=False) for example in encoded
    ]
    torch.testing.assert_close(torch.stack(alone).sum(0), sums_of(model, row_of(encoded)), rtol=1e-5, atol=0.0)


@torch.no_grad()
def test_sums_add_up_over_any_cut_of_the_batch(model: Any, encoded: Any) -> None:
    whole = sums_of(model, row_of(encoded))
    parts = [sums_of(model, row_of(part)) for part in (encoded[:1], encoded[1:])]
    torch.testing.assert_close(parts[0] + parts[1], whole, rtol=1e-5, atol=1e-3)


@torch.no_grad()
def test_track_that_is_absent_from_a_batch_counts_nothing(model: Any, encoded: Any) -> None:
    assert float(sums_of(model, row_of(encoded[:1]))[1]) == 0.0
    assert counts_of(encoded[:1], TRACKS)[1] == 0


def test_head_in_chunks_that_are_made_again_gives_the_same_sums_and_gradients(
    model: Any, encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for size in (2**28, 1):
        monkeypatch.setattr(token_losses, "_CHUNK_BYTES", size)
        model.zero_grad()
        sums = sums_of(model, row_of(encoded))
        sums.sum().backward()
        found.append((sums.detach(), [p.grad.clone() for p in model.parameters()]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=0.0)
    for whole, chunked in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(chunked, whole, rtol=0.0, atol=2e-6 * float(whole.abs().max()))
    model.zero_grad()


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("granite", {"logits_scaling": 8.0}),
        ("cohere2", {"logit_scale": 0.25}),
        ("gemma2", {"final_logit_softcapping": 3.0}),
        ("gemma3_text", {"final_logit_softcapping": 3.0}),
        ("phi", {}),
        ("falcon_h1", {"lm_head_multiplier": 0.25, "mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16}),
    ],
)
@torch.no_grad()
def test_loss_is_that_of_the_models_own_head(family: str, settings: dict[str, Any], encoded: Any) -> None:
    sizes = {"vocab_size": 1024, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "intermediate_size": 128, "head_dim": 16, "pad_token_id": 0}
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **(sizes | {"initializer_range": 0.12} | settings))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    short = [replace(example, ids=tuple(i % 1024 for i in example.ids)) for example in encoded]
    if path_of(model) == "flat":
        found = sums_of(model, row_of(short))
    else:
        rows = [row_of([example], filled=False) for example in short]
        found = torch.stack([loss_sums(model, row, num_tracks=len(TRACKS), flat=False) for row in rows]).sum(0)
    assert found.tolist() == pytest.approx(naive(model, short), rel=1e-5)


def test_smoothed_labels_are_those_of_pytorch(model: Any, encoded: Any) -> None:
    with torch.no_grad():
        (example,) = encoded[:1]
        logits = model(input_ids=torch.tensor([example.ids])).logits[0, example.loss_from - 1 : -1]
        targets = torch.tensor(example.ids[example.loss_from :])
        want = torch.nn.functional.cross_entropy(logits, targets, reduction="sum", label_smoothing=0.1)
        assert float(sums_of(model, row_of([example]), smoothing=0.1)[0]) == pytest.approx(float(want), rel=1e-5)
