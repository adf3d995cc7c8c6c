"""Size and complexity of Python files by radon.

One decision: a file's complexity is given twice, whole and of its worst function, since a mean over
functions falls when code is cut into trivial pieces.
"""

import warnings
from collections.abc import Sequence

from evaluators.quality.outcome import Failed, Outcome
from tasks.records import Language


def measure_with_radon(sources: Sequence[str], language: Language) -> list[Outcome]:
    """`lloc`, `maintainability`, `cyclomatic_total` and `cyclomatic_max` of each file that parses."""
    with warnings.catch_warnings():
        # Generated code is full of invalid escapes, of which `ast` warns.
        warnings.simplefilter("ignore")
        return [_measure(source) for source in sources]


def _measure(source: str) -> Outcome:
    from radon.metrics import mi_visit
    from radon.raw import analyze
    from radon.visitors import ComplexityVisitor

    try:
        visitor = ComplexityVisitor.from_code(source)
        functions = [block.complexity for block in visitor.blocks if block.letter in {"F", "M"}]
        return {
            "lloc": analyze(source).lloc,
            "maintainability": mi_visit(source, True),
            "cyclomatic_total": visitor.total_complexity,
            "cyclomatic_max": max(functions, default=visitor.total_complexity),
        }
    except Exception as error:  # a tool's breakdown on one file, of whatever kind, must not end the batch
        return Failed(reason=f"radon: {type(error).__name__}: {error}")
