"""ROUGE-1, ROUGE-2 and ROUGE-L: F-measures by rouge-score.

One decision: rouge-score's tokeniser, n-gram scores and F-measure are called; the longest common
subsequence is our own, since its table of every pair of words takes minutes and gigabytes for long texts.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import version

from evaluators.similarity.alignment import common_length, is_too_long
from evaluators.similarity.scored import Scored, averaged


def score_rouge(predictions: Sequence[str], references: Sequence[str], *, variant: str) -> Scored:
    """`variant` is `rouge1`, `rouge2` or `rougeL`; 0-100, the corpus value being the mean.

    The tokeniser keeps lower-cased ASCII letters and digits alone.
    """
    # Imported here: rouge-score imports NLTK, seconds that no other metric needs.
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    scorer = RougeScorer([variant], use_stemmer=False)
    tokenize: Callable[[str], list[str]] = DefaultTokenizer(use_stemmer=False).tokenize
    scores: list[float | None] = []
    notes = []
    for index, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        if variant != "rougeL":
            scores.append(100 * scorer.score(reference, prediction)[variant].fmeasure)
            continue
        words, expected = tokenize(prediction), tokenize(reference)
        if is_too_long(words, expected):
            scores.append(None)
            notes.append(f"pair {index + 1}: {len(words):,} and {len(expected):,} words are too many")
        else:
            scores.append(_longest_common(words, expected))
    signature = f"{variant}|f1|stem:no|tok:a-z0-9|corpus:mean|rouge-score:{version('rouge-score')}"
    return averaged(scores, signature=signature, notes=notes)


def _longest_common(words: Sequence[str], expected: Sequence[str]) -> float:
    from rouge_score.scoring import fmeasure

    if not words or not expected:
        return 0.0
    length = common_length(words, expected)
    return 100 * float(fmeasure(length / len(words), length / len(expected)))
