"""The records of a quality analysis: one row a file, and which tools could say something.

One decision: what could not be measured is absent and has a reason; it is never 0, which would read
as clean code. For the same reason there is no bare sum: a total falls when files break.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evaluators.quality.outcome import Message
from tasks.records import Language, Record

# Lines themselves, and figures of a file that cannot be added up.
_NOT_PER_LINES = frozenset(
    {
        *("radon.maintainability", "radon.cyclomatic_max", "complexipy.cognitive_max", "lizard.ccn_max"),
        *("pmd.cyclomatic_max", "pmd.cognitive_max", "mcs.compiles"),
        *("radon.halstead_difficulty", "radon.halstead_vocabulary", "lizard.nloc"),
    }
)
LINES = "lizard.nloc"
"""The count of lines that other counts are related to: lines with code, in every language."""


class FileQuality(Record):
    """What the tools found in one file.

    `counts` is empty where the file does not parse. `failed` names the tools that broke down on this
    file, with the reason; their counts are absent.
    """

    parses: bool
    counts: Mapping[str, float] = {}
    messages: tuple[Message, ...] = ()
    failed: Mapping[str, str] = {}

    @property
    def rules(self) -> dict[str, int]:
        """Messages by tool and rule; a rule that was not broken is absent."""
        return dict(sorted(Counter(f"{message.tool}.{message.rule}" for message in self.messages).items()))


class Figure(Record):
    """A count over files: its mean per file and, where that has a meaning, per 100 lines; `files` are behind both."""

    files: int
    per_file: float
    per_100_lines: float | None


class QualityReport(Record):
    """One row for each source, in order; the tools' versions; and the tools that are missing, with the reason."""

    language: Language
    files: tuple[FileQuality, ...]
    tools: Mapping[str, str]
    missing: Mapping[str, str] = {}

    def totals(self) -> dict[str, Figure]:
        """Every count over the files that have it, which are files that parse."""
        names = sorted({name for file in self.files for name in file.counts})
        rows = [file.counts for file in self.files]
        figures = {name: figure_of(rows, count_of(name)) for name in names}
        return {name: figure for name, figure in figures.items() if figure is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What is read of one file's counts, None if it is not there; whether 100 lines can have it."""

    read: Callable[[Mapping[str, float]], float | None]
    per_lines: bool


def count_of(name: str) -> Count:
    """The count of that name."""
    return Count(read=lambda counts: counts.get(name), per_lines=name not in _NOT_PER_LINES)


def figure_of(rows: Sequence[Mapping[str, float]], count: Count) -> Figure | None:
    """A count over the files that have it; None if none has.

    Per 100 lines it is the sum of the count over the sum of the lines, so that a file of one line does
    not weigh as much as one of fifty.
    """
    found = [(value, row.get(LINES)) for row in rows if (value := count.read(row)) is not None]
    if not found:
        return None
    total = sum(value for value, _ in found)
    lines = [of for _, of in found if of is not None]
    related = count.per_lines and len(lines) == len(found) and sum(lines) > 0
    return Figure(
        files=len(found), per_file=total / len(found), per_100_lines=100 * total / sum(lines) if related else None
    )


def difference_of(pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]], count: Count) -> Figure | None:
    """A count of outputs less that of the references to the same problems, over pairs that both have it."""
    both = [pair for pair in pairs if None not in map(count.read, pair)]
    outputs, references = (figure_of([pair[side] for pair in both], count) for side in (0, 1))
    if outputs is None or references is None:
        return None
    rates = (outputs.per_100_lines, references.per_100_lines)
    return Figure(
        files=outputs.files,
        per_file=outputs.per_file - references.per_file,
        per_100_lines=None if rates[0] is None or rates[1] is None else rates[0] - rates[1],
    )
