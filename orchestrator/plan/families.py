"""What a study's models are found to be before anything is trained: how each family is trained, and what it refuses.

One decision: only what is due is looked at, and whoever only plans looks at what was found before, unless told to
probe. A run always knows, for it probes what it does not.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

from models.folders import notes_on_files
from models.projections import ALL_LINEAR
from models.shapes import Unknown, shape_of
from models.spec import ModelSpec
from models.verdicts import Prompting, Verdict, prompting_of, verdict_of
from models.widths import growth_bytes, takes_packed
from orchestrator.errors import Fault, StudyError
from orchestrator.study.resources import Resources
from orchestrator.study.trial import TrialSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Families:
    """What is known of the models of trials, by the models' names in the study."""

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    prompting: Mapping[str, Prompting] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A trial of which something is due, and whether its training is."""

    trial: TrialSpec
    trains: bool


def families_of(due: Sequence[Due], resources: Resources, *, study: str, probing: bool) -> Families:
    """Look at the models of trials that are to be trained or asked.

    Raises:
        StudyError: with each reason why a trial cannot be trained as it is meant.
        ModelError: if a configuration or a tokenizer cannot be read.
    """
    trained = _models(one.trial for one in due if one.trains)
    verdicts = {m.name: v for m in trained if (v := verdict_of(m, probing=probing)) is not None}
    asked = _models(one.trial for one in due)
    prompting = {m.name: p for m in asked if (p := prompting_of(m, probing=probing)) is not None}
    notes = (*_notes(asked, verdicts, prompting), *dict.fromkeys(_unfit_widths(due, verdicts, resources)))
    found = Families(verdicts=verdicts, prompting=prompting, notes=notes)
    faults = tuple(dict.fromkeys(fault for one in due for fault in _faults(one, resources, found)))
    if faults:
        raise StudyError(study, faults)
    return found


def known_rows(model: ModelSpec) -> Literal["flat", "single"] | None:
    """How examples go through a model, as a probe found it; None where none was kept, and the model itself is tried."""
    verdict = verdict_of(model, probing=False)
    return None if verdict is None or verdict.path == "refused" else verdict.path


def _models(trials: Iterable[TrialSpec]) -> tuple[ModelSpec, ...]:
    return tuple({trial.model.name: trial.model for trial in trials}.values())


def _notes(
    models: Sequence[ModelSpec], verdicts: Mapping[str, Verdict], prompting: Mapping[str, Prompting]
) -> Iterator[str]:
    for model in models:
        if model.name in verdicts:
            yield f"{model.name}, {verdicts[model.name].line()}"
        yield from notes_on_files(model)
        told = prompting.get(model.name)
        if told is None:
            continue
        if told.lead.strip():
            yield f"the template of {model.name} writes {told.lead!r} before answers, which are trained with it"
        if "think" in told.opens and "</think" not in told.opens:
            yield (
                f"the prompts of {model.name} open a thought, and answers are trained behind it; set "
                "models[].template_arguments, as {enable_thinking: false}, to train and ask without one"
            )
        yield from (f"the template of {model.name}: {fault}" for fault in told.faults)


def _faults(one: Due, resources: Resources, found: Families) -> Iterator[Fault]:
    """Why a trial cannot be trained as it is meant, as far as it is known."""
    trial = one.trial
    where, verdict = f"methods.{trial.method_name}", found.verdicts.get(trial.model.name)
    told = found.prompting.get(trial.model.name)
    if told is not None and told.faults and one.trains:
        yield Fault(
            where=f"models.{trial.model.name}",
            message=f"it cannot be trained behind its template: {'; '.join(told.faults)}. Set models[].chat_template",
        )
    if trial.traits.is_quantised and find_spec("bitsandbytes") is None and not resources.address:
        yield Fault(where=f"{where}.kind", message="4 bits need bitsandbytes: pip install bitsandbytes, or kind: lora")
    if verdict is None or not one.trains:
        return
    if verdict.refusal:
        yield Fault(where=f"models.{trial.model.name}", message=verdict.refusal)
        return
    # A family whose layers no table has keeps the word, which fits any.
    if trial.traits.has_adapter and trial.lora is not None and trial.lora.targets != ALL_LINEAR:
        yield from _absent_targets(trial, trial.lora.targets, verdict, where)


def _absent_targets(trial: TrialSpec, targets: Sequence[str], verdict: Verdict, where: str) -> Iterator[Fault]:
    absent = [target for target in targets if target not in verdict.linear]
    # A target may be a path's end, as peft takes it.
    absent = [target for target in absent if target.rsplit(".", 1)[-1] not in verdict.linear]
    if absent:
        yield Fault(
            where=f"{where}.lora.targets",
            message=f"{trial.model.name} ({verdict.family}) has no {', '.join(absent)}; it has "
            f"{', '.join(verdict.linear)}",
        )


def _unfit_widths(due: Sequence[Due], verdicts: Mapping[str, Verdict], resources: Resources) -> Iterator[str]:
    """What generation on a CPU takes more than 4 bits, where its kernels cannot take a model's layers."""
    for model in _models(one.trial for one in due if one.trial.traits.is_quantised and not resources.generator_gpus):
        linear = verdicts[model.name].linear if model.name in verdicts else {}
        sizes = {name: of for name, of in linear.items() if any(not takes_packed(*size) for size in of)}
        if not sizes:
            continue
        shape = shape_of(model)
        layers, each = (1, " a layer") if isinstance(shape, Unknown) else (shape.layers, "")
        more = layers * growth_bytes(size for of in sizes.values() for size in of) / 2**20
        yield (
            f"{', '.join(sizes)} of {model.name} are held in 16 bits where a CPU generates, since kernels for CPUs "
            f"take inputs in multiples of 64 and outputs of 32: {more:,.1f} MiB more than in 4 bits{each}"
        )


__all__ = ["Due", "Families", "families_of", "known_rows"]
