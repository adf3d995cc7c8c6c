"""Size and complexity of Python files by radon, cognitive complexity by complexipy.

One decision: a file's complexity is given twice, whole and of its worst function, since a mean over
functions falls when code is cut into trivial pieces.
"""

import warnings
from collections.abc import Callable, Sequence

from evaluators.quality.outcome import Failed, Measured, Outcome
from tasks.records import Language

_RAW = ("loc", "lloc", "sloc", "comments", "multi", "blank")
_HALSTEAD = ("vocabulary", "length", "volume", "difficulty", "effort", "bugs")


def measure_with_radon(sources: Sequence[str], language: Language) -> list[Outcome]:
    """Raw lines, Halstead's measures, `maintainability` (0-100, more is better) and cyclomatic complexity."""
    with warnings.catch_warnings():
        # Generated code is full of invalid escapes, of which `ast` warns.
        warnings.simplefilter("ignore")
        return [_guarded(_count_with_radon, source) for source in sources]


def measure_with_complexipy(sources: Sequence[str], language: Language) -> list[Outcome]:
    """`cognitive` of each whole file, code outside functions included, and `cognitive_max` of its worst function."""
    return [_guarded(_count_with_complexipy, source) for source in sources]


def _guarded(count: Callable[[str], dict[str, float]], source: str) -> Outcome:
    try:
        return Measured(counts=count(source))
    except Exception as error:  # a tool's breakdown on one file, of whatever kind, must not end the batch
        return Failed(reason=f"{type(error).__name__}: {error}")


def _count_with_radon(source: str) -> dict[str, float]:
    from radon.metrics import h_visit, mi_visit
    from radon.raw import analyze
    from radon.visitors import ComplexityVisitor

    visitor = ComplexityVisitor.from_code(source)
    functions = [block.complexity for block in visitor.blocks if block.letter in {"F", "M"}]
    raw, halstead = analyze(source), h_visit(source).total
    return {
        **{name: getattr(raw, name) for name in _RAW},
        **{f"halstead_{name}": getattr(halstead, name) for name in _HALSTEAD},
        "maintainability": mi_visit(source, True),
        "cyclomatic_total": visitor.total_complexity,
        "cyclomatic_max": max(functions, default=visitor.total_complexity),
    }


def _count_with_complexipy(source: str) -> dict[str, float]:
    from complexipy import code_complexity

    found = code_complexity(source, True, no_ignore=True, with_plans=False)
    return {
        "cognitive": found.complexity,
        "cognitive_max": max((function.complexity for function in found.functions), default=0),
    }
