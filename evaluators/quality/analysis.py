"""Static analysis of generated code: every tool over every file that parses.

One decision: a file is measured as if it were alone. No count depends on the order or the company of
the files, on installed third-party packages, or on remarks by which code asks tools to look away.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from platform import python_version

from evaluators.quality.lizards import measure_with_lizard
from evaluators.quality.outcome import Failed, Outcome
from evaluators.quality.pylinting import measure_with_pylint
from evaluators.quality.radons import measure_with_radon
from evaluators.quality.report import FileQuality, QualityReport
from evaluators.similarity.syntax import parses
from tasks.records import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tool:
    """An analyzer: its package, and how it measures files that parse, one outcome for each."""

    measure: Callable[[Sequence[str], Language], list[Outcome]]
    languages: frozenset[Language]
    reads_with_ast: bool = False


_TOOLS: Mapping[str, _Tool] = {
    "pylint": _Tool(measure=measure_with_pylint, languages=frozenset({Language.PYTHON}), reads_with_ast=True),
    "radon": _Tool(measure=measure_with_radon, languages=frozenset({Language.PYTHON}), reads_with_ast=True),
    "lizard": _Tool(measure=measure_with_lizard, languages=frozenset(Language)),
}

# Code may ask a tool to look away: `# pylint: skip-file`, `#lizard forgives`, `// GENERATED CODE`.
# One character is changed, so that no length, line or token count moves.
_PRAGMAS = ((re.compile(r"\bpylint:"), "pylint;"), (re.compile(r"(lizard|GENERATED) (?=forgive|CODE)"), r"\1_"))


def analyze(sources: Sequence[str], *, language: Language) -> QualityReport:
    """Measure each source file.

    Counts are per file: pylint's messages by category (`pylint.error`, `.warning`, `.convention`,
    `.refactor`), `radon.lloc`, `radon.maintainability` (0-100, more is better),
    `radon.cyclomatic_total` and `radon.cyclomatic_max`, `lizard.nloc`, `lizard.tokens`, `lizard.ccn`
    (summed over the functions) and `lizard.ccn_max`. pylint and radon read Python only.
    """
    parsed = [parses(source, language=language) for source in sources]
    readable = [_silence_pragmas(source) for source, ok in zip(sources, parsed, strict=True) if ok]
    tools: dict[str, str] = {}
    missing: dict[str, str] = {}
    outcomes: dict[str, list[Outcome]] = {}
    for name, tool in _TOOLS.items():
        if language not in tool.languages:
            continue
        if find_spec(name) is None:
            missing[name] = f"the package {name} is not installed; install it with: pip install {name}"
            continue
        tools[name] = version(name) + (f" (Python {python_version()})" if tool.reads_with_ast else "")
        outcomes[name] = tool.measure(readable, language)
    rows = iter([_row({name: outcomes[name][index] for name in outcomes}) for index in range(len(readable))])
    files = tuple(next(rows) if ok else FileQuality(parses=False) for ok in parsed)
    return QualityReport(language=language, files=files, tools=tools, missing=missing)


def _row(outcomes: Mapping[str, Outcome]) -> FileQuality:
    counts: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name, outcome in outcomes.items():
        if isinstance(outcome, Failed):
            failed[name] = outcome.reason
        else:
            counts.update({f"{name}.{key}": value for key, value in outcome.items()})
    return FileQuality(parses=True, counts=counts, failed=failed)


def _silence_pragmas(source: str) -> str:
    for pattern, replacement in _PRAGMAS:
        source = pattern.sub(replacement, source)
    return source
