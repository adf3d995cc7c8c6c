"""ROUGE where its tokeniser sees nothing of a text, and ROUGE-L for every script."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.similarity import score_pairs
from evaluators.similarity.rouge import score_rouge, score_rouge_l_unicode, tokenize_unicode

OTHER_SCRIPTS = ["返回两个数的和", "สวัสดี", "Возвращает сумму", "दो संख्याओं का योग", "합계를 반환", "数値の合計を返す"]
ROUGE = ["rouge_1", "rouge_2", "rouge_l"]


@pytest.mark.parametrize("metric", ROUGE)
def test_text_in_a_script_that_rouge_does_not_read_is_not_scored(metric: str) -> None:
    scores = score_pairs([*OTHER_SCRIPTS, "a sum"], [*OTHER_SCRIPTS, "a sum"], metrics=[metric])
    assert scores.per_instance[metric] == (*[None] * 6, 100.0)
    (note,) = scores.notes[metric]
    assert note.startswith("pairs 1, 2, 3, 4, 5 and 1 more: the reference is in a script") and "rouge_l_unicode" in note


def test_one_ascii_name_does_not_make_other_letters_seen() -> None:
    # Tokenised, both are "x" alone, and would be equal.
    scores = score_pairs(["删除 x 的文件"], ["返回 x 的总和"], metrics=["rouge_l"])
    assert scores.per_instance["rouge_l"] == (None,)


def test_a_few_accents_are_read_as_ever() -> None:
    scores = score_pairs(["A naïve sum"], ["A naïve sum"], metrics=["rouge_l"])
    assert scores.per_instance["rouge_l"] == (100.0,) and not scores.notes


def test_output_in_another_script_than_an_english_reference_is_0() -> None:
    assert score_pairs(["返回"], ["returns"], metrics=["rouge_l"]).per_instance["rouge_l"] == (0.0,)


def test_empty_output_is_0_whatever_the_reference() -> None:
    assert score_pairs(["", ""], ["返回", ""], metrics=ROUGE).per_instance["rouge_1"] == (0.0, 0.0)


@pytest.mark.parametrize("text", OTHER_SCRIPTS)
def test_rouge_l_unicode_reads_every_script(text: str) -> None:
    scores = score_pairs([text, "1"], [text, text], metrics=["rouge_l_unicode"])
    assert scores.per_instance["rouge_l_unicode"] == (pytest.approx(100.0), 0.0)


def test_scripts_without_blanks_are_compared_by_characters() -> None:
    assert tokenize_unicode("返回 foo_2 的和") == ["返", "回", "foo", "2", "的", "和"]
    assert tokenize_unicode("สวัสดี") == ["ส", "วั", "ส", "ดี"]
    assert tokenize_unicode("Возвращает сумму.") == ["возвращает", "сумму"]
    assert tokenize_unicode("हिन्दी") == ["हिन्दी"]
    # 4 of 5 characters, in order: F = 4/5.
    scores = score_pairs(["返回两数和"], ["返回两数差"], metrics=["rouge_l_unicode"])
    assert scores.per_instance["rouge_l_unicode"] == pytest.approx((80.0,))


@given(st.lists(st.sampled_from(["the", "sum", "Of", "x1", "(", "2"]), max_size=10).map(" ".join))
def test_on_english_it_is_rouge_l(text: str) -> None:
    both = score_pairs([text, "the sum"], ["sum of the 2", text], metrics=["rouge_l", "rouge_l_unicode"])
    assert both.per_instance["rouge_l_unicode"] == both.per_instance["rouge_l"]


@pytest.mark.parametrize("variant", ["rouge1", "rougeL", "unicode"])
def test_pair_without_a_word_is_not_scored_and_said(variant: str) -> None:
    texts = ["\U0001f44d", ":)", "one word"]
    score = score_rouge_l_unicode if variant == "unicode" else partial(score_rouge, variant=variant)
    found = score(texts, texts)
    assert list(found.per_instance) == [None, None, 100.0]
    assert found.notes == ("pairs 1, 2: the reference holds no letter and no digit, nor does what is scored",)
    assert list(score(["", "x"], texts[1:]).per_instance) == [0.0, 0.0], "an empty prediction counts as 0"
    assert list(score(["a word"], [":)"]).per_instance) == [0.0]
