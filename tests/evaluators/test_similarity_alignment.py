"""Alignments in bits: as the tables that define them, and quick for long texts."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.similarity.alignment import common_length, edit_distance, is_too_long


@given(st.text("abc", max_size=12), st.text("abcd", max_size=12))
def test_edit_distance_agrees_with_its_recursive_definition(left: str, right: str) -> None:
    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        replaced = distance(i - 1, j - 1) + (left[i - 1] != right[j - 1])
        return min(replaced, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    assert edit_distance(left, right) == distance(len(left), len(right)) == edit_distance(right, left)


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 4), max_size=12))
def test_common_length_agrees_with_its_recursive_definition(left: list[int], right: list[int]) -> None:
    @cache
    def longest(i: int, j: int) -> int:
        if not i or not j:
            return 0
        if left[i - 1] == right[j - 1]:
            return longest(i - 1, j - 1) + 1
        return max(longest(i - 1, j), longest(i, j - 1))

    assert common_length(left, right) == longest(len(left), len(right)) == common_length(right, left)


@pytest.mark.timeout(60)
def test_short_text_against_five_megabytes_is_aligned() -> None:
    assert edit_distance("ab", "ab" * 2_500_000) == 4_999_998
    assert common_length("ab", "ba" * 2_500_000) == 2


def test_two_long_texts_are_too_long_unless_they_are_equal() -> None:
    text = "x" * 1_000_000
    assert is_too_long(text, text + "y")
    assert not is_too_long(text, text)
    assert edit_distance(text, text) == 0
