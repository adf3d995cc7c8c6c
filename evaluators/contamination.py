"""What a test item shares with the training data: whole pairs, and long runs of words.

One decision: the test items are indexed and the training data streamed past them, so memory grows with
the test set alone, and a quarter of a million examples take seconds.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NGRAM = 13
"""Words in a row that two texts do not share by chance (Brown et al. 2020, appendix C)."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is read and what should be written: a test item with its reference, or a training example."""

    input: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """Of one test item: whether its reference shares a run of words with the training data, and whether it is there."""

    overlaps: bool
    duplicate: bool


def find_contamination(
    items: Sequence[Pair], training: Iterable[Pair], *, ngram: int = NGRAM
) -> tuple[Contamination, ...]:
    """Look for each test item in the training data; white space, case and punctuation do not count.

    A reference overlaps if `ngram` of its words stand in a row in what a training example reads or
    writes; one with fewer words cannot. An item is a duplicate if a training example pairs the same two
    texts, in either direction.

    Raises:
        ValueError: if `ngram` is below 1.
    """
    if ngram < 1:
        raise ValueError(f"ngram must be at least 1, got {ngram}")
    runs: dict[int, list[int]] = {}
    pairs: dict[frozenset[str], list[int]] = {}
    for index, item in enumerate(items):
        for run in set(_runs(_words(item.output), ngram)):
            runs.setdefault(run, []).append(index)
        pairs.setdefault(_both(_words(item.input), _words(item.output)), []).append(index)
    overlapping: set[int] = set()
    duplicates: set[int] = set()
    for example in training:
        texts = (_words(example.input), _words(example.output))
        duplicates.update(pairs.get(_both(*texts), ()))
        for words in texts:
            for run in _runs(words, ngram):
                if run in runs:
                    overlapping.update(runs.pop(run))
    return tuple(
        Contamination(overlaps=index in overlapping, duplicate=index in duplicates) for index in range(len(items))
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _both(first: list[str], second: list[str]) -> frozenset[str]:
    return frozenset((" ".join(first), " ".join(second)))


def _runs(words: list[str], length: int) -> Iterable[int]:
    """Hashes of all runs of `length` words, 64 bits each."""
    return (hash(tuple(words[start : start + length])) for start in range(len(words) - length + 1))
