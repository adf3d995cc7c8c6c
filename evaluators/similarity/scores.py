"""The one door to similarity: score pairs of texts by metrics named as a study names them.

One decision: a metric is a name in a dict literal, and every name gives the same three things, a
value per pair, one for the corpus and a signature, so that the report needs no case by metric.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from statistics import fmean

from evaluators.similarity.codebleu import SIGNATURE as CODEBLEU_SIGNATURE
from evaluators.similarity.codebleu import CodeBleu, score_codebleu
from evaluators.similarity.texts import (
    Scored,
    score_bleu,
    score_chrf,
    score_edit_similarity,
    score_exact_match,
    score_rouge_l,
)
from tasks.records import Language

_TEXT_METRICS: Mapping[str, Callable[[Sequence[str], Sequence[str]], Scored]] = {
    "bleu": score_bleu,
    "chrf": score_chrf,
    "rouge_l": score_rouge_l,
    "exact_match": score_exact_match,
    "edit_similarity": score_edit_similarity,
}
_CODE_METRICS: Mapping[str, Callable[[CodeBleu], float | None]] = {
    "codebleu": lambda result: result.score,
    "codebleu_ngram": lambda result: result.ngram,
    "codebleu_weighted": lambda result: result.weighted,
    "codebleu_syntax": lambda result: result.syntax,
    "codebleu_dataflow": lambda result: result.dataflow,
}

METRICS: tuple[str, ...] = (*_TEXT_METRICS, *_CODE_METRICS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Results by metric name, all 0-100.

    None stands for "not applicable" and occurs in `codebleu_dataflow` alone, where a reference has
    no dataflow. `per_instance` is in the order of the pairs.
    """

    per_instance: Mapping[str, tuple[float | None, ...]]
    corpus: Mapping[str, float | None]
    signatures: Mapping[str, str]

    def applicable(self, metric: str) -> tuple[float, ...]:
        """The values of the pairs to which `metric` applies."""
        return tuple(value for value in self.per_instance[metric] if value is not None)

    def mean(self, metric: str) -> float | None:
        """The mean over the pairs to which `metric` applies, None if there are none."""
        values = self.applicable(metric)
        return fmean(values) if values else None


def score_pairs(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    metrics: Sequence[str],
    language: Language | None = None,
) -> Scores:
    """Compare each prediction with the reference at its place.

    `language` is that of the code, for the CodeBLEU family; text metrics do not look at it.

    Raises:
        ValueError: if a metric is unknown, the sequences are empty or of unequal length, or a
            CodeBLEU metric is asked for without a language.
    """
    _check(predictions, references, metrics=metrics, language=language)
    results = {name: _TEXT_METRICS[name](predictions, references) for name in metrics if name in _TEXT_METRICS}
    parts = [name for name in metrics if name in _CODE_METRICS]
    if parts and language is not None:
        pairs, corpus = score_codebleu(predictions, references, language=language)
        for name in parts:
            results[name] = Scored(
                per_instance=tuple(map(_CODE_METRICS[name], pairs)),
                corpus=_CODE_METRICS[name](corpus),
                signature=f"{CODEBLEU_SIGNATURE}|lang:{language}",
            )
    return Scores(
        per_instance={name: results[name].per_instance for name in metrics},
        corpus={name: results[name].corpus for name in metrics},
        signatures={name: results[name].signature for name in metrics},
    )


def _check(
    predictions: Sequence[str], references: Sequence[str], *, metrics: Sequence[str], language: Language | None
) -> None:
    for name in metrics:
        if name not in METRICS:
            close = get_close_matches(name, METRICS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the metrics are {', '.join(METRICS)}"
            raise ValueError(f"unknown metric {name!r}; {hint}")
        if name in _CODE_METRICS and language is None:
            raise ValueError(f"metric {name!r} needs a language, one of {', '.join(Language)}, got none")
    if len(predictions) != len(references):
        raise ValueError(
            f"each prediction needs a reference: got {len(predictions)} predictions and {len(references)} references"
        )
    if not predictions:
        raise ValueError("no pairs to score: give at least one prediction with its reference")
