"""What a metric is: its function with its name, title, kind and where it applies.

One decision: all that anybody says of a metric (titles, help, defaults, headlines, the test that its kind
asks for) is read off one record, so that a new metric is its function and one row of `table.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from evaluators.similarity.scored import Scored
from tasks.records import Language, Task, Track

if TYPE_CHECKING:
    from evaluators.similarity.codebleu import CodeBleu


class Kind(StrEnum):
    """What a value of one pair is, which decides how two columns of them are tested.

    A `share` is right or wrong (0 or 100) and its mean is the share that is right; a `score` lies on a scale; a
    `count` has no upper end.
    """

    SHARE = "share"
    SCORE = "score"
    COUNT = "count"


class Need(StrEnum):
    """What a metric cannot be computed without, besides the pairs."""

    LANGUAGE = "language"
    WORDNET = "wordnet"
    MODEL = "model"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """Whom to ask: `url` is the endpoint's base, as in `http://localhost:8000/v1`; `cache` keeps its answers."""

    url: str
    model: str
    cache: Path
    runs: int = 3
    concurrency: int = 4


# Without slots, so that CodeBLEU is read once for all of its parts.
@dataclass(frozen=True, kw_only=True)
class Pairs:
    """What a metric is given: each prediction with the reference at its place, and the request's settings."""

    predictions: Sequence[str]
    references: Sequence[str]
    language: Language | None = None
    model: str | None = None
    judge: JudgeSettings | None = None

    @cached_property
    def codebleu(self) -> "tuple[tuple[CodeBleu, ...], CodeBleu]":
        """CodeBLEU with all its parts, of every pair and of the corpus."""
        # Imported here: the table of metrics is read for titles and help, and a grammar takes time to load.
        from evaluators.similarity.codebleu import score_codebleu

        assert self.language is not None
        return score_codebleu(self.predictions, self.references, language=self.language)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric: how it is computed and all that is said of it.

    `scale` is the least and the greatest value, None where there is no end. `code` and `prose` say which
    outputs it can compare; `study_default` whether a study that names no metrics computes it for them, and
    `command_default` whether `polytune score` does, with and without a language. `headline_of` are the tasks
    whose figure it is, and `stands_in` says that it may be the one figure where a headline is absent; the order
    of the table decides between several. `words` stand in its signature.
    """

    name: str
    title: str
    about: str
    score: Callable[[Pairs], Scored]
    kind: Kind = Kind.SCORE
    scale: tuple[float | None, float | None] = (0.0, 100.0)
    higher_is_better: bool = True
    code: bool = True
    prose: bool = True
    needs: Need | None = None
    study_default: frozenset[str] = frozenset()
    command_default: frozenset[str] = frozenset()
    headline_of: tuple[Task, ...] = ()
    stands_in: bool = False
    words: tuple[str, ...] = ()

    @property
    def suits_studies(self) -> bool:
        """Whether a study can name it: its figure must not depend on what a machine has installed or can reach."""
        return self.needs in (None, Need.LANGUAGE)

    def applies_to(self, track: Track) -> bool:
        """Whether outputs of a track can be compared by it."""
        return self.code if track.writes_code else self.prose


__all__ = ["JudgeSettings", "Kind", "Metric", "Need", "Pairs"]
