"""CodeBLEU (Ren et al. 2020, arXiv 2009.10297) over today's tree-sitter grammars, with its four parts.

One decision: every pair is reduced to counts that can be added up, so that a corpus is scored by the
same formula over summed counts (as the reference implementation does) and a pair by its own.

Where the paper and its implementation leave room or do harm, this follows:
- tokens are the language's own, without comments and docstrings: the reference splits on white
  space because its data came tokenised, and would here score formatting;
- a subtree of the reference is matched as often as the output has it (the paper's clipped count; the
  implementation matches it any number of times);
- a reference without dataflow has no such part, and the others share its weight; the implementation
  counts it as matched, which gives every output 25, even an empty one (codebleu 0.7.0);
- n-gram orders longer than the reference itself are left out, so that a short exact copy scores 100.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from evaluators.similarity.dataflow import Flow, extract_flows
from evaluators.similarity.keywords import KEYWORDS
from evaluators.similarity.syntax import count_subtrees, read_tree
from tasks.records import Language

_ORDERS = (1, 2, 3, 4)
_ORDINARY_WEIGHT = 0.2
"""Of a word that is no keyword, against 1 for a keyword: the reference implementation's value."""
_EPSILON = 0.1
"""Matches assumed for an order without any: NLTK's smoothing method 1, as in the reference."""

SIGNATURE = "own|parts:4x0.25|tok:grammar,no-comments|smooth:eps0.1|clip:yes|no-dataflow:weight-shared|version:1"


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
        _tally(_read(prediction, language), _read_reference(reference, language), language)
        for prediction, reference in zip(predictions, references, strict=True)
    ]
    return tuple(map(_score, tallies)), _score(_sum(tallies))


def _read(code: str, language: Language) -> _Program:
    tree = read_tree(code, language=language)
    return _Program(
        length=len(tree.tokens),
        ngrams=tuple(_ngrams(tree.tokens, order) for order in _ORDERS),
        subtrees=count_subtrees(tree),
        flows=extract_flows(tree),
    )


@lru_cache(maxsize=4096)
def _read_reference(code: str, language: Language) -> _Program:
    """The same references meet the outputs of every model of a study."""
    return _read(code, language)


def _ngrams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def _tally(output: _Program, reference: _Program, language: Language) -> _Tally:
    common = [ours & theirs for ours, theirs in zip(output.ngrams, reference.ngrams, strict=True)]
    weigh = KEYWORDS[language]
    return _Tally(
        lengths=(output.length, reference.length),
        matched=tuple(counts.total() for counts in common),
        written=tuple(counts.total() for counts in output.ngrams),
        weighted_matched=(_weigh(common[0], weigh), *(counts.total() for counts in common[1:])),
        weighted_expected=(
            _weigh(reference.ngrams[0], weigh),
            *(counts.total() for counts in reference.ngrams[1:]),
        ),
        structure=(
            (output.subtrees & reference.subtrees).total(),
            reference.subtrees.total(),
            (output.flows & reference.flows).total(),
            reference.flows.total(),
        ),
    )


def _weigh(unigrams: Counter[tuple[str, ...]], keywords: frozenset[str]) -> float:
    # Keywords are summed apart, so that the sum does not depend on the order of the words.
    special = sum(count for (word,), count in unigrams.items() if word in keywords)
    return special + _ORDINARY_WEIGHT * (unigrams.total() - special)


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
