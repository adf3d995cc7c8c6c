"""Quality of code that parses: lint messages, size and complexity, with the tools' versions.

One decision: `analyze` takes a whole batch, since pylint is only fast in a warm process.
"""

from evaluators.quality.analysis import analyze
from evaluators.quality.report import FileQuality, QualityReport

__all__ = ["FileQuality", "QualityReport", "analyze"]
