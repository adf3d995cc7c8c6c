"""Quality of code that parses: lint messages, size and complexity, with the tools' versions.

One decision: `analyze` takes a whole batch, since pylint and PMD are only fast in a warm process.
"""

from evaluators.quality.analysis import LARGEST_FILE, analyze
from evaluators.quality.cache import default_folder
from evaluators.quality.outcome import Message
from evaluators.quality.report import Count, Figure, FileQuality, QualityReport, count_of, difference_of, figure_of

__all__ = [
    "LARGEST_FILE",
    "Count",
    "Figure",
    "FileQuality",
    "Message",
    "QualityReport",
    "analyze",
    "count_of",
    "default_folder",
    "difference_of",
    "figure_of",
]
