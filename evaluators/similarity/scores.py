"""The one door to similarity: score pairs of texts by metrics named as a study names them.

One decision: a metric is a row of `table.py`, and every one gives the same three things, a
value per pair, one for the corpus and a signature, so that the report needs no case by metric.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean

from evaluators.similarity.embeddings import load_encoder
from evaluators.similarity.meteor import find_wordnet
from evaluators.similarity.metric import JudgeSettings, Need, Pairs
from evaluators.similarity.scored import MissingError
from evaluators.similarity.table import METRICS, unknown
from tasks.records import Language


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
    pairs = Pairs(predictions=predictions, references=references, language=language, model=model, judge=judge)
    results = {name: METRICS[name].score(pairs) for name in metrics}
    return Scores(
        per_instance={name: result.per_instance for name, result in results.items()},
        corpus={name: result.corpus for name, result in results.items()},
        signatures={name: result.signature for name, result in results.items()},
        notes={name: result.notes for name, result in results.items() if result.notes},
    )


def faults_of(
    metrics: Sequence[str], *, language: Language | None, model: str | None, judge: JudgeSettings | None
) -> list[str]:
    """What is wrong with a choice of metrics, in words; every metric is looked at."""
    given: Mapping[Need | None, object] = {Need.LANGUAGE: language, Need.MODEL: model, Need.JUDGE: judge}
    faults = []
    for name in dict.fromkeys(metrics):
        if name not in METRICS:
            faults.append(unknown(name))
        elif (need := METRICS[name].needs) in given and given[need] is None:
            faults.append(f"metric {name!r} needs {_REMEDIES[need]}")
    return faults


_REMEDIES: Mapping[Need | None, str] = {
    Need.LANGUAGE: f"--language, one of {', '.join(Language)}",
    Need.MODEL: "--model: the folder of an encoder and its tokenizer, or a hub id",
    Need.JUDGE: "--judge-url and --judge-model, of an endpoint that serves chat completions",
}


def missing(metrics: Sequence[str], *, model: str | None = None) -> list[str]:
    """What known metrics need and this machine has not, in words; loads the model if one is needed."""
    needs = {METRICS[name].needs for name in metrics if name in METRICS}
    looks: list[Callable[[], object]] = []
    if Need.WORDNET in needs:
        looks.append(find_wordnet)
    if model is not None and Need.MODEL in needs:
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
