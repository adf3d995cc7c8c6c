"""Static analysis of code: every tool over every file that parses.

One decision: a file is measured as if it were alone. No count depends on the order or the company of
the files, on installed third-party packages, or on remarks by which code asks tools to look away.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evaluators.languages import LANGUAGES
from evaluators.languages.reading import holds_no_code
from evaluators.quality.bandits import measure_with_bandit
from evaluators.quality.cache import Cache
from evaluators.quality.lizards import measure_with_lizard
from evaluators.quality.mcs import mcs_version, measure_with_mcs
from evaluators.quality.outcome import Failed, Measured, MissingTool, Outcome
from evaluators.quality.packages import package_version
from evaluators.quality.pmd import measure_with_pmd, pmd_version
from evaluators.quality.pylinting import measure_with_pylint
from evaluators.quality.radons import measure_with_complexipy, measure_with_radon
from evaluators.quality.report import FileQuality, QualityReport
from tasks.records import Language

_Measure = Callable[[Sequence[str], Language], list[Outcome]]

LARGEST_FILE = 400_000
"""Characters above which no tool is asked: code that people or models write is far smaller, and some
tools take a minute for a megabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tool:
    """An analyzer: its version (or `MissingTool`), and how it measures files that parse, one outcome for each."""

    measure: _Measure
    version: Callable[[], str]


TOOLS: Mapping[str, _Tool] = {
    "pylint": _Tool(measure=measure_with_pylint, version=package_version("pylint", reads_with_ast=True)),
    "radon": _Tool(measure=measure_with_radon, version=package_version("radon", reads_with_ast=True)),
    "complexipy": _Tool(measure=measure_with_complexipy, version=package_version("complexipy")),
    "bandit": _Tool(measure=measure_with_bandit, version=package_version("bandit", reads_with_ast=True)),
    "pmd": _Tool(measure=measure_with_pmd, version=pmd_version),
    "mcs": _Tool(measure=measure_with_mcs, version=mcs_version),
    "lizard": _Tool(measure=measure_with_lizard, version=package_version("lizard")),
}
"""By name; which of them read a language is said by `evaluators.languages`."""

# Code may ask a tool to look away: `# pylint: skip-file`, `#lizard forgives`, `// GENERATED CODE`.
# One character is changed, so that no length, line or token count moves. The other tools can be told.
_PRAGMAS = ((re.compile(r"\bpylint:"), "pylint;"), (re.compile(r"(lizard|GENERATED) (?=forgive|CODE)"), r"\1_"))


def analyze(
    sources: Sequence[str],
    *,
    language: Language,
    cache: Path | None = None,
    workers: int = 1,
    whole_files: bool = False,
) -> QualityReport:
    """Measure each source file.

    `cache` is a folder that remembers outcomes, `workers` how many processes pylint may use. Of `whole_files`, one
    that is empty or holds comments alone parses; an answer to a problem that is so holds no program, and does not.

    Counts are per file. Python: pylint's messages by category (`pylint.error`, `.warning`, `.convention`,
    `.refactor`), bandit's by severity (`bandit.high`, `.medium`, `.low`), radon's raw lines, Halstead's
    measures, `radon.maintainability` (0-100, more is better), `radon.cyclomatic_total` and `_max`, and
    `complexipy.cognitive` and `_max`. Java: PMD's messages by category (`pmd.errorprone`, ...) with
    `pmd.cyclomatic` and `pmd.cognitive`. C#: mono's diagnostics (`mcs.compiles`, `.syntax_error`,
    `.unresolved`, `.error`, `.warning`). All: `lizard.nloc`, `.tokens`, `.ccn` (summed over the
    functions) and `.ccn_max`.
    """
    support = LANGUAGES[language]
    parsed = [
        support.parses(source) or (whole_files and holds_no_code(source, language=language)) for source in sources
    ]
    readable = [_silence_pragmas(source) for source, ok in zip(sources, parsed, strict=True) if ok]
    tools: dict[str, str] = {}
    missing: dict[str, str] = {}
    outcomes: dict[str, list[Outcome]] = {}
    for name in support.analyzers:
        tool = TOOLS[name]
        try:
            tools[name] = tool.version()
        except MissingTool as error:
            missing[name] = str(error)
            continue
        measure = partial(measure_with_pylint, workers=workers) if name == "pylint" else tool.measure
        known = Cache(folder=cache, tool=name, version=tools[name], language=language) if cache else None
        outcomes[name] = _measure(readable, language=language, measure=measure, known=known)
    rows = iter([_row({name: outcomes[name][index] for name in outcomes}) for index in range(len(readable))])
    files = tuple(next(rows) if ok else FileQuality(parses=False) for ok in parsed)
    return QualityReport(language=language, files=files, tools=tools, missing=missing)


def _measure(sources: Sequence[str], *, language: Language, measure: _Measure, known: Cache | None) -> list[Outcome]:
    """One tool's outcomes: what is known, and the rest measured as one batch, each distinct source once."""
    found: dict[str, Outcome] = {}
    for source in dict.fromkeys(sources):
        if len(source) > LARGEST_FILE:
            size = f"{len(source):,} characters; files above {LARGEST_FILE:,} are not analysed"
            found[source] = Failed(reason=size)
        elif known is not None and (before := known.get(source)) is not None:
            found[source] = before
    new = [source for source in dict.fromkeys(sources) if source not in found]
    for source, outcome in zip(new, measure(new, language) if new else [], strict=True):
        found[source] = outcome
        if known is not None and isinstance(outcome, Measured):
            known.put(source, outcome)
    return [found[source] for source in sources]


def _row(outcomes: Mapping[str, Outcome]) -> FileQuality:
    counts: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name, outcome in outcomes.items():
        if isinstance(outcome, Failed):
            failed[name] = outcome.reason
        else:
            counts.update({f"{name}.{key}": value for key, value in outcome.counts.items()})
    messages = [m for outcome in outcomes.values() if isinstance(outcome, Measured) for m in outcome.messages]
    return FileQuality(parses=True, counts=counts, messages=tuple(messages), failed=failed)


def _silence_pragmas(source: str) -> str:
    for pattern, replacement in _PRAGMAS:
        source = pattern.sub(replacement, source)
    return source
