"""Trials and their stages: all that can change a number, and the keys that follow from it.

One decision: a stage's key is the hash of its own spec and of its inputs' keys, so every key is known
before anything runs, and a changed setting changes the keys of exactly what depends on it.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from pydantic import JsonValue

from evaluators.generation import GenerationSettings
from evaluators.sandbox.records import Limits
from orchestrator.fingerprint import canonical, fingerprint
from orchestrator.space import Values, with_values
from orchestrator.study import Method, Study, short_name
from tasks import prompts
from tasks.readers import Source, digest
from tasks.records import Record, Task, Track, neutral_fields
from trainers.locations import local_digest
from trainers.spec import LoraSettings, MethodKind, ModelSpec, TrainingSettings, TrainingSpec

StageName = Literal["train", "generate", "execute", "score"]

# Raised by whoever changes what a stage computes; a test compares the stages' code with it.
CODE_VERSIONS: dict[StageName, int] = {"train": 1, "generate": 1, "execute": 2, "score": 3}


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
    def training_spec(self) -> TrainingSpec | None:
        """What its trainer is given; None for a frozen model."""
        if self.kind == "frozen" or self.training is None:
            return None
        return TrainingSpec(model=self.model, kind=self.kind, lora=self.lora, settings=self.training, seed=self.seed)

    @property
    def stages(self) -> tuple[StageName, ...]:
        """The stages that this trial has, in order."""
        trained: tuple[StageName, ...] = () if self.kind == "frozen" else ("train",)
        executed: tuple[StageName, ...] = ("execute",) if any(Track.parse(t).writes_code for t in self.tracks) else ()
        return (*trained, "generate", *executed, "score")

    def inputs_of(self, stage: StageName) -> tuple[StageName, ...]:
        """The stages of this trial whose outputs a stage reads."""
        if stage == "generate":
            return ("train",) if self.kind != "frozen" else ()
        return () if stage == "train" else ("generate",)

    def unresolved(self) -> tuple[str, ...]:
        """What nothing pins: names of hub models without commit and of data without identity."""
        pinned = self.model.digest or re.fullmatch("[0-9a-f]{40}", self.model.revision or "")
        model = [] if pinned else [f"model {self.model.name}"]
        data = {s.source.name for s in (*self.train, *self.validation, *self.test) if s.identity is None}
        return (*model, *sorted(data))

    def key(self, stage: StageName) -> str:
        """The stage's key."""
        return fingerprint(self._identity(stage))

    def identity(self, stage: StageName) -> dict[str, JsonValue]:
        """What the stage's key is the hash of, as plain data."""
        return cast("dict[str, JsonValue]", canonical(self._identity(stage)))

    def _identity(self, stage: StageName) -> dict[str, object]:
        spec: dict[str, object] = {
            "stage": stage,
            "version": CODE_VERSIONS[stage],
            "inputs": [self.key(upstream) for upstream in self.inputs_of(stage)],
        }
        if stage == "train":
            spec |= self._judge() | {
                "training": _identity_of(self.training_spec),
                "prompts": prompts.VERSION,
                "train": _identities(self.train),
                "validation": _identities(self.validation) if self.training and self.training.validate_every else [],
            }
        elif stage == "generate":
            weights = {} if self.kind != "frozen" else {"model": _model_identity(self.model)}
            spec |= weights | {
                "prompts": prompts.VERSION,
                "test": _identities(self.test),
                "generation": self.generation,
            }
        elif stage == "execute":
            spec |= {"limits": self.limits}
        else:
            spec |= {"quality": self.quality}
        return spec

    def _judge(self) -> dict[str, object]:
        """What else decides a training that keeps the checkpoint whose greedy output scores best."""
        settings = self.training
        if settings is None or settings.validate_every is None or settings.select_by != "similarity":
            return {}
        return {
            "judge": {
                "generate": CODE_VERSIONS["generate"],
                "score": CODE_VERSIONS["score"],
                "max_new_tokens": self.generation.max_new_tokens,
                "max_summary_tokens": self.generation.max_summary_tokens,
            }
        }


def _identity_of(training: TrainingSpec | None) -> dict[str, object] | None:
    """A training spec with its model reduced to what identifies it."""
    if training is None:
        return None
    return {**cast("dict[str, object]", canonical(training)), "model": _model_identity(training.model)}


def _model_identity(model: ModelSpec) -> dict[str, object]:
    """A local model is its content, wherever it lies; a hub model its name and revision."""
    if model.digest:
        return {"digest": model.digest}
    return {"name": model.name, "revision": model.revision}


