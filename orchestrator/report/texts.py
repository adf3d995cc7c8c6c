"""What was asked and what was written: the texts behind a study's rows.

One decision: results carry a promise of the texts and not the texts. Tables, tests and MLflow need none of them; who
shows or exports them reads them once, when asked. A text that is not there is None, and a sentence in `gaps` says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Key = tuple[str, int]
"""A problem's id, which is unique within a trial, and the number of the sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A problem as its data set words it, before a prompt's own words, and the data set's own answer."""

    prompt: str
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a model wrote, exactly as decoded; `finish` says why it stopped: `stop`, `length` or `skipped`."""

    track: str
    dataset: str
    text: str
    finish: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """All texts of a study: `asked` by track and problem id, `written` by trial, then by problem id and sample.

    `gaps` are sentences on what could not be read.
    """

    asked: Mapping[tuple[str, str], Asked] = field(default_factory=dict)
    written: Mapping[str, Mapping[Key, Written]] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()

    def asked_of(self, track: str, problem_id: str) -> Asked | None:
        """A problem's prompt and reference, None if they cannot be read now."""
        return self.asked.get((track, problem_id))

    def written_by(self, trial: str, problem_id: str, sample: int) -> Written | None:
        """What a trial wrote, None if it is not recorded."""
        return self.written.get(trial, {}).get((problem_id, sample))


def no_texts() -> Texts:
    """The texts of results that came without any."""
    return Texts()


__all__ = ["Asked", "Key", "Texts", "Written", "no_texts"]
