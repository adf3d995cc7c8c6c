"""What a study's trials were given: models, methods, settings, data and seeds, as whoever cites it must name them.

One decision: it is read from the trials as they were run, never from the study file, where a short form leaves
defaults unsaid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.study.trial import TrackSource, TrialSpec
from tasks.records import neutral_fields

Settings = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUse:
    """Data of one track in one role. `identity` is what pins its content, empty where nothing does."""

    track: str
    role: str
    source: str
    split: str
    limit: int | None
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSetup:
    """What one trial was given. `training` and `adapter` are empty for a frozen model, `adapter` for full training."""

    trial: str
    model: str
    revision: str
    digest: str
    method: str
    kind: str
    title: str
    grouping: str
    seed: int
    adapter: Settings
    training: Settings
    generation: Settings
    data: tuple[DataUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What all trials were given; empty for results that came without it."""

    trials: tuple[TrialSetup, ...] = field(default=())

    @property
    def data(self) -> tuple[DataUse, ...]:
        """All data, each once."""
        return tuple(dict.fromkeys(use for trial in self.trials for use in trial.data))

    @property
    def models(self) -> dict[str, str]:
        """What pins each model: its revision, or the digest of its files; empty where nothing does."""
        return {
            trial.model: trial.revision or (f"sha256 {trial.digest}" if trial.digest else "") for trial in self.trials
        }

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of trainings; a frozen model has nothing to seed."""
        return tuple(dict.fromkeys(trial.seed for trial in self.trials if trial.training))


def describe_setup(trials: Sequence[TrialSpec]) -> Setup:
    """What trials were given."""
    return Setup(trials=tuple(_describe(trial) for trial in trials))


def _describe(trial: TrialSpec) -> TrialSetup:
    trained = trial.training_spec
    return TrialSetup(
        trial=trial.label,
        model=trial.model.name,
        revision=trial.model.revision or "",
        digest=trial.model.digest or "",
        method=trial.method_name,
        kind=str(trial.kind),
        title=trial.traits.title,
        grouping=trial.grouping,
        seed=trial.seed,
        adapter=trained.lora.model_dump(mode="json", exclude=neutral_fields(trained.lora))
        if trained and trained.lora
        else {},
        training=trained.settings.model_dump(mode="json") if trained else {},
        generation=trial.generation.model_dump(mode="json"),
        data=tuple(_list_data(trial)),
    )


def _list_data(trial: TrialSpec) -> list[DataUse]:
    validates = bool(trial.training and trial.training.validate_every)
    roles = {"train": trial.train, "validation": trial.validation if validates else (), "test": trial.test}
    return [
        _use(source, role)
        for role, sources in roles.items()
        for source in sources
        if trial.traits.is_trained or role == "test"
    ]


def _use(found: TrackSource, role: str) -> DataUse:
    source = found.source
    return DataUse(
        track=found.track,
        role=role,
        source=source.name,
        split=source.split,
        limit=source.limit,
        identity=found.identity or "",
    )


__all__ = ["DataUse", "Settings", "Setup", "TrialSetup", "describe_setup"]
