"""ROUGE-1, ROUGE-2 and ROUGE-L: F-measures by rouge-score, and ROUGE-L for scripts that it does not read.

Two decisions. rouge-score's tokeniser, n-gram scores and F-measure are called; the longest common
subsequence is our own, since its table of every pair of words takes minutes and gigabytes for long texts. And
its tokeniser keeps a-z and 0-9 alone: a reference most of whose letters it drops has no score, instead of 0.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from importlib.metadata import version

from evaluators.similarity.alignment import common_length, is_too_long
from evaluators.similarity.scored import Scored, averaged

_UNREAD = "is in a script that its tokeniser (a-z, 0-9) does not read; rouge_l_unicode does"
_WORDLESS = "holds no letter and no digit, nor does what is scored"
_SHOWN = 5
"""Pairs that a note names."""
# Scripts whose words no blank parts, by the first word of their characters' names.
_WITHOUT_BLANKS = frozenset({"CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"})


def score_rouge(predictions: Sequence[str], references: Sequence[str], *, variant: str) -> Scored:
    """`variant` is `rouge1`, `rouge2` or `rougeL`; 0-100, the corpus value being the mean.

    The tokeniser keeps lower-cased ASCII letters and digits alone; a pair whose reference is mostly of other
    letters is not scored, nor one in which neither side holds a word.
    """
    # Imported here: rouge-score imports NLTK, seconds that no other metric needs.
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    scorer = RougeScorer([variant], use_stemmer=False)
    tokenize: Callable[[str], list[str]] = DefaultTokenizer(use_stemmer=False).tokenize
    scores: list[float | None] = []
    notes: list[str] = []
    unread: list[int] = []
    wordless: list[int] = []
    for index, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        if _is_wordless(prediction) and _is_wordless(reference):
            scores.append(None)
            wordless.append(index + 1)
        elif prediction.strip() and _is_unread(reference):
            scores.append(None)
            unread.append(index + 1)
        elif variant != "rougeL":
            scores.append(100 * scorer.score(reference, prediction)[variant].fmeasure)
        else:
            scores.append(_longest_common(tokenize(prediction), tokenize(reference), notes=notes, number=index + 1))
    signature = f"{variant}|f1|stem:no|tok:a-z0-9|corpus:mean|rouge-score:{version('rouge-score')}"
    return averaged(scores, signature=signature, notes=[*notes, *_tell(unread, _UNREAD), *_tell(wordless, _WORDLESS)])


def score_rouge_l_unicode(predictions: Sequence[str], references: Sequence[str]) -> Scored:
    """ROUGE-L over words of any script, and over characters where a script writes no blanks between words."""
    scores: list[float | None] = []
    notes: list[str] = []
    wordless: list[int] = []
    for index, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        if _is_wordless(prediction) and _is_wordless(reference):
            scores.append(None)
            wordless.append(index + 1)
            continue
        words, expected = tokenize_unicode(prediction), tokenize_unicode(reference)
        scores.append(_longest_common(words, expected, notes=notes, number=index + 1))
    signature = (
        "rouge_l_unicode|rougeL|f1|stem:no|tok:unicode-words,chars-without-blanks|case:lower|corpus:mean|version:1"
    )
    return averaged(scores, signature=signature, notes=[*notes, *_tell(wordless, _WORDLESS)])


def tokenize_unicode(text: str) -> list[str]:
    """Runs of letters, digits and their marks, lower-cased; of scripts without blanks each character with its marks."""
    tokens: list[str] = []
    # What the next character may join: nothing, the mark's base ("single"), or a word.
    state = ""
    for character in unicodedata.normalize("NFC", text).lower():
        category = unicodedata.category(character)[0]
        if category not in "LNM" or (category == "M" and not state):
            state = ""
        elif category == "M" or (state == "word" and not _stands_alone(character)):
            tokens[-1] += character
        else:
            tokens.append(character)
            state = "single" if _stands_alone(character) else "word"
    return tokens


def _stands_alone(character: str) -> bool:
    return re.split("[ -]", unicodedata.name(character, ""), maxsplit=1)[0] in _WITHOUT_BLANKS


def _is_unread(text: str) -> bool:
    """Whether the tokeniser drops more of a text's letters and digits than it keeps."""
    written = [character for character in text if character.isalnum()]
    return 2 * sum(character.isascii() for character in written) < len(written)


def _is_wordless(text: str) -> bool:
    """Whether a text that is not empty holds no letter and no digit, as one of emoji or of dots."""
    return bool(text.strip()) and not any(character.isalnum() for character in text)


def _tell(pairs: Sequence[int], why: str) -> list[str]:
    if not pairs:
        return []
    named = ", ".join(map(str, pairs[:_SHOWN])) + (f" and {len(pairs) - _SHOWN} more" if pairs[_SHOWN:] else "")
    return [f"pair{'s' if pairs[1:] else ''} {named}: the reference {why}"]


def _longest_common(words: Sequence[str], expected: Sequence[str], *, notes: list[str], number: int) -> float | None:
    """F-measure of the longest common subsequence, 0-100; None, with a note, where there are too many words."""
    from rouge_score.scoring import fmeasure

    if is_too_long(words, expected):
        notes.append(f"pair {number}: {len(words):,} and {len(expected):,} words are too many")
        return None
    if not words or not expected:
        return 0.0
    length = common_length(words, expected)
    return 100 * float(fmeasure(length / len(words), length / len(expected)))


__all__ = ["score_rouge", "score_rouge_l_unicode", "tokenize_unicode"]
