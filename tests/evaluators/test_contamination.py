"""What test items share with the training data."""

import pytest

from evaluators.contamination import Contamination, Pair, find_contamination

WORDS = [f"w{number}" for number in range(30)]


def look(item: Pair, *training: Pair, ngram: int = 13) -> Contamination:
    return find_contamination([item], training, ngram=ngram)[0]


def text(first: int, last: int) -> str:
    return " ".join(WORDS[first:last])


def test_thirteen_words_in_a_row_overlap_and_twelve_do_not() -> None:
    item = Pair(input="ask", output=text(0, 20))
    assert look(item, Pair(input="x", output="a " + text(5, 18) + " b")).overlaps
    assert not look(item, Pair(input="x", output="a " + text(5, 17) + " b")).overlaps
    assert look(item, Pair(input=text(5, 17), output="x"), ngram=12).overlaps


def test_overlap_is_found_on_both_sides_whatever_the_case_and_punctuation() -> None:
    item = Pair(input="ask", output=text(0, 13))
    assert look(item, Pair(input=", ".join(WORDS).upper(), output="x")).overlaps


def test_reference_that_is_too_short_cannot_overlap_but_may_be_a_duplicate() -> None:
    item = Pair(input="int size() { return n; }", output="int Size() { return n; }")
    found = look(item, Pair(input="int  size(){return n;}", output="int Size(){\n return n; }"))
    assert found == Contamination(overlaps=False, duplicate=True)


def test_pair_in_the_other_direction_is_a_duplicate_and_half_a_pair_is_not() -> None:
    item = Pair(input="one", output="two")
    assert look(item, Pair(input="two", output="one")).duplicate
    assert not look(item, Pair(input="one", output="three")).duplicate


def test_every_item_has_its_own_answer() -> None:
    items = [Pair(input="a", output=text(0, 13)), Pair(input="b", output=text(10, 30)), Pair(input="c", output="d")]
    found = find_contamination(items, [Pair(input="x", output=text(10, 25)), Pair(input="c", output="d")])
    assert [(item.overlaps, item.duplicate) for item in found] == [(False, False), (True, False), (False, True)]


def test_length_of_a_run_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        find_contamination([], [], ngram=0)
