"""Statistics of results, all of them pure functions: intervals, paired tests, equivalence, corrections.

One decision: everything is paired by problem, because methods are asked the same problems, and how hard a problem is
explains most of what scores vary by.
"""

from orchestrator.report.statistics.corrections import CORRECTIONS, benjamini_hochberg, holm
from orchestrator.report.statistics.effects import cliffs_delta, name_magnitude, paired_delta
from orchestrator.report.statistics.intervals import RESAMPLES, Interval, bootstrap_interval, wilson_interval
from orchestrator.report.statistics.means import FEWEST, Equivalence, MeanDifference, mean_difference
from orchestrator.report.statistics.paired import Comparison, NotComparable, Test, compare

__all__ = [
    "CORRECTIONS",
    "FEWEST",
    "RESAMPLES",
    "Comparison",
    "Equivalence",
    "Interval",
    "MeanDifference",
    "NotComparable",
    "Test",
    "benjamini_hochberg",
    "bootstrap_interval",
    "cliffs_delta",
    "compare",
    "holm",
    "mean_difference",
    "name_magnitude",
    "paired_delta",
    "wilson_interval",
]
