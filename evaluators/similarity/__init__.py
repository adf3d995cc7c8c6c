"""Similarity of outputs to references: text metrics, CodeBLEU, encoders, a judge.

One decision: `score_pairs` is the only way in, so that every score leaves with its signature; what there is
to say of a metric stands in `METRICS`, which is light to import.
"""

from evaluators.similarity.metric import JudgeSettings, Kind, Metric, Need
from evaluators.similarity.scored import MissingError
from evaluators.similarity.scores import Scores, faults_of, missing, score_pairs
from evaluators.similarity.table import (
    METRICS,
    command_metrics,
    faults_for_studies,
    headlines_of,
    stand_ins,
    study_metrics,
    title_of,
)

__all__ = [
    "METRICS",
    "JudgeSettings",
    "Kind",
    "Metric",
    "MissingError",
    "Need",
    "Scores",
    "command_metrics",
    "faults_for_studies",
    "faults_of",
    "headlines_of",
    "missing",
    "score_pairs",
    "stand_ins",
    "study_metrics",
    "title_of",
]
