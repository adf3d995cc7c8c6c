"""A study's outputs side by side: for each problem and sample, what every way of training wrote and how it fared.

One decision: a column is an arm, not a trial. The trials of `apart` cover disjoint tracks, so an arm has at most one
output for a problem, and `apart passes and together fails` means the same on every track.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.report.evidence import Arm, Evidence, Place
from orchestrator.report.quality import BY_NATURE
from orchestrator.report.results import InstanceRow, TrialOutcome
from orchestrator.report.texts import Asked, Key, Texts, Written
from tasks.records import VerdictName


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What one arm wrote for one problem and sample; `text` is None where it cannot be read.

    `verdict` is None where nothing was run, and where `scored` is False nothing was measured yet either. `finish` is
    empty where it is not known. `rules` are quality messages by tool and rule.
    """

    text: str | None
    finish: str
    scored: bool
    empty: bool
    verdict: VerdictName | None = None
    detail: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    rules: Mapping[str, float] = field(default_factory=dict)

    @property
    def messages(self) -> dict[str, float]:
        """Its rules without those that every snippet breaks because it is one."""
        return {name: count for name, count in self.rules.items() if name not in BY_NATURE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One problem and sample with what was written for it, by arms' titles; an arm that wrote nothing is absent."""

    place: Place
    problem_id: str
    sample: int
    asked: Asked | None
    outputs: Mapping[str, Output]


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """All items of a study. `gaps` are sentences on texts that cannot be read."""

    evidence: Evidence
    texts: Texts

    @property
    def gaps(self) -> tuple[str, ...]:
        """What cannot be shown, and why."""
        return self.texts.gaps

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The columns, in the order of the report."""
        return self.evidence.arms

    def items(self) -> Iterator[Item]:
        """Every problem and sample, track by track in the order of the data."""
        for place in self.evidence.places:
            yield from _items_at(self, place)


def gather_samples(evidence: Evidence) -> Samples:
    """Read the texts behind a study's rows."""
    return Samples(evidence=evidence, texts=evidence.results.read_texts())


def _items_at(samples: Samples, place: Place) -> Iterator[Item]:
    trials = {arm.title: trial for arm in samples.arms if (trial := arm.trial_for(place.track))}
    outputs = {title: _outputs_of(samples, trial, place) for title, trial in trials.items()}
    for key in dict.fromkeys(key for found in outputs.values() for key in found):
        problem_id, sample = key
        yield Item(
            place=place,
            problem_id=problem_id,
            sample=sample,
            asked=samples.texts.asked_of(place.track, problem_id),
            outputs={title: found[key] for title, found in outputs.items() if key in found},
        )


def _outputs_of(samples: Samples, trial: TrialOutcome, place: Place) -> dict[Key, Output]:
    """What a trial wrote at a place, scored or not yet."""
    written = samples.texts.written.get(trial.trial, {})
    rows = {(row.problem_id, row.sample): row for row in samples.evidence.rows_at(trial, place)}
    found = {key: _join(written.get(key), row) for key, row in rows.items()}
    # A place without a name is a track of which nothing is scored.
    new = {
        key: _join(text, None)
        for key, text in written.items()
        if key not in rows and text.track == place.track and place.dataset in ("", text.dataset)
    }
    return {**found, **new}


def _join(written: Written | None, row: InstanceRow | None) -> Output:
    text = written.text if written else None
    finish = written.finish if written else ""
    if row is None:
        return Output(text=text, finish=finish, scored=False, empty=not (text or "").strip())
    return Output(
        text=text,
        finish=finish,
        scored=True,
        empty=row.empty,
        verdict=row.verdict,
        detail=row.detail,
        scores=row.scores,
        rules=row.rules,
    )


__all__ = ["Item", "Output", "Samples", "gather_samples"]
