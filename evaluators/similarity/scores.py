"""The one door to similarity: score pairs of texts by metrics named as a study names them.

One decision: a metric is a name in a dict literal, and every name gives the same three things, a
value per pair, one for the corpus and a signature, so that the report needs no case by metric.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from statistics import fmean

from evaluators.similarity.codebleu import CodeBleu, score_codebleu, signature
from evaluators.similarity.embeddings import load_encoder, score_bertscore, score_cosine
from evaluators.similarity.judge import JudgeSettings, score_judge
from evaluators.similarity.meteor import find_wordnet, score_meteor, score_meteor_exact_stem
from evaluators.similarity.rouge import score_rouge
from evaluators.similarity.scored import MissingError, Scored
from evaluators.similarity.texts import score_bleu, score_chrf, score_edit_similarity, score_exact_match
from tasks.records import Language

_TEXT_METRICS: Mapping[str, Callable[[Sequence[str], Sequence[str]], Scored]] = {
    "bleu": score_bleu,
    "chrf": score_chrf,
    "rouge_1": partial(score_rouge, variant="rouge1"),
    "rouge_2": partial(score_rouge, variant="rouge2"),
    "rouge_l": partial(score_rouge, variant="rougeL"),
    "meteor": score_meteor,
    "meteor_exact_stem": score_meteor_exact_stem,
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
_MODEL_METRICS: Mapping[str, Callable[..., Scored]] = {"bertscore": score_bertscore, "cosine": score_cosine}

METRICS: tuple[str, ...] = (*_TEXT_METRICS, *_CODE_METRICS, *_MODEL_METRICS, "judge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Results by metric name, all 0-100 (a cosine may be negative).

    None stands for "not applicable" (`codebleu_dataflow` where a reference has no dataflow) or for "could
    not", of which `notes` say why. `per_instance` is in the order of the pairs.
    """

    per_instance: Mapping[str, tuple[float | None, ...]]
    corpus: Mapping[str, float | None]
    signatures: Mapping[str, str]
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

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
    model: str | None = None,
    judge: JudgeSettings | None = None,
) -> Scores:
    """Compare each prediction with the reference at its place.

    `language` is that of the code, for the CodeBLEU family; `model` an encoder (a folder or a hub id),
    for bertscore and cosine; `judge` whom to ask, for judge. Other metrics look at none of them.

    Raises:
        ValueError: if a metric is unknown or lacks a setting, or the sequences are empty or of unequal
            length; the message holds every fault.
        MissingError: if a metric needs data, a model or a service that is not there.
    """
    faults = [
        *faults_of(metrics, language=language, model=model, judge=judge),
        *_faults_of_pairs(predictions, references),
    ]
    if faults:
        raise ValueError("\n".join(faults))
    results: dict[str, Scored] = {}
    for name in metrics:
        if name in _TEXT_METRICS:
            results[name] = _TEXT_METRICS[name](predictions, references)
        elif name in _MODEL_METRICS:
            results[name] = _MODEL_METRICS[name](predictions, references, model=model)
        elif name == "judge" and judge is not None:
            results[name] = score_judge(predictions, references, settings=judge)
    parts = [name for name in metrics if name in _CODE_METRICS]
    if parts and language is not None:
        pairs, corpus = score_codebleu(predictions, references, language=language)
        for name in parts:
            results[name] = Scored(
                per_instance=tuple(map(_CODE_METRICS[name], pairs)),
                corpus=_CODE_METRICS[name](corpus),
                signature=f"{signature(language)}|part:{name.removeprefix('codebleu').strip('_') or 'all'}",
            )
    return Scores(
        per_instance={name: results[name].per_instance for name in metrics},
        corpus={name: results[name].corpus for name in metrics},
        signatures={name: results[name].signature for name in metrics},
        notes={name: results[name].notes for name in metrics if results[name].notes},
    )


def faults_of(
    metrics: Sequence[str], *, language: Language | None, model: str | None, judge: JudgeSettings | None
) -> list[str]:
    """What is wrong with a choice of metrics, in words; every metric is looked at."""
    faults = []
    for name in dict.fromkeys(metrics):
        if name not in METRICS:
            close = get_close_matches(name, METRICS, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            faults.append(f"unknown metric {name!r}; {hint}the metrics are {', '.join(METRICS)}")
        elif name in _CODE_METRICS and language is None:
            faults.append(f"metric {name!r} needs --language, one of {', '.join(Language)}")
        elif name in _MODEL_METRICS and model is None:
            faults.append(f"metric {name!r} needs --model: the folder of an encoder and its tokenizer, or a hub id")
        elif name == "judge" and judge is None:
            faults.append(
                "metric 'judge' needs --judge-url and --judge-model, of an endpoint that serves chat completions"
            )
    return faults


def missing(metrics: Sequence[str], *, model: str | None = None) -> list[str]:
    """What known metrics need and this machine has not, in words; loads the model if one is needed."""
    looks: list[Callable[[], object]] = []
    if "meteor" in metrics:
        looks.append(find_wordnet)
    if model is not None and set(metrics) & _MODEL_METRICS.keys():
        looks.append(partial(load_encoder, model))
    found = []
    for look in looks:
        try:
            look()
        except MissingError as error:
            found.append(str(error))
    return found


def _faults_of_pairs(predictions: Sequence[str], references: Sequence[str]) -> list[str]:
    if len(predictions) != len(references):
        return [
            f"each prediction needs a reference: got {len(predictions)} predictions and {len(references)} references"
        ]
    return [] if predictions else ["no pairs to score: give at least one prediction with its reference"]
