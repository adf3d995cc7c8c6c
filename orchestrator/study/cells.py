"""The cells of a study: each model, method, group of tasks and seed as a trial, with data and models identified.

One decision: a study is expanded once, by `expand`, and the value is handed down. So one run has one set of keys,
whatever happens to the files meanwhile, and each file is hashed once.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.locations import identified
from models.projections import names_known
from models.spec import ModelSpec
from orchestrator.errors import Fault, StudyError
from orchestrator.study.schema import Method, Study, short_name
from orchestrator.study.space import Values, with_values
from orchestrator.study.trial import TrackSource, TrialSpec
from tasks.readers import DataError, Source, digest
from tasks.records import Task

_ROLES = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """What identified a study's data and models when they were looked at, by their wording in the study.

    `projections` are the linear layers of the models whose families are known, by the models' names.
    """

    sources: Mapping[str, str | None]
    models: Mapping[str, ModelSpec]
    projections: Mapping[str, tuple[str, ...] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A study with its trials: made once by whoever begins something with a study, and handed down.

    `digests` are those of the files as they were then. What is edited later gives no trial of these another key.
    """

    study: Study
    trials: tuple[TrialSpec, ...]
    digests: Digests

    def of(self, study: Study) -> "Cells":
        """The cells of the same study when its searches have found more; no file is looked at again."""
        return Cells(study=study, trials=_trials(study, self.digests), digests=self.digests)


def expand(study: Study, *, without_data: bool = False) -> Cells:
    """Every cell of a study, with data and models identified. Reads local files, never a network.

    Args:
        study: What was asked.
        without_data: Let data that cannot be read have no identity, for a look at what was run on them.

    Raises:
        DataError, ModelError: if local data or a local model is not there.
    """
    root = Path(study.data.root)
    named = [source for entry in study.tasks.values() for role in _ROLES for source in getattr(entry, role)]
    digests = Digests(
        sources={source.model_dump_json(): _digest(source, root, without_data=without_data) for source in named},
        models={model.model_dump_json(): identified(model) for model in study.models},
        projections={model.name: names_known(model) for model in study.models},
    )
    return Cells(study=study, trials=_trials(study, digests), digests=digests)


def _digest(source: Source, root: Path, *, without_data: bool) -> str | None:
    try:
        return digest(source, root=root)
    except DataError:
        if not without_data:
            raise
        return None


def _trials(study: Study, digests: Digests) -> tuple[TrialSpec, ...]:
    def identified(track: str, sources: tuple[Source, ...]) -> tuple[TrackSource, ...]:
        return tuple(
            TrackSource(track=track, source=source, identity=digests.sources[source.model_dump_json()])
            for source in sources
        )

    data = {
        role: {track: identified(track, getattr(entry, role)) for track, entry in study.tasks.items()}
        for role in _ROLES
    }
    models = [digests.models[model.model_dump_json()] for model in study.models]
    return tuple(
        _with_targets(_trial(study, model, name=name, group=group, seed=seed, data=data), digests)
        for seed in study.seeds
        for model in models
        for name, method in study.methods.items()
        for group in _groups(study, method)
        # What a search has not found yet is no trial yet.
        if method.search is None or place_of(model, group[0]) in method.search.chosen
    )


def candidates_of(
    cells: Cells, name: str, tried: Sequence[Values] | None = None, *, after: int = 0
) -> dict[str, tuple[tuple[TrialSpec, ...], ...]]:
    """The trainings of a method's search: by model and group, for each candidate one a seed.

    The candidates are those that the search begins with, or those to be `tried` `after` so many others. They have no
    problems to test on: only what a search chose is tested.
    """
    study = cells.study
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
        for trial in cells.of(one).trials:
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
        train=sources("train") if method.traits.is_trained else (),
        validation=sources("validation") if method.traits.is_trained else (),
        test=sources("test"),
        generation=study.evaluation.generation,
        limits=study.evaluation.limits,
        quality=study.evaluation.quality,
        metrics=study.evaluation.metrics,
    )


def _with_targets(trial: TrialSpec, digests: Digests) -> TrialSpec:
    """A trial that names the layers that its adapters go on, where they are known."""
    lora = trial.lora and trial.lora.on(digests.projections[trial.model.name])
    return trial.model_copy(update={"lora": lora})


def find_trial(cells: Cells, label: str) -> TrialSpec:
    """The trial of a label.

    Raises:
        StudyError: if there is none; the nearest label is named.
    """
    trials = {trial.label: trial for trial in cells.trials}
    if label not in trials:
        fault = Fault(where=f"trial {label!r}", message=no_such(label, tuple(trials)))
        raise StudyError(cells.study.study, (fault,))
    return trials[label]


def no_such(name: str, known: Sequence[str]) -> str:
    """What to say of a name that is none of those known: the nearest one, or all."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"there is none; did you mean {close[0]}?" if close else f"there is none; there is: {', '.join(known)}"
