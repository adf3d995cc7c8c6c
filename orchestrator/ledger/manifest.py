"""What a study names: the stages of its trials as they were when it was last run.

One decision: keys are written down with what they are the hash of. So `plan` can say what changed since,
and `gc` can tell what is named, without reading data or models that may be gone.
"""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue, ValidationError

from orchestrator.errors import LedgerError
from orchestrator.ledger.ledger import Ledger
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from tasks.records import Record

_FILE = "stages.json"


class NamedStage(Record):
    """One stage of one trial: its key, and what that is the hash of."""

    key: str
    spec: dict[str, JsonValue]


class NamedStages(Record):
    """A study's stages, by trial label and stage."""

    trials: Mapping[str, Mapping[StageName, NamedStage]]

    @property
    def keys(self) -> frozenset[str]:
        """All keys that the study names."""
        return frozenset(stage.key for stages in self.trials.values() for stage in stages.values())


def stages_named_by(trials: Sequence[TrialSpec]) -> NamedStages:
    """What a study of these trials names."""
    return NamedStages(
        trials={
            trial.label: {s: NamedStage(key=trial.key(s), spec=trial.identity(s)) for s in trial.stages}
            for trial in trials
        }
    )


def write_named(ledger: Ledger, study: str, trials: Sequence[TrialSpec]) -> None:
    """Keep what a study names beside its resolved file."""
    ledger.write_study_file(study, _FILE, stages_named_by(trials).model_dump_json())


def read_named(ledger: Ledger, study: str) -> NamedStages | None:
    """What a study named when it was last run; None if it never was.

    Raises:
        LedgerError: if the file is not one that this version can read.
    """
    text = ledger.read_study_file(study, _FILE)
    if text is None:
        return None
    try:
        return NamedStages.model_validate_json(text)
    except ValidationError:
        raise LedgerError(
            f"studies/{study}/{_FILE} in {ledger.address} cannot be read; remove it, and `polytune run` writes it anew"
        ) from None
