"""Text metrics: handed through from the libraries unchanged, ours by definition."""

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from evaluators.similarity import score_pairs

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


WORDS = st.lists(st.sampled_from(["the", "sum", "of", "x", "y", "Two", "(", "1"]), max_size=12).map(" ".join)


@given(WORDS, WORDS)
def test_rouge_is_what_rouge_score_itself_computes(output: str, reference: str) -> None:
    names = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
    scores = score_pairs([output], [reference], metrics=list(names))
    expected = RougeScorer(list(names.values()), use_stemmer=False).score(reference, output)
    for ours, theirs in names.items():
        found = scores.per_instance[ours][0]
        if set(output.split()) == {"("} == set(reference.split()):
            assert found is None, "neither side has a word, of which rouge_score says 0"
        else:
            assert found == pytest.approx(100 * expected[theirs].fmeasure)


@given(WORDS, WORDS)
def test_symmetric_metrics_are_symmetric(left: str, right: str) -> None:
    metrics = ["rouge_1", "rouge_l", "exact_match", "edit_similarity"]
    forth = score_pairs([left], [right], metrics=metrics)
    back = score_pairs([right], [left], metrics=metrics)
    for metric in metrics:
        assert forth.per_instance[metric][0] == pytest.approx(back.per_instance[metric][0])


@pytest.mark.parametrize("metric", ["bleu", "rouge_1", "rouge_2", "rouge_l", "exact_match", "meteor_exact_stem"])
def test_texts_that_share_no_word_score_zero(metric: str) -> None:
    scores = score_pairs(["alpha beta gamma delta"], ["one two three four"], metrics=[metric])
    assert scores.per_instance[metric][0] == pytest.approx(0.0, abs=1e-9)


def test_pair_that_is_too_long_is_not_scored_and_says_so() -> None:
    left, right = "a b " * 250_000, "b c " * 250_000
    scores = score_pairs([left, "a"], [right, "a"], metrics=["edit_similarity", "rouge_l"])
    assert scores.per_instance["edit_similarity"] == (None, 100.0)
    assert scores.notes["edit_similarity"][0].startswith("pair 1: ")
    assert scores.mean("edit_similarity") == 100.0


@pytest.mark.parametrize("metric", ["bleu", "chrf", "rouge_1", "rouge_2", "rouge_l", "exact_match", "edit_similarity"])
def test_empty_output_scores_zero_against_any_reference(metric: str) -> None:
    scores = score_pairs(["", " \n", ""], ["some words", "some words", ""], metrics=[metric])
    assert scores.per_instance[metric] == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("metric", ["bleu", "chrf", "rouge_1", "rouge_2", "rouge_l", "exact_match", "edit_similarity"])
def test_identical_texts_score_a_hundred(metric: str) -> None:
    text = "Returns the sum of two numbers."
    scores = score_pairs([text], [text], metrics=[metric])
    assert scores.per_instance[metric] == pytest.approx((100.0,))
    assert all(value <= 100.0 for value in scores.applicable(metric))
