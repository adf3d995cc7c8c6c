"""Similarity of meanings by an encoder model: BERTScore, and the cosine of whole texts as SIDE takes it.

One decision: the model is named by whoever asks, a folder or a hub id, since every model gives other
figures; there is no default, nothing is downloaded behind anyone's back, and the signature says which.
"""

import importlib.metadata
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from evaluators.similarity.scored import MissingError, Scored, averaged

if TYPE_CHECKING:
    from torch import Tensor

_BATCH = 32
_LONGEST = 512
"""Tokens of a text that are read where the model sets no limit of its own."""
# The layers that BERTScore's authors tuned (Zhang et al. 2020, appendix B); the last for any other model.
_LAYERS = {
    "bert-base-uncased": 9,
    "bert-large-uncased": 18,
    "roberta-base": 10,
    "roberta-large": 17,
    "distilbert-base-uncased": 5,
}


def score_bertscore(predictions: Sequence[str], references: Sequence[str], *, model: str) -> Scored:
    """BERTScore's F1 without idf weights and rescaling; 0-100, the corpus value being the mean.

    Every token is matched to the most similar one of the other text; special tokens may be matched
    but do not count.

    Raises:
        MissingError: if the model cannot be loaded.
    """
    import torch

    layer = _LAYERS.get(model.removeprefix("FacebookAI/").removeprefix("google-bert/"))
    scores = []
    with torch.inference_mode():
        for (left_TH, left_T), (right_TH, right_T) in _both(predictions, references, model=model, layer=layer):
            similar_TT = left_TH @ right_TH.T
            precision = _mean(similar_TT.max(dim=1).values, left_T) if left_T.any() and right_T.any() else 0.0
            recall = _mean(similar_TT.max(dim=0).values, right_T) if left_T.any() and right_T.any() else 0.0
            total = precision + recall
            scores.append(100 * 2 * precision * recall / total if total > 0 else 0.0)
    return averaged(scores, signature=_signature("bertscore", model, f"f1|layer:{layer or 'last'}|idf:no|rescale:no"))


def score_cosine(predictions: Sequence[str], references: Sequence[str], *, model: str) -> Scored:
    """100 x the cosine of two texts' mean embeddings; the corpus value is the mean.

    With a program as reference, a summary as prediction and SIDE's model, this is SIDE (Mastropaolo et
    al. 2024). An empty output scores 0.

    Raises:
        MissingError: if the model cannot be loaded.
    """
    import torch

    scores = []
    with torch.inference_mode():
        for left, right in _both(predictions, references, model=model, layer=None, normalized=False):
            (left_TH, left_T), (right_TH, right_T) = left, right
            # As sentence encoders pool: over all tokens of the text, special ones included.
            cosine = torch.nn.functional.cosine_similarity(left_TH.mean(dim=0), right_TH.mean(dim=0), dim=0)
            scores.append(100 * float(cosine) if left_T.any() and right_T.any() else 0.0)
    return averaged(scores, signature=_signature("cosine", model, "pool:mean|layer:last"))


@lru_cache(maxsize=1)
def load_encoder(model: str) -> tuple[Any, Any]:
    """Tokenizer and model, from a folder or the hub.

    Raises:
        MissingError: if there is none of that name, or it is incomplete.
    """
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        encoder = transformers.AutoModel.from_pretrained(model)
    except (OSError, ValueError, ImportError) as error:
        cause = str(error).strip().splitlines()[0]
        raise MissingError(
            f"model {model!r} cannot be loaded ({cause}): name a folder with a model and its tokenizer, or download "
            f"one with `hf download {model}`"
        ) from error
    return tokenizer, encoder.eval()


def _both(
    predictions: Sequence[str], references: Sequence[str], *, model: str, layer: int | None, normalized: bool = True
) -> "list[tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]":
    """Embeddings of each pair's texts, with marks at the tokens that are not special."""
    distinct = list(dict.fromkeys((*predictions, *references)))
    distinct.sort(key=len)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for start in range(0, len(distinct), _BATCH):
        texts = distinct[start : start + _BATCH]
        found.update(zip(texts, _embed(texts, model=model, layer=layer, normalized=normalized), strict=True))
    return [
        (found[prediction], found[reference]) for prediction, reference in zip(predictions, references, strict=True)
    ]


def _embed(texts: Sequence[str], *, model: str, layer: int | None, normalized: bool) -> "list[tuple[Tensor, Tensor]]":
    """Each text's tokens' embeddings (T x H), and whether each token is of the text (T)."""
    import torch

    tokenizer, encoder = load_encoder(model)
    # Tokenizers without a limit of their own give 10**30.
    longest = min(tokenizer.model_max_length, getattr(encoder.config, "max_position_embeddings", _LONGEST))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    # A few characters a token are enough to fill the limit; tokenising 5 MB to cut it takes seconds.
    cut = [text[: 40 * longest] for text in texts]
    batch = tokenizer(
        cut, return_tensors="pt", padding=True, truncation=True, max_length=longest, return_special_tokens_mask=True
    )
    special_BT = batch.pop("special_tokens_mask").bool()
    if batch["input_ids"].shape[1] == 0:
        return [(torch.zeros(1, 1), torch.zeros(1, dtype=torch.bool)) for _ in texts]
    states = encoder(**batch, output_hidden_states=True).hidden_states
    states_BTH = states[-1 if layer is None else layer].float()
    if normalized:
        states_BTH = torch.nn.functional.normalize(states_BTH, dim=-1)
    real_BT = batch["attention_mask"].bool()
    return [
        (states_TH[real_T], ~special_T[real_T])
        for states_TH, real_T, special_T in zip(states_BTH, real_BT, special_BT, strict=True)
    ]


def _mean(values_T: "Tensor", counted_T: "Tensor") -> float:
    return float(values_T[counted_T].mean())


def _signature(metric: str, model: str, rules: str) -> str:
    _, encoder = load_encoder(model)
    commit = getattr(encoder.config, "_commit_hash", None)
    versions = f"transformers:{importlib.metadata.version('transformers')}"
    return f"{metric}|model:{model}{f'@{commit}' if commit else ''}|{rules}|corpus:mean|{versions}|version:1"
