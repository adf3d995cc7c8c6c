"""Similarity of texts as strings: BLEU, chrF, ROUGE-L, exact match and edit similarity.

One decision: where the field has an implementation that others report (sacrebleu, rouge-score), it
is called with its defaults and its signature is handed on; what is ours says its rules in the
signature. Every metric gives 0 for an empty output, also against an empty reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from statistics import fmean

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One metric over all pairs: a score for each, one for the corpus, and how they came about."""

    per_instance: tuple[float | None, ...]
    corpus: float | None
    signature: str


def score_bleu(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """SacreBLEU: the corpus with its defaults, each pair with the effective order (short texts)."""
    corpus, single = BLEU(), BLEU(effective_order=True)
    scores = [single.sentence_score(*pair).score for pair in _pairs(predictions, references)]
    total = corpus.corpus_score(predictions, [references]).score
    return Scored(
        per_instance=tuple(map(_at_most_100, scores)),
        corpus=_at_most_100(total),
        signature=f"corpus:[{corpus.get_signature()}] instance:[{single.get_signature()}]",
    )


def score_chrf(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """SacreBLEU's chrF2 (character 6-grams, no word n-grams)."""
    metric = CHRF()
    scores = [metric.sentence_score(*pair).score for pair in _pairs(predictions, references)]
    total = metric.corpus_score(predictions, [references]).score
    return Scored(
        per_instance=tuple(map(_at_most_100, scores)),
        corpus=_at_most_100(total),
        signature=str(metric.get_signature()),
    )


def score_rouge_l(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """ROUGE-L's F-measure by rouge-score; the corpus value is the mean.

    Its tokeniser keeps lower-cased ASCII letters and digits alone.
    """
    # Imported here: rouge-score imports NLTK, 2.5 s that no other metric needs.
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    pairs = zip(predictions, references, strict=True)
    scores = [100 * scorer.score(reference, prediction)["rougeL"].fmeasure for prediction, reference in pairs]
    signature = f"rougeL|f1|stem:no|tok:a-z0-9|corpus:mean|rouge-score:{version('rouge-score')}"
    return _averaged(scores, signature=signature)


def score_exact_match(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """100 where the texts are equal with runs of white space taken as one blank, else 0."""
    pairs = zip(map(_squeeze, predictions), map(_squeeze, references), strict=True)
    scores = [100.0 * (prediction == reference != "") for prediction, reference in pairs]
    return _averaged(scores, signature="case:mixed|space:squeezed|empty:0|corpus:mean|version:1")


def score_edit_similarity(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """100 x (1 - Levenshtein distance / longer length), in characters, white space squeezed."""
    pairs = zip(map(_squeeze, predictions), map(_squeeze, references), strict=True)
    scores = [
        100 * (1 - edit_distance(prediction, reference) / max(len(prediction), len(reference))) if prediction else 0.0
        for prediction, reference in pairs
    ]
    return _averaged(scores, signature="levenshtein|unit:char|case:mixed|space:squeezed|corpus:mean|version:1")


def edit_distance(left: str, right: str) -> int:
    """Levenshtein's distance in characters.

    Myers' bit-parallel algorithm (1999, in Hyyrö's 2003 form): Python's integers hold a whole column
    of the table, so that two texts of 1,000 characters take about a thousand steps.
    """
    if not left or not right:
        return len(left) + len(right)
    where: dict[str, int] = {}
    for index, character in enumerate(left):
        where[character] = where.get(character, 0) | 1 << index
    everything, last = (1 << len(left)) - 1, 1 << (len(left) - 1)
    rises, falls, distance = everything, 0, len(left)
    for character in right:
        equal = where.get(character, 0)
        diagonal = (((equal & rises) + rises) ^ rises) | equal | falls
        up = falls | (everything & ~(diagonal | rises))
        down = rises & diagonal
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1 | 1) & everything, (down << 1) & everything
        rises = down | (everything & ~(diagonal | up))
        falls = up & diagonal
    return distance


def _pairs(predictions: Sequence[str], references: Sequence[str]) -> list[tuple[str, list[str]]]:
    return [(prediction, [reference]) for prediction, reference in zip(predictions, references, strict=True)]


def _averaged(scores: Sequence[float], *, signature: str) -> Scored:
    return Scored(per_instance=tuple(scores), corpus=fmean(scores), signature=signature)


def _at_most_100(score: float) -> float:
    # SacreBLEU gives 100.00000000000004 for identical texts.
    return min(score, 100.0)


def _squeeze(text: str) -> str:
    return " ".join(text.split())
