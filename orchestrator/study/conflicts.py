"""Settings that are each fine and cannot be meant together, found before anything is loaded.

One decision: what a model is (its context, its precision, whether its files are whole) is read from its folder or the
presets; of a hub model that neither tells of, only its name is looked at, and what is not known refuses nothing.
"""

from collections.abc import Iterator

from evaluators.similarity import study_metrics
from models.folders import context_of, faults_of_files, settings_of
from models.locations import quantised
from models.shapes import Unknown, shape_of
from models.spec import ModelSpec
from orchestrator.errors import Fault
from orchestrator.study.engines import engine_conflicts
from orchestrator.study.question import PASSED, Way, faults_of_pair
from orchestrator.study.resources import Resources
from orchestrator.study.schema import Method, Study
from tasks.records import Track
from trainers.methods.table import MethodKind, traits_of
from trainers.spec import TrainingSettings


def conflicts(study: Study) -> tuple[Fault, ...]:
    """Every conflict between a study's models and methods, by the setting to change.

    Raises:
        ModelError: if a built-in model has an unknown name.
    """
    damaged = tuple(
        Fault(where=f"models.{number}", message=text)
        for number, model in enumerate(study.models)
        for text in faults_of_files(model)
    )
    return (
        damaged
        + tuple(
            fault
            for name, method in study.methods.items()
            for model in study.models
            for fault in _between(model, method, study.resources, where=f"methods.{name}")
        )
        + tuple(
            fault
            for name, method in study.methods.items()
            for fault in _of_several_tracks(method, tuple(study.tasks), where=f"methods.{name}.training")
        )
        + tuple(_of_the_question(study))
        + engine_conflicts(study)
    )


def _of_the_question(study: Study) -> Iterator[Fault]:
    """Names that the study has not, and a metric that it does not measure."""
    ways = [Way(method=name, kind=method.kind, grouping=method.grouping) for name, method in study.methods.items()]
    for number, pair in enumerate(study.question.compare):
        for message in faults_of_pair(pair, ways):
            yield Fault(where=f"question.compare.{number}", message=message)
    tracks, chosen = [Track.parse(track) for track in study.tasks], study.evaluation.metrics
    measured = {name for track in tracks for name in study_metrics(track, chosen)}
    measured |= {PASSED} if any(track.writes_code for track in tracks) else set()
    if (metric := study.question.metric) is not None and metric not in measured:
        yield Fault(
            where="question.metric",
            message=f"{metric} is measured on none of the study's tracks; name one of {', '.join(sorted(measured))}, "
            "or add it to evaluation.metrics",
        )


def _of_several_tracks(method: Method, tracks: tuple[str, ...], *, where: str) -> Iterator[Fault]:
    """Settings about several tracks in one training that this method or study has no use for."""
    training = method.training
    if training is None:
        return
    for block in ("mixture", "balance"):
        settings = getattr(training, block)
        if settings == TrainingSettings.model_fields[block].default:
            continue
        if method.grouping == "apart" or len(tracks) == 1:
            why = (
                "grouping apart trains each task by itself" if method.grouping == "apart" else "the study has one track"
            )
            message = f"it weighs several tasks in one training, and {why}; leave {block} out"
            yield Fault(where=f"{where}.{block}", message=message)
        elif settings.weights is not None and (odd := sorted(settings.weights.keys() ^ set(tracks))):
            yield Fault(
                where=f"{where}.{block}.weights",
                message=f"weights name each of the study's tracks and no other; look at {', '.join(odd)}",
            )
    if training.balance.projection and not method.traits.has_adapter:
        yield Fault(
            where=f"{where}.balance.projection",
            message=f"it works on an adapter's weights, and kind {method.kind} trains all; leave it out",
        )


def _between(model: ModelSpec, method: Method, resources: Resources, *, where: str) -> Iterator[Fault]:
    why = quantised(model) if traits_of(method.kind).has_own_weights else ""
    if why:
        yield Fault(
            where=f"{where}.kind",
            message=f"full fine-tuning cannot train quantised weights, and {why}; name the full-precision model, or "
            f"use kind: {MethodKind.QLORA}",
        )
    context = _context(model)
    if method.training is not None and context is not None and method.training.max_length > context:
        yield Fault(
            where=f"{where}.training.max_length",
            message=f"examples of {method.training.max_length} tokens are longer than the context of "
            f"{model.name}, {context} tokens; set at most {context}",
        )


def _context(model: ModelSpec) -> int | None:
    """A model's longest input, from its folder or the presets; None where nothing tells it."""
    settings, shape = settings_of(model), shape_of(model)
    if settings is not None:
        return context_of(settings)
    return None if isinstance(shape, Unknown) else shape.context
