"""Similarity of texts as strings: BLEU, chrF, exact match and edit similarity.

One decision: where the field has an implementation that others report (sacrebleu), it is called with
its defaults and its signature is handed on; what is ours says its rules in the signature. Every metric
gives 0 for an empty output, also against an empty reference.
"""

from collections.abc import Sequence

from evaluators.similarity.alignment import edit_distance, is_too_long
from evaluators.similarity.scored import Scored, averaged


def score_bleu(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """SacreBLEU: the corpus with its defaults, each pair with the effective order (short texts)."""
    # Imported here, as chrF's: a tenth of a second, which the table of metrics must not cost.
    from sacrebleu.metrics.bleu import BLEU

    corpus, single = BLEU(), BLEU(effective_order=True)
    scores = [single.sentence_score(*pair).score for pair in _pairs(predictions, references)]
    total = corpus.corpus_score(predictions, [references]).score
    return Scored(
        per_instance=tuple(map(_at_most_100, scores)),
        corpus=_at_most_100(total),
        signature=f"bleu|corpus:[{corpus.get_signature()}]|instance:[{single.get_signature()}]",
    )


def score_chrf(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """SacreBLEU's chrF2 (character 6-grams, no word n-grams)."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    scores = [metric.sentence_score(*pair).score for pair in _pairs(predictions, references)]
    total = metric.corpus_score(predictions, [references]).score
    return Scored(
        per_instance=tuple(map(_at_most_100, scores)),
        corpus=_at_most_100(total),
        signature=f"chrf|{metric.get_signature()}",
    )


def score_exact_match(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """100 where the texts are equal with runs of white space taken as one blank, else 0."""
    pairs = zip(map(_squeeze, predictions), map(_squeeze, references), strict=True)
    scores = [100.0 * (prediction == reference != "") for prediction, reference in pairs]
    return averaged(scores, signature="exact_match|case:mixed|space:squeezed|empty:0|corpus:mean|version:1")


def score_edit_similarity(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """100 x (1 - Levenshtein distance / longer length), in characters, white space squeezed."""
    scores: list[float | None] = []
    notes = []
    for index, pair in enumerate(zip(map(_squeeze, predictions), map(_squeeze, references), strict=True)):
        prediction, reference = pair
        if is_too_long(prediction, reference):
            scores.append(None)
            notes.append(f"pair {index + 1}: {len(prediction):,} and {len(reference):,} characters are too many")
        else:
            longer = max(len(prediction), len(reference))
            scores.append(100 * (1 - edit_distance(prediction, reference) / longer) if prediction else 0.0)
    signature = "edit_similarity|levenshtein|unit:char|case:mixed|space:squeezed|corpus:mean|version:1"
    return averaged(scores, signature=signature, notes=notes)


def _pairs(predictions: Sequence[str], references: Sequence[str]) -> list[tuple[str, list[str]]]:
    return [(prediction, [reference]) for prediction, reference in zip(predictions, references, strict=True)]


def _at_most_100(score: float) -> float:
    # SacreBLEU gives 100.00000000000004 for identical texts.
    return min(score, 100.0)


def _squeeze(text: str) -> str:
    return " ".join(text.split())
