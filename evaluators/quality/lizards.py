"""Size and complexity of files by lizard.

One decision: lizard's own counts of whole files are taken; it sees complexity inside functions only.
"""

from collections.abc import Sequence

from evaluators.languages import LANGUAGES
from evaluators.quality.outcome import Failed, Measured, Outcome
from tasks.records import Language


def measure_with_lizard(sources: Sequence[str], language: Language) -> list[Outcome]:
    """`nloc`, `tokens`, `ccn` (summed over the functions) and `ccn_max` of each file."""
    # lizard chooses its reader by how the file's name ends.
    return [_measure(source, f"Solution{LANGUAGES[language].suffix}") for source in sources]


def _measure(source: str, name: str) -> Outcome:
    import lizard

    try:
        found = lizard.analyze_file.analyze_source_code(name, source)
        complexities = [function.cyclomatic_complexity for function in found.function_list]
    except Exception as error:  # a tool's breakdown on one file, of whatever kind, must not end the batch
        return Failed(reason=f"{type(error).__name__}: {error}")
    return Measured(
        counts={
            "nloc": found.nloc,
            "tokens": found.token_count,
            "ccn": sum(complexities),
            "ccn_max": max(complexities, default=0),
        }
    )
