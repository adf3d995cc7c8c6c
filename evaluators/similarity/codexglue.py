"""The metrics behind CodeXGLUE's published tables (Lu et al. 2021, arXiv 2102.04664), by their own formulas.

One decision: each is a metric of its own beside sacrebleu's, since "BLEU" in those tables means two other
things. An empty output scores 0 here; their formula gives one e^-n against a reference of n tokens.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from evaluators.similarity.scored import Scored, averaged

_ORDERS = (1, 2, 3, 4)
# What their two steps (words and marks apart, then NIST's rules) come to: an underscore is a mark of its own.
_TOKENS = re.compile(r"_|[^\W_]+|[^\s\w]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """A pair, or a corpus, in n-grams of the orders 1 to 4 and in tokens."""

    matched: tuple[int, ...]
    written: tuple[int, ...]
    length: int
    expected_length: int


def score_bleu4_smooth(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """Smoothed BLEU-4 of code summarization: the mean over pairs.

    One is added to matches and totals of the orders 2 to 4 (Lin and Och 2004) and to both lengths in the brevity
    penalty; texts are lower-cased.
    """
    scores: list[float | None] = []
    for prediction, reference in zip(predictions, references, strict=True):
        counts = _count(_TOKENS.findall(prediction.lower()), _TOKENS.findall(reference.lower()))
        scores.append(100 * _smoothed_after_first(counts) if counts.length else 0.0)
    signature = "bleu4_smooth|codexglue:code-to-text|smooth:add1,n>1|bp:add1|case:lower|tok:word,mark|empty:0"
    return averaged(scores, signature=f"{signature}|corpus:mean|version:1")


def score_bleu_codexglue(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """BLEU of code translation, refinement and concode: the corpus over tokens between blanks.

    One is added to matches and totals of every order.
    """
    pairs = [_count(p.split(), r.split()) for p, r in zip(predictions, references, strict=True)]
    return Scored(
        per_instance=tuple(100 * _smoothed(counts) for counts in pairs),
        corpus=100 * _smoothed(_sum(pairs)),
        signature="bleu_codexglue|codexglue:code-to-code,text-to-code|smooth:add1|case:mixed|tok:blank|empty:0|version:1",
    )


def score_exact_match_strict(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """100 where the texts are equal but for white space at their ends, else 0."""
    pairs = zip(predictions, references, strict=True)
    scores = [100.0 * (prediction.strip() == reference.strip() != "") for prediction, reference in pairs]
    return averaged(
        scores, signature="exact_match_strict|strict|case:mixed|ends:stripped|empty:0|corpus:mean|version:1"
    )


def _count(words: Sequence[str], expected: Sequence[str]) -> _Counts:
    common = [(_ngrams(words, order) & _ngrams(expected, order)).total() for order in _ORDERS]
    return _Counts(
        matched=tuple(common),
        written=tuple(max(0, len(words) - order + 1) for order in _ORDERS),
        length=len(words),
        expected_length=len(expected),
    )


def _ngrams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(order)), strict=False))


def _sum(pairs: Sequence[_Counts]) -> _Counts:
    return _Counts(
        matched=tuple(map(sum, zip(*(pair.matched for pair in pairs), strict=True))),
        written=tuple(map(sum, zip(*(pair.written for pair in pairs), strict=True))),
        length=sum(pair.length for pair in pairs),
        expected_length=sum(pair.expected_length for pair in pairs),
    )


def _smoothed_after_first(counts: _Counts) -> float:
    if not counts.matched[0]:
        return 0.0
    precisions = [counts.matched[0] / counts.written[0]]
    precisions += [(m + 1) / (w + 1) for m, w in zip(counts.matched[1:], counts.written[1:], strict=True)]
    return _mean(precisions) * math.exp(min(0.0, 1 - (counts.expected_length + 1) / (counts.length + 1)))


def _smoothed(counts: _Counts) -> float:
    if not counts.length:
        return 0.0
    precisions = [(m + 1) / (w + 1) for m, w in zip(counts.matched, counts.written, strict=True)]
    return _mean(precisions) * math.exp(min(0.0, 1 - counts.expected_length / counts.length))


def _mean(precisions: Sequence[float]) -> float:
    """Their geometric mean."""
    return math.exp(math.fsum(map(math.log, precisions)) / len(precisions))


__all__ = ["score_bleu4_smooth", "score_bleu_codexglue", "score_exact_match_strict"]
