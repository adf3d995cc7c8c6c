"""Encoders: the formulas, over a tiny random model; a model that is not there is named."""

from pathlib import Path
from typing import Any

import pytest

from evaluators.similarity import MissingError, score_pairs
from evaluators.similarity.embeddings import load_encoder

TEXTS = ["returns the sum", "closes the file", "", "the sum returns " * 400]
REFERENCES = ["returns the total", "closes the file", "the sum", "the sum"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of two layers and random weights, and a tokenizer of a few words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "returns", "the", "sum", "closes", "file", "total"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab={word: index for index, word in enumerate(words)})
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=64, **sizes)).save_pretrained(folder)
    return folder


def states_of(folder: Path, text: str) -> Any:
    import torch

    tokenizer, model = load_encoder(str(folder))
    with torch.inference_mode():
        return model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]


def test_bertscore_is_the_greedy_f1_of_cosines_without_special_tokens(encoder: Path) -> None:
    import torch

    scores = score_pairs(TEXTS, REFERENCES, metrics=["bertscore"], model=str(encoder))
    left, right = (torch.nn.functional.normalize(states_of(encoder, t), dim=-1) for t in (TEXTS[0], REFERENCES[0]))
    similar = left @ right.T
    precision, recall = similar.max(dim=1).values[1:-1].mean(), similar.max(dim=0).values[1:-1].mean()
    f1 = float(100 * 2 * precision * recall / (precision + recall))
    assert scores.per_instance["bertscore"][0] == pytest.approx(f1, abs=1e-3)
    assert scores.per_instance["bertscore"][1] == pytest.approx(100.0, abs=1e-3)
    assert scores.per_instance["bertscore"][2] == 0.0
    assert f"model:{encoder}" in scores.signatures["bertscore"] and "layer:last" in scores.signatures["bertscore"]


def test_cosine_is_that_of_mean_embeddings(encoder: Path) -> None:
    import torch

    scores = score_pairs(TEXTS, REFERENCES, metrics=["cosine"], model=str(encoder))
    left, right = (states_of(encoder, text).mean(dim=0) for text in (TEXTS[0], REFERENCES[0]))
    expected = 100 * float(torch.nn.functional.cosine_similarity(left, right, dim=0))
    assert scores.per_instance["cosine"][0] == pytest.approx(expected, abs=1e-3)
    assert scores.per_instance["cosine"][1] == pytest.approx(100.0, abs=1e-3)
    assert scores.per_instance["cosine"][2] == 0.0


@pytest.mark.parametrize("metric", ["bertscore", "cosine"])
def test_score_does_not_depend_on_company(encoder: Path, metric: str) -> None:
    together = score_pairs(TEXTS, REFERENCES, metrics=[metric], model=str(encoder)).per_instance[metric]
    for index, expected in enumerate(together):
        alone = score_pairs([TEXTS[index]], [REFERENCES[index]], metrics=[metric], model=str(encoder))
        assert alone.per_instance[metric][0] == pytest.approx(expected, abs=1e-3)


def test_model_that_is_not_there_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="cannot be loaded") as told:
        score_pairs(["a"], ["a"], metrics=["cosine"], model=str(tmp_path))
    assert str(tmp_path) in str(told.value) and "hf download" in str(told.value)
