"""Which token comes next.

One decision: a token is drawn by one number between 0 and 1 that depends on the seed, the problem, the sample and the
token's place in its answer, and on nothing else. So a sampled answer is the same in any company, order or restart.

Letters of shapes: S texts, V vocabulary.
"""

import hashlib

import numpy
import torch
from torch import Tensor

from evaluators.generation.settings import GenerationSettings


def draws(seed: int, problem_id: str, sample: int, *, count: int) -> tuple[float, ...]:
    """The numbers by which an answer's tokens are drawn, each at least 0 and below 1.

    By Philox, a counter-based generator (Salmon et al. 2011), keyed by a digest of what the answer is known by.
    """
    generator = numpy.random.Generator(numpy.random.Philox(key=_key(seed, problem_id, sample, size=16)))
    return tuple(generator.random(count, dtype=numpy.float32).tolist())


def seed_of(seed: int, problem_id: str, sample: int) -> int:
    """What an engine that draws by itself is seeded with for an answer, at least 0 and of 63 bits."""
    return _key(seed, problem_id, sample, size=8) >> 1


def _key(seed: int, problem_id: str, sample: int, *, size: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{problem_id}/{sample}".encode()).digest()[:size])


def choose(logits_SV: Tensor, settings: GenerationSettings, *, draw_S: Tensor | None, seen_SV: Tensor | None) -> Tensor:
    """The next token of each text, (S,).

    Args:
        logits_SV: The model's word.
        settings: How to decode.
        draw_S: Each text's number for this token; None where decoding is greedy.
        seen_SV: Which tokens each text has already, prompt included; None where that makes no difference.
    """
    scores_SV = logits_SV.float()
    if seen_SV is not None:
        # Keskar et al. 2019: what was there becomes less likely whatever the sign of its score.
        punished = torch.where(
            scores_SV < 0, scores_SV * settings.repetition_penalty, scores_SV / settings.repetition_penalty
        )
        scores_SV = torch.where(seen_SV, punished, scores_SV)
    if draw_S is None:
        return scores_SV.argmax(dim=-1)
    likely_SV, token_SV = (scores_SV / settings.temperature).softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    return token_SV.gather(1, _drawn(_kept(likely_SV, settings), draw_S)[:, None])[:, 0]


def _kept(likely_SV: Tensor, settings: GenerationSettings) -> Tensor:
    """Probabilities, the largest first, without those that may not be drawn: top-k, then top-p, then min-p."""
    if settings.top_k:
        likely_SV = likely_SV.clone()
        likely_SV[:, settings.top_k :] = 0
        likely_SV = likely_SV / likely_SV.sum(dim=-1, keepdim=True)
    if settings.top_p < 1:
        before_SV = likely_SV.cumsum(dim=-1) - likely_SV
        likely_SV = likely_SV.where(before_SV < settings.top_p, 0)
    if settings.min_p:
        likely_SV = likely_SV.where(likely_SV >= settings.min_p * likely_SV[:, :1], 0)
    return likely_SV


def _drawn(kept_SV: Tensor, draw_S: Tensor) -> Tensor:
    """The place that a number falls on when probabilities are laid side by side, (S,)."""
    ends_SV = kept_SV.cumsum(dim=-1)
    falls_S1 = (draw_S * ends_SV[:, -1])[:, None]
    place_S = (ends_SV <= falls_S1).sum(dim=-1)
    # Rounding may put a number behind the last place that is allowed.
    last_S = (kept_SV > 0).sum(dim=-1) - 1
    return place_S.minimum(last_S)


__all__ = ["choose", "draws", "seed_of"]
