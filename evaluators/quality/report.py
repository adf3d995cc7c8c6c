"""The records of a quality analysis: one row a file, and which tools could say something.

One decision: what could not be measured is absent and has a reason; it is never 0, which would read
as clean code.
"""

from collections.abc import Mapping

from tasks.records import Language, Record

# Means and maxima of files cannot be added up.
_NOT_ADDITIVE = frozenset({"radon.maintainability", "radon.cyclomatic_max", "lizard.ccn_max"})


class FileQuality(Record):
    """What the tools found in one file.

    `counts` is empty where the file does not parse. `failed` names the tools that broke down on this
    file, with the reason; their counts are absent.
    """

    parses: bool
    counts: Mapping[str, float] = {}
    failed: Mapping[str, str] = {}


class QualityReport(Record):
    """One row for each source, in order; the tools' versions; and the tools that are missing, with the reason."""

    language: Language
    files: tuple[FileQuality, ...]
    tools: Mapping[str, str]
    missing: Mapping[str, str] = {}

    def totals(self) -> dict[str, float]:
        """Sums over the files that have each count, beside `files` and `parsed`, the numbers of files."""
        sums: dict[str, float] = {"files": len(self.files), "parsed": sum(file.parses for file in self.files)}
        for file in self.files:
            for name in sorted(file.counts.keys() - _NOT_ADDITIVE):
                sums[name] = sums.get(name, 0) + file.counts[name]
        return sums
