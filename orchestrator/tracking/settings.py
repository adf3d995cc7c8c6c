"""A trial's settings as MLflow's parameters: which of them say something.

One decision: a setting that is the same in all trials that have it is no parameter of any run. MLflow's pages open on
the first parameters that differ, and take one that only some runs have for one that differs, so a batch size of 16
everywhere was the first thing plotted. What trials share stands in the study run's `settings.json`.
"""

from collections.abc import Sequence
from typing import Any

from models.shapes import Unknown, shape_of
from orchestrator.report.layout import format_count
from orchestrator.study.trial import TrialSpec

IDENTITY = ("method", "model", "task", "seed")
"""Parameters that every run has, whether they differ or not: what people filter and group by."""


def settings_of(trial: TrialSpec) -> dict[str, str]:
    """All that a trial is told to do, flat; the settings' names sort after those that identify it."""
    shape = shape_of(trial.model)
    fields: dict[str, Any] = {
        "method": trial.method_name,
        "model": trial.model.name,
        "task": trial.group,
        "seed": trial.seed,
        "size": None if isinstance(shape, Unknown) else format_count(shape.parameters),
    }
    for name, block in (("test", trial.generation), ("training", trial.training), ("training.lora", trial.lora)):
        fields |= {f"{name}.{key}": value for key, value in (block.model_dump(mode="json") if block else {}).items()}
    return {
        key: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in fields.items()
        if value is not None
    }


_LEAST_SWEPT = 3
NONE = "none"
"""What a run shows of a setting that differs in the study and that its trial does not have.

Left out, MLflow's page that compares runs would plot it as a number, a little above the largest.
"""


def params_of(trial: TrialSpec, *, varying: frozenset[str]) -> dict[str, str]:
    """A trial's parameters: what identifies it, and every setting that differs within its study."""
    own = settings_of(trial)
    return {name: own.get(name, NONE) for name in sorted({*IDENTITY, *varying})}


def values_of(trials: Sequence[TrialSpec]) -> dict[str, set[str]]:
    """The values that each setting has in a study."""
    values: dict[str, set[str]] = {}
    for trial in trials:
        for name, value in settings_of(trial).items():
            values.setdefault(name, set()).add(value)
    return values


def varying(trials: Sequence[TrialSpec]) -> frozenset[str]:
    """Settings that have more than one value in a study."""
    return frozenset(name for name, values in values_of(trials).items() if len(values) > 1)


def swept(trials: Sequence[TrialSpec]) -> frozenset[str]:
    """Settings that have so many values in a study that a plot over them shows something."""
    return frozenset(name for name, values in values_of(trials).items() if len(values) >= _LEAST_SWEPT)


def shared(trials: Sequence[TrialSpec]) -> dict[str, str]:
    """Settings with the one value that they have in a study, those aside that every run shows."""
    return {
        name: next(iter(values))
        for name, values in values_of(trials).items()
        if len(values) == 1 and name not in IDENTITY
    }
