"""Similarity of outputs to references: text metrics, CodeBLEU, and the reading of code behind it.

One decision: `score_pairs` is the only way in, so that every score leaves with its signature.
"""

from evaluators.similarity.scores import METRICS, Scores, score_pairs
from evaluators.similarity.syntax import parses

__all__ = ["METRICS", "Scores", "parses", "score_pairs"]
