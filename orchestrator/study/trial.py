"""Trials and their stages: all that can change a number, and the keys that follow from it.

One decision: a stage's key is the hash of its own spec and of its inputs' keys, so every key is known
before anything runs, and a changed setting changes the keys of exactly what depends on it.
"""

import re
from typing import Literal, cast

from pydantic import Field, JsonValue

from evaluators.generation.settings import ENGINE_VERSIONS, GenerationSettings
from evaluators.sandbox.records import Limits
from models.spec import ModelSpec
from orchestrator.study.fingerprint import canonical, fingerprint
from orchestrator.study.resources import Resources
from orchestrator.study.schema import short_name
from orchestrator.study.stages import STAGES, StageName
from tasks import prompts
from tasks.readers import Source
from tasks.records import Record, Track, neutral_fields
from trainers.methods import table
from trainers.methods.table import MethodKind, MethodTraits, traits_of
from trainers.spec import LoraSettings, TrainingSettings, TrainingSpec


class TrackSource(Record):
    """One source of one track. `identity` is its content's; None means that nothing pins it."""

    track: str
    source: Source
    identity: str | None


class TrialSpec(Record):
    """One cell of a study: model, method, group of tracks, seed, settings, data."""

    method_name: str
    model: ModelSpec
    kind: MethodKind
    grouping: Literal["together", "apart"]
    group: str
    tracks: tuple[str, ...]
    seed: int
    lora: LoraSettings | None
    training: TrainingSettings | None
    train: tuple[TrackSource, ...]
    validation: tuple[TrackSource, ...]
    test: tuple[TrackSource, ...]
    generation: GenerationSettings
    limits: Limits
    quality: bool
    metrics: tuple[str, ...] | None = Field(default=None, json_schema_extra={"since": 2})

    stored_keys: dict[StageName, str] = Field(default={}, exclude=True, json_schema_extra={"since": 2})

    @property
    def label(self) -> str:
        """What people call this trial; unique within a study."""
        parts = [
            short_name(self.model),
            self.method_name,
            *([self.group] if self.grouping == "apart" else []),
            f"seed{self.seed}",
        ]
        return "/".join(parts)

    @property
    def traits(self) -> MethodTraits:
        """What is true of its kind of method."""
        return traits_of(self.kind)

    @property
    def training_spec(self) -> TrainingSpec | None:
        """What its trainer is given; None for a frozen model."""
        if not self.traits.is_trained or self.training is None:
            return None
        return TrainingSpec(model=self.model, kind=self.kind, lora=self.lora, settings=self.training, seed=self.seed)

    @property
    def stages(self) -> tuple[StageName, ...]:
        """The stages that this trial has, in order."""
        absent = {StageName.TRAIN: not self.traits.is_trained, StageName.EXECUTE: not self._writes_code}
        return tuple(stage for stage in STAGES if not absent.get(stage))

    @property
    def _writes_code(self) -> bool:
        return any(Track.parse(track).writes_code for track in self.tracks)

    def inputs_of(self, stage: StageName) -> tuple[StageName, ...]:
        """The stages of this trial whose outputs a stage reads."""
        upstream = STAGES[stage].upstream
        return (upstream,) if upstream in self.stages else ()

    def unresolved(self) -> tuple[str, ...]:
        """What nothing pins: names of hub models without commit and of data without identity."""
        pinned = self.model.digest or re.fullmatch("[0-9a-f]{40}", self.model.revision or "")
        model = [] if pinned else [f"model {self.model.name}"]
        data = {s.source.name for s in (*self.train, *self.validation, *self.test) if s.identity is None}
        return (*model, *sorted(data))

    def key(self, stage: StageName) -> str:
        """The stage's key: that under which it was run, where a trial is shown as it was; else what its spec gives."""
        return self.stored_keys.get(stage) or fingerprint(self._identity(stage))

    def identity(self, stage: StageName) -> dict[str, JsonValue]:
        """What the stage's key is the hash of, as plain data."""
        return cast("dict[str, JsonValue]", canonical(self._identity(stage)))

    def _identity(self, stage: StageName) -> dict[str, object]:
        spec: dict[str, object] = {
            "stage": stage,
            "version": STAGES[stage].version,
            "inputs": [self.key(upstream) for upstream in self.inputs_of(stage)],
        }
        if stage == StageName.TRAIN:
            spec |= self._judge() | {
                "training": _identity_of(self.training_spec),
                "prompts": prompts.VERSION,
                "train": _identities(self.train),
                "validation": _identities(self.validation) if self.training and self.training.validate_every else [],
            }
        elif stage == StageName.GENERATE:
            weights = {} if self.traits.is_trained else {"model": _model_identity(self.model)}
            spec |= weights | {
                "prompts": prompts.VERSION,
                "test": _identities(self.test),
                "generation": self.generation,
                **self._engine(),
            }
        elif stage == StageName.EXECUTE:
            spec |= {"limits": self.limits}
        else:
            spec |= {"quality": self.quality} | ({} if self.metrics is None else {"metrics": sorted(set(self.metrics))})
        return spec

    def _engine(self) -> dict[str, object]:
        """What an engine computes, for all but the first one, which the stage's version speaks for."""
        engine = self.generation.engine
        if engine == "transformers" or engine == "auto":
            return {}
        return {"engine_version": ENGINE_VERSIONS[engine]}

    def _judge(self) -> dict[str, object]:
        """What else decides a training that keeps the checkpoint whose greedy output scores best."""
        settings = self.training
        if settings is None or settings.validate_every is None or settings.select_by != "similarity":
            return {}
        return {
            "judge": {
                "generate": STAGES[StageName.GENERATE].version,
                "score": STAGES[StageName.SCORE].version,
                "max_new_tokens": self.generation.max_new_tokens,
                "max_summary_tokens": self.generation.max_summary_tokens,
            }
        }


def processes_of(trial: TrialSpec, resources: Resources) -> int:
    """How many processes a trial's training has."""
    return table.processes_of(trial.kind, full_workers=resources.full_workers)


def units_held(trial: TrialSpec, stage: StageName, resources: Resources) -> float:
    """How many of what `price_per_hour` prices a stage holds: GPUs, or cores in a study without GPUs."""
    processes = processes_of(trial, resources)
    if resources.trial_gpus or resources.generator_gpus:
        gpus = {StageName.TRAIN: resources.trial_gpus * processes, StageName.GENERATE: resources.generator_gpus}
        return float(gpus.get(stage, 0.0))
    cores = {StageName.TRAIN: resources.trial_cpus * processes, StageName.GENERATE: resources.generator_cpus}
    return float(cores.get(stage, 1))


def _identity_of(training: TrainingSpec | None) -> dict[str, object] | None:
    """A training spec with its model reduced to what identifies it."""
    if training is None:
        return None
    return {**cast("dict[str, object]", canonical(training)), "model": _model_identity(training.model)}


def _model_identity(model: ModelSpec) -> dict[str, object]:
    """A local model is its content, wherever it lies; a hub model its name and revision; either with its template."""
    given = {"chat_template": model.chat_template, "template_arguments": model.template_arguments}
    template: dict[str, object] = {name: value for name, value in given.items() if value}
    if model.digest:
        return {"digest": model.digest, **template}
    return {"name": model.name, "revision": model.revision, **template}


def _identities(sources: tuple[TrackSource, ...]) -> list[list[str]]:
    """What identifies sources; unpinned ones go by their wording, and are shown as unresolved."""
    return [[s.track, s.identity or f"unresolved {_wording(s.source)}"] for s in sources]


def _wording(source: Source) -> str:
    return source.model_dump_json(exclude=neutral_fields(source))
