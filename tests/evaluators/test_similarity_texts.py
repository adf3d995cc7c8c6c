"""Text metrics: handed through from the libraries unchanged, ours by definition."""

from functools import cache

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from evaluators.similarity import score_pairs
from evaluators.similarity.texts import edit_distance

OUTPUTS = ["Returns the sum of two numbers.", "", "Close the stream", "a totally different text"]
REFERENCES = ["Returns the sum of both numbers.", "Opens a file.", "Close the stream", "Sorts the list."]


def test_bleu_is_what_sacrebleu_itself_computes() -> None:
    scores = score_pairs(OUTPUTS, REFERENCES, metrics=["bleu"])
    assert scores.corpus["bleu"] == pytest.approx(sacrebleu.corpus_bleu(OUTPUTS, [REFERENCES]).score)
    singles = [
        sacrebleu.sentence_bleu(output, [reference]).score
        for output, reference in zip(OUTPUTS, REFERENCES, strict=True)
    ]
    assert scores.per_instance["bleu"] == pytest.approx(singles)
    assert "tok:13a" in scores.signatures["bleu"]
    assert f"version:{sacrebleu.__version__}" in scores.signatures["bleu"]


def test_chrf_is_what_sacrebleu_itself_computes() -> None:
    scores = score_pairs(OUTPUTS, REFERENCES, metrics=["chrf"])
    assert scores.corpus["chrf"] == pytest.approx(sacrebleu.corpus_chrf(OUTPUTS, [REFERENCES]).score)
    assert scores.per_instance["chrf"][0] == pytest.approx(sacrebleu.sentence_chrf(OUTPUTS[0], [REFERENCES[0]]).score)


def test_rouge_l_is_the_f_measure_of_the_longest_common_subsequence() -> None:
    # "the cat sat" against "the cat sat down": recall 3/4, precision 3/3, F = 6/7.
    scores = score_pairs(["The cat sat!"], ["the cat sat down"], metrics=["rouge_l"])
    assert scores.per_instance["rouge_l"] == pytest.approx((100 * 6 / 7,))


def test_exact_match_overlooks_white_space_and_nothing_else() -> None:
    outputs = ["int  x;\n", "int X;", "int x ;"]
    scores = score_pairs(outputs, ["int x;"] * 3, metrics=["exact_match"])
    assert scores.per_instance["exact_match"] == (100.0, 0.0, 0.0)
    assert "space:squeezed" in scores.signatures["exact_match"]


def test_edit_similarity_is_one_minus_the_share_of_edits() -> None:
    scores = score_pairs(["kitten"], ["sitting"], metrics=["edit_similarity"])
    assert scores.per_instance["edit_similarity"] == pytest.approx((100 * (1 - 3 / 7),))


@given(st.text("abc", max_size=12), st.text("abcd", max_size=12))
def test_edit_distance_agrees_with_its_recursive_definition(left: str, right: str) -> None:
    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        replaced = distance(i - 1, j - 1) + (left[i - 1] != right[j - 1])
        return min(replaced, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    assert edit_distance(left, right) == distance(len(left), len(right))


@pytest.mark.parametrize("metric", ["bleu", "chrf", "rouge_l", "exact_match", "edit_similarity"])
def test_empty_output_scores_zero_against_any_reference(metric: str) -> None:
    scores = score_pairs(["", " \n", ""], ["some words", "some words", ""], metrics=[metric])
    assert scores.per_instance[metric] == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("metric", ["bleu", "chrf", "rouge_l", "exact_match", "edit_similarity"])
def test_identical_texts_score_a_hundred(metric: str) -> None:
    text = "Returns the sum of two numbers."
    scores = score_pairs([text], [text], metrics=[metric])
    assert scores.per_instance[metric] == pytest.approx((100.0,))
    assert all(value <= 100.0 for value in scores.applicable(metric))
