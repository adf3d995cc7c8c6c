"""What earlier records tell of how long a stage takes and how much it writes.

One decision: a stage is compared with records of the same model, method and data alone, scaled by the amount of work,
and never with a formula; where there is none the answer is `Unknown` with its reason.
"""

from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import Any

from models.shapes import Estimate, Unknown
from orchestrator.ledger.completions import counts_in
from orchestrator.ledger.ledger import StageRecord
from orchestrator.study.fingerprint import fingerprint
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from trainers.methods.table import MethodKind

# Settings of a training that do not change how long a step takes.
_TIMELESS = ("learning_rate", "schedule", "warmup_steps", "weight_decay", "max_grad_norm", "patience", "min_delta")
_Spec = Mapping[str, Any]


class History:
    """Earlier records, by what decides how long a stage of a kind takes."""

    def __init__(self, records: Iterable[StageRecord]) -> None:
        known = [record for record in records if record.spec]
        self._specs: dict[str, _Spec] = {record.key: record.spec for record in known}
        self._trainings = [record for record in known if record.stage == StageName.TRAIN]
        self._found: dict[str, list[tuple[float, StageRecord]]] = {}
        for record in known:
            sort = _sort(record.stage, record.spec, self._specs)
            if sort is not None:
                self._found.setdefault(sort[0], []).append((sort[1], record))

    def hours(self, trial: TrialSpec, stage: StageName) -> Estimate | Unknown:
        """Hours of one stage, from records of the same model, method and data."""
        found, work = self._like(trial, stage)
        # What found completions there took less time than it would have.
        like = [(done, record) for done, record in found if not (counts_in(record) or (0, 0))[0]]
        if not like:
            return Unknown(reason=f"no {stage} of this model, method and data is in the ledger yet")
        rates = [record.seconds / done for done, record in like]
        return Estimate(value=fmean(rates) * work / 3600, basis=f"from {_count(len(like))}")

    def disk(self, trial: TrialSpec, stage: StageName) -> Estimate | Unknown:
        """Bytes that one stage writes, from such records."""
        like, _ = self._like(trial, stage)
        if not like:
            return Unknown(reason=f"no {stage} of this model, method and data is in the ledger yet")
        sizes = [sum(file.size_bytes for file in record.outputs.values()) for _, record in like]
        return Estimate(value=fmean(sizes), basis=f"from {_count(len(like))}")

    def trainings(self, trial: TrialSpec, *, on_gpu: bool) -> Iterator[tuple[_Spec, _Spec]]:
        """Settings and facts of earlier trainings of a trial's model and kind, where a GPU was or was not to be had."""
        own: Any = trial.identity(StageName.TRAIN)["training"]
        for record in self._trainings:
            training: Any = record.spec["training"]
            alike = (training["model"], training["kind"]) == (own["model"], own["kind"])
            if alike and "runtime" in record.facts and on_gpu == (record.provenance.get("gpus", "none") != "none"):
                yield training, record.facts

    def _like(self, trial: TrialSpec, stage: StageName) -> tuple[list[tuple[float, StageRecord]], float]:
        own: dict[str, _Spec] = {trial.key(name): trial.identity(name) for name in trial.stages}
        sort = _sort(stage, own[trial.key(stage)], {**self._specs, **own})
        return (self._found.get(sort[0], []), sort[1]) if sort is not None else ([], 1.0)


def _count(number: int) -> str:
    return "1 earlier record" if number == 1 else f"{number} earlier records"


def _sort(stage: StageName, spec: _Spec, specs: Mapping[str, _Spec]) -> tuple[str, float] | None:
    """What a stage's duration depends on, hashed, and the amount of work in units of that sort."""
    if stage == StageName.TRAIN:
        return _training_sort(spec)
    upstream = specs.get(spec["inputs"][0]) if spec["inputs"] else {}
    if upstream is None:
        return None
    if stage == StageName.GENERATE:
        training = upstream.get("training") or {"kind": MethodKind.FROZEN, "model": spec.get("model")}
        asked = {name: value for name, value in spec["generation"].items() if name not in ("samples", "seed")}
        sort = {"model": training["model"], "kind": training["kind"], "test": spec["test"], "asked": asked}
        return fingerprint({"stage": stage, **sort}), float(spec["generation"]["samples"])
    rest = {name: value for name, value in spec.items() if name not in ("inputs", "version", "stage")}
    sort = {"test": upstream["test"], "own": rest}
    return fingerprint({"stage": stage, **sort}), float(upstream["generation"]["samples"])


def _training_sort(spec: _Spec) -> tuple[str, float]:
    training = spec["training"]
    settings = {name: value for name, value in training["settings"].items() if name not in _TIMELESS}
    unit = "max_steps" if settings.get("max_steps") else "epochs"
    work = float(settings[unit])
    settings |= {"max_steps": None, "epochs": None, "unit": unit}
    sort = {
        "model": training["model"],
        "kind": training["kind"],
        "lora": training["lora"],
        "settings": settings,
        "train": spec["train"],
        "validation": spec["validation"],
    }
    return fingerprint(sort), work


__all__ = ["History"]
