"""CodeBLEU (Ren et al. 2020, arXiv 2009.10297) over today's tree-sitter grammars, with its four parts.

One decision: every pair is reduced to counts that can be added up, so that a corpus is scored by the
same formula over summed counts (as the reference implementation does) and a pair by its own.

The figures are those of codebleu 0.7.0, tokens (split at white space) included, except where it departs
from the paper, depends on chance or flatters. What differs, each with a test:

1. a reference without dataflow has no such part, and the others share its weight; there it counts as
   matched, which gives every output 25, even an empty one;
2. a subtree of the reference is matched as often as the output has it (the paper's clipped count); there
   any number of times; and empty code has no subtree, where there two empty trees match;
3. what a name comes from is listed in the order of the text; there in that of a hash, which changes from
   process to process;
4. n-gram orders longer than the reference are left out, and its weighted words are counted as they are;
   there at least one is assumed of each pair and order, so that a short exact copy scores less than 100;
5. the weighted part has no brevity penalty, being a recall; there the reference's length is taken as 2,
   which costs outputs of one word alone;
6. C# is read by the names of its grammar (`int b = a` hands a to b, `foreach` and `for` are loops); there
   by names that its grammar no longer has;
7. code that the dataflow's reader does not expect loses nothing; there an exception drops all its flows;
8. in Python `a.b = c.d` is one assignment and values inside an f-string are read; there the first is three
   and the second none.

In the weighted part both leave the paper's words (unigrams alone, a precision) for what its authors
released and all published figures use: four orders, keywords weighted among the unigrams, a recall.
"""

import importlib.metadata
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from evaluators.languages import LANGUAGES
from evaluators.languages.flows import Flow
from evaluators.languages.reading import extract_flows, read_tree
from tasks.records import Language

_T = TypeVar("_T", bound=Hashable)
_ORDERS = (1, 2, 3, 4)
_ORDINARY_WEIGHT = 0.2
"""Of a word that is no keyword, against 1 for a keyword: the reference implementation's value."""
_EPSILON = 0.1
"""Matches assumed for an order without any: NLTK's smoothing method 1, as in the reference."""

VERSION = 2


def signature(language: Language) -> str:
    """How CodeBLEU is computed, with the grammar's version, which a tree may depend on."""
    grammar = LANGUAGES[language].grammar.package
    rules = "parts:4x0.25|tok:space|smooth:eps0.1|clip:yes|no-dataflow:weight-shared"
    return f"codebleu|lang:{language}|{rules}|{grammar}:{importlib.metadata.version(grammar)}|version:{VERSION}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBleu:
    """The score and its parts, each 0-100. `dataflow` is None where the reference has no dataflow."""

    score: float
    ngram: float
    weighted: float
    syntax: float
    dataflow: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    """What is compared of one program; n-grams by order."""

    length: int
    ngrams: tuple[Counter[tuple[str, ...]], ...]
    subtrees: Counter[int]
    flows: Counter[Flow]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tally:
    """Counts of one pair or of many.

    `lengths` are output and reference in tokens; the next four run over the n-gram orders 1 to 4;
    `structure` holds subtrees matched and expected, then flows matched and expected.
    """

    lengths: tuple[float, ...]
    matched: tuple[float, ...]
    written: tuple[float, ...]
    weighted_matched: tuple[float, ...]
    weighted_expected: tuple[float, ...]
    structure: tuple[float, ...]


def score_codebleu(
    predictions: Sequence[str], references: Sequence[str], *, language: Language
) -> tuple[tuple[CodeBleu, ...], CodeBleu]:
    """CodeBLEU of every pair, and of the corpus from summed counts."""
    tallies = [
        _tally(_read(prediction, language), _read(reference, language), language)
        for prediction, reference in zip(predictions, references, strict=True)
    ]
    return tuple(map(_score, tallies)), _score(_sum(tallies))


# The same references meet the outputs of every model of a study, and models often write the same.
@lru_cache(maxsize=8192)
def _read(code: str, language: Language) -> _Program:
    tokens = code.split()
    tree = read_tree(code, language=language)
    return _Program(
        length=len(tokens),
        ngrams=tuple(_ngrams(tokens, order) for order in _ORDERS),
        subtrees=tree.shapes,
        flows=extract_flows(tree, language=language),
    )


