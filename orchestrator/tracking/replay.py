"""A study file from what a run in MLflow holds, so that anybody with the tracking server can run the study again.

One decision: the study's run has its file with every setting written out, beside the keys that its stages had then. So
the file that is made can be checked here: its trials have those keys, or it is said which have not.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import yaml
from pydantic import ValidationError

from orchestrator.errors import PolytuneError
from orchestrator.ledger.manifest import NamedStages
from orchestrator.study.cells import expand
from orchestrator.study.file import read_study
from orchestrator.study.trial import TrialSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What of a study is kept in MLflow: its file and its stages' keys, and the spec of the one trial that was named.

    `run` is the run as people name it; `trial` is None where the study's own run was named.
    """

    run: str
    study: str
    stages: str
    trial: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A study file, and how many of its trials have the keys of the run; `odd` are the labels of those that have not.

    `unchecked` says why keys could not be compared, if so.
    """

    text: str
    same: int
    odd: tuple[str, ...]
    unchecked: str = ""


def replay(kept: Kept) -> Replayed:
    """A study file that gives the same trials as the run: all of the study, or the one that was named.

    Raises:
        PolytuneError: if what is kept is not what this version can read.
        StudyError: if the study that is kept is one that this version would not run.
    """
    try:
        raw: dict[str, Any] = json.loads(kept.study)
        before = NamedStages.model_validate_json(kept.stages)
        trial = None if kept.trial is None else TrialSpec.model_validate_json(kept.trial)
    except (ValueError, ValidationError):
        raise PolytuneError(
            f"run {kept.run} holds a study that this version cannot read; replay it with the version that its "
            "versions.json names, or run `polytune track STUDY` where its ledger is"
        ) from None
    if PurePath(str(raw.get("storage", ""))).is_absolute():
        # The folder of another machine, or of another user; results go where they usually do.
        del raw["storage"]
    if trial is not None:
        raw = _narrowed(raw, trial)
    text = _header(kept.run) + yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=110)
    return _compared(text, before, run=kept.run)


def _narrowed(raw: Mapping[str, Any], trial: TrialSpec) -> dict[str, Any]:
    """A study of one trial: its model, method, tracks and seed."""
    one = dict(raw) | {
        "models": [model for model in raw["models"] if model["name"] == trial.model.name],
        "seeds": [trial.seed],
        "tasks": {track: raw["tasks"][track] for track in trial.tracks},
        "methods": {trial.method_name: raw["methods"][trial.method_name]},
    }
    if isinstance(one.get("question"), dict):
        # What the whole study compares is not there any more.
        one["question"] = {name: value for name, value in one["question"].items() if name != "compare"}
    return one


def _header(run: str) -> str:
    return f"# Made by `polytune replay` from the MLflow run {run}, with every setting written out.\n"


def _compared(text: str, before: NamedStages, *, run: str) -> Replayed:
    study = read_study(text, source=f"the study of run {run}")
    try:
        trials = expand(study).trials
    except Exception as error:
        # Data or a model that is not on this machine; whoever runs the file is told the same.
        return Replayed(text=text, same=0, odd=(), unchecked=str(error))
    odd = tuple(trial.label for trial in trials if _keys(trial) != _keys_before(before, trial.label))
    return Replayed(text=text, same=len(trials) - len(odd), odd=odd)


def _keys(trial: TrialSpec) -> dict[str, str]:
    return {stage: trial.key(stage) for stage in trial.stages}


def _keys_before(before: NamedStages, label: str) -> dict[str, str]:
    return {stage: named.key for stage, named in before.trials.get(label, {}).items()}


__all__ = ["Kept", "Replayed", "replay"]
