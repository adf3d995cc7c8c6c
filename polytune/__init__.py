"""Polytune for notebooks: a study's results as data frames, and the evaluators on plain Python values.

    load(study)                        what a study found: instances, cells and costs, each a data frame
    execute(problems, completions)     run programs against tests, isolated
    score(predictions, references)     similarity of texts and code
    quality(sources, language=...)     lint messages, complexity, size, security
    compare(a, b, metric=...)          whether tables of results differ, paired by id

Each gives the numbers of the command of its name, prints nothing, and raises `PolytuneError` with one message that
says what is wrong and what to do. What they return are frozen values; `.frame()` makes one a data frame.

One decision: importing this loads nothing heavy; PyTorch, MLflow, pandas and the rest come with the call that needs
them.
"""

from orchestrator.errors import PolytuneError
from polytune.comparing import Comparisons, Difference, compare
from polytune.executing import Execution, execute
from polytune.measuring import Quality, quality
from polytune.results import Results, load
from polytune.scoring import Similarity, score

__all__ = [
    "Comparisons",
    "Difference",
    "Execution",
    "PolytuneError",
    "Quality",
    "Results",
    "Similarity",
    "compare",
    "execute",
    "load",
    "quality",
    "score",
]
