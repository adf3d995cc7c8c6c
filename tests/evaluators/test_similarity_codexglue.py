"""CodeXGLUE's metrics against its published formulas, written here a second time in their own steps.

The formulas: Lin and Och 2004's smoothing as in mteval-v11a's descendants (code summarization), and BLEU with
one added to every order over tokens between blanks (translation, refinement, concode).
"""

import gzip
import json
import math
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.similarity import METRICS, score_pairs

PUBLISHED = ["bleu4_smooth", "bleu_codexglue", "exact_match_strict", "exact_match"]


def nist_tokens(text: str) -> list[str]:
    """The published steps in their order: words and marks apart, then NIST's rules for western languages."""
    text = " " + " ".join(re.findall(r"[\w]+|[^\s\w]", text.strip().lower())) + " "
    text = re.sub(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])", r" \1 ", text)
    text = re.sub(r"([^0-9])([\.,])", r"\1 \2 ", text)
    text = re.sub(r"([\.,])([^0-9])", r" \1 \2", text)
    return re.sub(r"([0-9])(-)", r"\1 \2 ", text).split()


def counted(words: Sequence[str], order: int) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for start in range(len(words) - order + 1):
        gram = tuple(words[start : start + order])
        found[gram] = found.get(gram, 0) + 1
    return found


def matches(words: Sequence[str], expected: Sequence[str], order: int) -> int:
    theirs = counted(expected, order)
    return sum(min(count, theirs.get(gram, 0)) for gram, count in counted(words, order).items())


def published_bleu4_smooth(prediction: str, reference: str) -> float:
    words, expected = nist_tokens(prediction), nist_tokens(reference)
    log, tiny = 0.0, sys.float_info.min
    for order in range(1, 5):
        add = 1 if order > 1 else 0
        guess = max(0, len(words) - order + 1)
        log += math.log(matches(words, expected, order) + add + tiny) - math.log(guess + add + tiny)
    return 100 * math.exp(log / 4 + min(0, 1 - (len(expected) + 1) / (len(words) + 1)))


def published_corpus_bleu(predictions: Sequence[str], references: Sequence[str]) -> float:
    precisions = []
    pairs = [(p.strip().split(), r.strip().split()) for p, r in zip(predictions, references, strict=True)]
    for order in range(1, 5):
        hit = sum(matches(words, expected, order) for words, expected in pairs)
        possible = sum(max(0, len(words) - order + 1) for words, _ in pairs)
        precisions.append((hit + 1.0) / (possible + 1.0))
    ratio = sum(len(words) for words, _ in pairs) / sum(len(expected) for _, expected in pairs)
    penalty = 1.0 if ratio > 1.0 else math.exp(1 - 1.0 / ratio)
    return 100 * math.exp(sum(0.25 * math.log(p) for p in precisions)) * penalty


def noisy(text: str, seed: int) -> str:
    """A copy with tokens dropped, doubled, swapped or renamed, and blanks widened."""
    rng = random.Random(seed)
    words = text.split(" ")
    for _ in range(rng.randrange(0, 6)):
        at = rng.randrange(len(words))
        words[at : at + 1] = rng.choice([[], [words[at]] * 2, ["x_1"], [words[at], "", ""], [words[at].upper()]]) or [
            ""
        ]
    return " ".join(words)


def check(predictions: list[str], references: list[str]) -> None:
    scores = score_pairs(predictions, references, metrics=PUBLISHED)
    pairs = list(zip(predictions, references, strict=True))
    smooth = [published_bleu4_smooth(*pair) for pair in pairs]
    assert scores.per_instance["bleu4_smooth"] == pytest.approx(smooth, abs=5e-5)
    assert scores.corpus["bleu4_smooth"] == pytest.approx(sum(smooth) / len(pairs), abs=5e-5)
    assert scores.corpus["bleu_codexglue"] == pytest.approx(published_corpus_bleu(predictions, references), abs=5e-5)
    strict = 100 * sum(p.strip() == r.strip() for p, r in pairs) / len(pairs)
    assert scores.corpus["exact_match_strict"] == pytest.approx(strict)
    # concode's evaluator compares what split() leaves.
    assert scores.corpus["exact_match"] == pytest.approx(
        100 * sum(p.split() == r.split() for p, r in pairs) / len(pairs)
    )


@pytest.mark.data
@pytest.mark.parametrize("side", ["java", "cs"])
def test_translations_score_as_published_on_noisy_copies(data_root: Path, side: str) -> None:
    lines = (data_root / "codexglue_java_cs" / f"test.java-cs.txt.{side}").read_text(encoding="utf-8").splitlines()
    check([noisy(line, seed) for seed, line in enumerate(lines)], lines)


@pytest.mark.data
def test_concode_scores_as_published_on_noisy_copies(data_root: Path) -> None:
    with gzip.open(data_root / "codexglue_concode" / "dev.json.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    codes = [row["code"] for row in rows][:1500]
    check([noisy(code, seed) for seed, code in enumerate(codes)], codes)
    summaries = [row["nl"].split("concode_field_sep")[0] for row in rows][:1500]
    check([noisy(text, seed) for seed, text in enumerate(summaries)], summaries)


@given(st.text(alphabet="aB_1.,-;&<>/(é中 \t'", min_size=1), st.text(alphabet="aB_1.,-;&<>/(é中 \t'", min_size=1))
def test_any_marks_are_tokens_as_published(prediction: str, reference: str) -> None:
    if not prediction.strip() or not reference.strip():
        return
    scores = score_pairs([prediction], [reference], metrics=["bleu4_smooth"])
    assert scores.per_instance["bleu4_smooth"][0] == pytest.approx(
        published_bleu4_smooth(prediction, reference), abs=5e-5
    )


def test_strict_match_tells_blanks_apart_and_forgives_the_ends() -> None:
    outputs, references = ["a  b", "a b \n", "A b", ""], ["a b", "a b", "a b", ""]
    scores = score_pairs(outputs, references, metrics=["exact_match", "exact_match_strict"])
    assert scores.per_instance["exact_match_strict"] == (0.0, 100.0, 0.0, 0.0)
    assert scores.per_instance["exact_match"] == (100.0, 100.0, 0.0, 0.0)


def test_empty_outputs_are_scored_0_and_only_they() -> None:
    scores = score_pairs(["", "a b c d", ""], ["a b c d", "a b c d", ""], metrics=PUBLISHED)
    assert scores.per_instance["bleu4_smooth"] == (0.0, pytest.approx(100.0), 0.0)
    assert scores.per_instance["bleu_codexglue"] == (0.0, pytest.approx(100.0), 0.0)
    nothing = score_pairs(["", ""], ["a", "b"], metrics=PUBLISHED)
    assert set(nothing.corpus.values()) == {0.0}


def test_every_word_of_a_metric_stands_in_its_signature() -> None:
    told = {name for name, metric in METRICS.items() if metric.words}
    assert {"bleu4_smooth", "bleu_codexglue", "exact_match_strict", "rouge_l_unicode"} <= told
    scores = score_pairs(["a b"], ["a b"], metrics=[name for name in told if METRICS[name].suits_studies])
    for name, signature in scores.signatures.items():
        assert signature.startswith(name.split("_")[0]), name
        assert all(word in signature for word in METRICS[name].words), name