def _identities(sources: tuple[TrackSource, ...]) -> list[list[str]]:
    """What identifies sources; unpinned ones go by their wording, and are shown as unresolved."""
    return [[s.track, s.identity or f"unresolved {_wording(s.source)}"] for s in sources]


def _wording(source: Source) -> str:
    return source.model_dump_json(exclude=neutral_fields(source))


def trials_of(study: Study) -> tuple[TrialSpec, ...]:
    """Every cell of a study, with data and models identified. Reads local files, never a network.

    Raises:
        DataError, ModelError: if local data or a local model is not there.
    """
    root = Path(study.data.root)
    cache: dict[str, str | None] = {}

    def identified(track: str, sources: tuple[Source, ...]) -> tuple[TrackSource, ...]:
        found = []
        for source in sources:
            wording = source.model_dump_json()
            if wording not in cache:
                cache[wording] = digest(source, root=root)
            found.append(TrackSource(track=track, source=source, identity=cache[wording]))
        return tuple(found)

    data = {
        role: {track: identified(track, getattr(entry, role)) for track, entry in study.tasks.items()}
        for role in ("train", "validation", "test")
    }
    models = [m.model_copy(update={"digest": local_digest(m)}) for m in study.models]
    return tuple(
        _trial(study, model, name=name, group=group, seed=seed, data=data)
        for seed in study.seeds
        for model in models
        for name, method in study.methods.items()
        for group in _groups(study, method)
        # What a search has not found yet is no trial yet.
        if method.search is None or place_of(model, group[0]) in method.search.chosen
    )


def candidates_of(
    study: Study, name: str, tried: Sequence[Values] | None = None, *, after: int = 0
) -> dict[str, tuple[tuple[TrialSpec, ...], ...]]:
    """The trainings of a method's search: by model and group, for each candidate one a seed.

    The candidates are those that the search begins with, or those to be `tried` `after` so many others. They have no
    problems to test on: only what a search chose is tested.
    """
    method = study.methods[name]
    assert method.search is not None
    found: dict[str, list[tuple[TrialSpec, ...]]] = {}
    for number, values in enumerate(method.search.candidates() if tried is None else tried):
        label = f"{name}-try{after + number}"
        chosen = {place_of(model, group): values for model in study.models for group, _ in _groups(study, method)}
        search = method.search.model_copy(update={"chosen": chosen})
        one = study.model_copy(
            update={"methods": {label: method.model_copy(update={"search": search})}, "seeds": method.search.seeds}
        )
        for trial in trials_of(one):
            place = place_of(trial.model, trial.group)
            untested = trial.model_copy(update={"test": ()})
            group = found.setdefault(place, [])
            if len(group) <= number:
                group.append(())
            group[number] = (*group[number], untested)
    return {place: tuple(group) for place, group in found.items()}


def place_of(model: ModelSpec, group: str) -> str:
    """Where a search has a result of its own: a model and a group of tracks."""
    return f"{short_name(model)}/{group}"


_Data = dict[str, dict[str, tuple[TrackSource, ...]]]
_Group = tuple[str, tuple[str, ...]]


def _groups(study: Study, method: Method) -> tuple[_Group, ...]:
    """Groups of tracks that share a model: all of them, or one group for each task."""
    if method.grouping == "together":
        return (("all", tuple(study.tasks)),)
    return tuple((task.value, tracks) for task in Task if (tracks := study.tracks_of(task)))


def _trial(study: Study, model: ModelSpec, *, name: str, group: _Group, seed: int, data: _Data) -> TrialSpec:
    method, (group_name, tracks) = study.methods[name], group

    def sources(role: str) -> tuple[TrackSource, ...]:
        return tuple(source for track in tracks for source in data[role][track])

    training, lora = method.training, method.lora
    if method.search is not None and training is not None:
        training, lora = with_values(training, lora, method.search.chosen[place_of(model, group_name)])
    return TrialSpec(
        method_name=name,
        model=model,
        kind=method.kind,
        grouping=method.grouping,
        group=group_name,
        tracks=tracks,
        seed=seed,
        lora=lora,
        training=training,
        train=() if method.kind == "frozen" else sources("train"),
        validation=() if method.kind == "frozen" else sources("validation"),
        test=sources("test"),
        generation=study.evaluation.generation,
        limits=study.evaluation.limits,
        quality=study.evaluation.quality,
    )