def _ngrams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def _tally(output: _Program, reference: _Program, language: Language) -> _Tally:
    weigh = LANGUAGES[language].keywords
    words = _common(output.ngrams[0], reference.ngrams[0])
    matched = (
        sum(words.values()),
        *(_overlap(ours, theirs) for ours, theirs in zip(output.ngrams[1:], reference.ngrams[1:], strict=True)),
    )
    return _Tally(
        lengths=(output.length, reference.length),
        matched=matched,
        written=_totals(output.length),
        weighted_matched=(_weigh(words, weigh), *matched[1:]),
        weighted_expected=(_weigh(reference.ngrams[0], weigh), *_totals(reference.length)[1:]),
        structure=(
            _overlap(output.subtrees, reference.subtrees),
            reference.subtrees.total(),
            _overlap(output.flows, reference.flows),
            reference.flows.total(),
        ),
    )


def _totals(length: int) -> tuple[int, ...]:
    """How many n-grams of each order a text of some tokens has."""
    return tuple(max(0, length - order + 1) for order in _ORDERS)


def _common(ours: Mapping[_T, int], theirs: Mapping[_T, int]) -> dict[_T, int]:
    """What both have, as often as both have it."""
    if len(theirs) < len(ours):
        ours, theirs = theirs, ours
    return {key: count if count < theirs[key] else theirs[key] for key, count in ours.items() if key in theirs}


def _overlap(ours: Counter[_T], theirs: Counter[_T]) -> int:
    return ours.total() if ours == theirs else sum(_common(ours, theirs).values())


def _weigh(unigrams: Mapping[tuple[str, ...], int], keywords: frozenset[str]) -> float:
    # Keywords are summed apart, so that the sum does not depend on the order of the words.
    special = sum(count for (word,), count in unigrams.items() if word in keywords)
    return special + _ORDINARY_WEIGHT * (sum(unigrams.values()) - special)


def _score(tally: _Tally) -> CodeBleu:
    output_length, reference_length = tally.lengths
    orders = [index for index, expected in enumerate(tally.weighted_expected) if expected]
    ngram = _brevity(output_length, reference_length) * _mean_match(tally.matched, tally.written, orders)
    # A recall, as in the reference implementation, hence without a brevity penalty: what a short
    # output leaves out already counts against it. (There the penalty is in the code but always 1.)
    weighted = _mean_match(tally.weighted_matched, tally.weighted_expected, orders)
    subtrees_matched, subtrees_expected, flows_matched, flows_expected = tally.structure
    syntax = subtrees_matched / subtrees_expected if subtrees_expected else 0.0
    dataflow = flows_matched / flows_expected if flows_expected else None
    parts = [part for part in (ngram, weighted, syntax, dataflow) if part is not None]
    return CodeBleu(
        score=100 * math.fsum(parts) / len(parts),
        ngram=100 * ngram,
        weighted=100 * weighted,
        syntax=100 * syntax,
        dataflow=None if dataflow is None else 100 * dataflow,
    )


def _mean_match(matched: Sequence[float], possible: Sequence[float], orders: Sequence[int]) -> float:
    """Geometric mean over the orders; 0 when not a single word matches."""
    if not matched[0]:
        return 0.0
    logs = [math.log((matched[order] or _EPSILON) / (possible[order] or 1)) for order in orders]
    return math.exp(math.fsum(logs) / len(logs))


def _brevity(output_length: float, reference_length: float) -> float:
    if output_length >= reference_length:
        return 1.0
    return math.exp(1 - reference_length / output_length) if output_length else 0.0


def _sum(tallies: Sequence[_Tally]) -> _Tally:
    def add_up(rows: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
        return tuple(map(math.fsum, zip(*rows, strict=True)))

    return _Tally(
        lengths=add_up(tally.lengths for tally in tallies),
        matched=add_up(tally.matched for tally in tallies),
        written=add_up(tally.written for tally in tallies),
        weighted_matched=add_up(tally.weighted_matched for tally in tallies),
        weighted_expected=add_up(tally.weighted_expected for tally in tallies),
        structure=add_up(tally.structure for tally in tallies),
    )
