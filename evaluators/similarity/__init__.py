"""Similarity of outputs to references: text metrics, CodeBLEU, encoders, a judge.

One decision: `score_pairs` is the only way in, so that every score leaves with its signature.
"""

from evaluators.similarity.judge import JudgeSettings
from evaluators.similarity.scored import MissingError
from evaluators.similarity.scores import METRICS, Scores, faults_of, missing, score_pairs

__all__ = [
    "METRICS",
    "JudgeSettings",
    "MissingError",
    "Scores",
    "faults_of",
    "missing",
    "score_pairs",
]
