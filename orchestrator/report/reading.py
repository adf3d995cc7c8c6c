"""Reads a study's texts: completions from the ledger, prompts and references from the study's test data.

One decision: data that are gone or were edited since cost the prompts and references of their track, and no more; what
models wrote is in the ledger and is always shown.
"""

from collections.abc import Sequence
from pathlib import Path

from orchestrator.ledger.artifacts import completions_of
from orchestrator.ledger.ledger import Ledger
from orchestrator.report.texts import Asked, Key, Texts, Written
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrackSource, TrialSpec
from tasks.readers import DataError, digest, read_problems
from tasks.records import Track


def read_texts(study: Study, trials: Sequence[TrialSpec], ledger: Ledger) -> Texts:
    """Every completion that the ledger holds of a study, and the problems, as far as their data are there."""
    asked, gaps = _read_asked(trials, root=Path(study.data.root))
    return Texts(asked=asked, written=_read_written(trials, ledger), gaps=gaps)


def _read_written(trials: Sequence[TrialSpec], ledger: Ledger) -> dict[str, dict[Key, Written]]:
    written: dict[str, dict[Key, Written]] = {}
    for trial in trials:
        record = ledger.records_of(trial).get(StageName.GENERATE)
        if record is not None:
            written[trial.label] = {
                (found.problem_id, found.sample): Written(
                    track=found.track, dataset=found.dataset, text=found.text, finish=found.finish
                )
                for found in completions_of(ledger, record)
            }
    return written


def _read_asked(trials: Sequence[TrialSpec], *, root: Path) -> tuple[dict[tuple[str, str], Asked], tuple[str, ...]]:
    asked: dict[tuple[str, str], Asked] = {}
    gaps: dict[str, None] = {}
    for source in dict.fromkeys(source for trial in trials for source in trial.test):
        try:
            asked |= _read_source(source, root=root)
        except (DataError, OSError) as error:
            gaps[f"{source.track}: prompts and references are not shown, since {_say(source, error)}"] = None
    return asked, tuple(gaps)


def _read_source(source: TrackSource, *, root: Path) -> dict[tuple[str, str], Asked]:
    if source.identity is not None and digest(source.source, root=root) != source.identity:
        remedy = "bring back the file as it was, or run the study again on what it is now"
        raise DataError(source.source.name, "was edited after the study had read it", remedy)
    problems = read_problems(source.source, track=Track.parse(source.track), root=root)
    return {(p.track, p.id): Asked(prompt=p.input, reference=p.reference) for p in problems}


def _say(source: TrackSource, error: DataError | OSError) -> str:
    return str(error) if isinstance(error, DataError) else f"{source.source.name} cannot be read: {error}"


__all__ = ["read_texts"]
