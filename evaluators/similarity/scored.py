"""What every metric gives, and how it says that it cannot.

One decision: "not applicable" and "could not" are values of a pair, None with a note, and never a 0; what
is missing for a metric as a whole is an error that names it and the command that mends it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


class MissingError(Exception):
    """A metric was asked for that needs data, a model or a service that is not there.

    The message names what is missing and the command or option that mends it.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One metric over all pairs: a score for each, one for the corpus, and how they came about.

    `notes` say of what has no score why.
    """

    per_instance: tuple[float | None, ...]
    corpus: float | None
    signature: str
    notes: tuple[str, ...] = ()


def averaged(scores: Sequence[float | None], *, signature: str, notes: Sequence[str] = ()) -> Scored:
    """A metric without a corpus formula of its own: there the mean of its scores stands."""
    present = [score for score in scores if score is not None]
    corpus = fmean(present) if present else None
    return Scored(per_instance=tuple(scores), corpus=corpus, signature=signature, notes=tuple(notes))
