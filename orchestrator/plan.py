"""What a study would do, and why: a pure look at trials and ledger, with estimates.

One decision: an estimate is `Estimate | Unknown(reason)`. What is unknown is shown with its reason
and refuses nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from evaluators.sandbox.toolchains import missing_toolchain
from orchestrator.ledger import Ledger, StageRecord
from orchestrator.trial import StageName, TrialSpec
from tasks.records import Language, Track
from trainers.memory import Estimate, Unknown, training_memory

Action = Literal["run", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """One stage of one trial: whether it would run, and why."""

    trial: str
    stage: StageName
    key: str
    action: Action
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """One trial with its stages and what its training is estimated to need."""

    trial: TrialSpec
    stages: tuple[PlannedStage, ...]
    memory_bytes: Estimate | Unknown
    hours: Estimate | Unknown

    @property
    def due(self) -> tuple[StageName, ...]:
        """The stages that would run."""
        return tuple(stage.stage for stage in self.stages if stage.action == "run")


def plan(trials: Sequence[TrialSpec], ledger: Ledger, *, micro_batch: int) -> tuple[PlannedTrial, ...]:
    """Each trial's stages against the ledger. Reads records, writes nothing."""
    return tuple(_plan_trial(trial, ledger, micro_batch=micro_batch) for trial in trials)


def _plan_trial(trial: TrialSpec, ledger: Ledger, *, micro_batch: int) -> PlannedTrial:
    done = ledger.records_of(trial)
    stages = []
    for stage in trial.stages:
        key = trial.key(stage)
        if stage in done and (language := judgeable_since(done[stage], trial)):
            action, reason = "run", f"could not judge {language} before, and can now"
        elif stage in done:
            action, reason = "skip", "done"
        else:
            action, reason = "run", _why(trial, stage, key, ledger, done=set(done))
        stages.append(PlannedStage(trial=trial.label, stage=stage, key=key, action=action, reason=reason))  # type: ignore[arg-type]
    return PlannedTrial(
        trial=trial,
        stages=tuple(stages),
        memory_bytes=_memory(trial, micro_batch),
        hours=_hours(trial, ledger),
    )


def judgeable_since(record: StageRecord, trial: TrialSpec) -> str:
    """The languages that an execution could not judge for want of a toolchain, if all are there now."""
    written = {Track.parse(track).target for track in trial.tracks}
    names = cast("list[str]", record.facts.get("absent_toolchains", []))
    absent = [language for language in map(Language, names) if language in written]
    if not absent or any(missing_toolchain(language) for language in absent):
        return ""
    return ", ".join(language.title for language in absent)


def _why(trial: TrialSpec, stage: StageName, key: str, ledger: Ledger, *, done: set[StageName]) -> str:
    """Why a stage without a valid record would run."""
    waiting = [upstream for upstream in trial.inputs_of(stage) if upstream not in done]
    if waiting:
        return f"after {waiting[0]}"
    failure = ledger.last_failure(key)
    if failure is not None:
        return f"failed before: {failure[0].cause}"
    if any(True for _ in ledger.attempts(key)):
        return "begun and not finished"
    return "new"


def _memory(trial: TrialSpec, micro_batch: int) -> Estimate | Unknown:
    if trial.training is None:
        return Unknown(reason="nothing is trained")
    return training_memory(
        trial.model,
        kind=trial.kind,
        rank=trial.lora.rank if trial.lora else 0,
        tokens=micro_batch * trial.training.max_length,
        optimizer_8bit=trial.training.optimizer == "adamw_8bit",
    )


def _hours(trial: TrialSpec, ledger: Ledger) -> Estimate | Unknown:
    record = ledger.records_of(trial).get("train")
    if record is not None:
        return Estimate(value=record.seconds / 3600, basis="measured")
    if trial.training is None:
        return Unknown(reason="nothing is trained")
    return Unknown(reason="no training of this model on this hardware is in the ledger yet")
