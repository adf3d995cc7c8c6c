"""How far each trial of a study is: its stage, step, loss, speed and time left, from the ledger alone.

One decision: everything is worked out from files that any process can read, so a run and `status` in
another terminal show the same.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from orchestrator.ledger.artifacts import curve_in
from orchestrator.ledger.ledger import Ledger
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

# Where an attempt says how far it is.
_NEWEST = ".progress.json"

ProgressState = Literal["waiting", "running", "done", "failed", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """One stage of one trial.

    `step` counts optimizer steps, samples or programs, `steps` how many there will be; times are in
    seconds. What is not known is None.
    """

    stage: StageName
    state: ProgressState
    seconds: float | None = None
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    tokens_per_s: float | None = None
    seconds_left: float | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialProgress:
    """One trial with its stages, in order."""

    trial: str
    stages: tuple[StageProgress, ...]

    @property
    def now(self) -> StageProgress:
        """The stage that the trial is at: the first that is not done, or the last."""
        return next((stage for stage in self.stages if stage.state != "done"), self.stages[-1])

    @property
    def seconds(self) -> float:
        """What the finished stages took."""
        return sum(stage.seconds or 0.0 for stage in self.stages if stage.state == "done")

    def as_json(self) -> dict[str, Any]:
        """The trial as JSON data: what it is at, and every stage."""
        return {"trial": self.trial, **asdict(self.now), "stages": [asdict(stage) for stage in self.stages]}


def progress_of(trials: Sequence[TrialSpec], ledger: Ledger, *, live_since: float | None) -> tuple[TrialProgress, ...]:
    """How far each trial is.

    Args:
        trials: The trials.
        ledger: What has been done.
        live_since: When the driver that is at work began, or None; an attempt without an end that is
            older than its driver was cut off.
    """
    return tuple(_trial(trial, ledger, live_since=live_since) for trial in trials)


def _trial(trial: TrialSpec, ledger: Ledger, *, live_since: float | None) -> TrialProgress:
    found = ledger.find(trial)
    stages = []
    for stage in trial.stages:
        if stage in found.done:
            stages.append(StageProgress(stage=stage, state="done", seconds=found.done[stage].seconds))
        elif stage in found.damaged:
            cause = f"artifact damaged: {found.damaged[stage]}"
            stages.append(StageProgress(stage=stage, state="failed", cause=cause))
        else:
            stages.append(_unfinished(stage, trial.key(stage), ledger, live_since=live_since))
    return TrialProgress(trial=trial.label, stages=tuple(stages))


def _unfinished(stage: StageName, key: str, ledger: Ledger, *, live_since: float | None) -> StageProgress:
    newest = next(ledger.attempts(key), None)
    if newest is None:
        return StageProgress(stage=stage, state="waiting")
    failure = ledger.last_failure(key)
    if failure is not None and failure[1].parent == newest:
        return StageProgress(stage=stage, state="failed", cause=failure[0].cause.removeprefix("StageFailed: "))
    row = _newest_row(newest)
    live = live_since is not None and max(newest.stat().st_mtime, row.get("time", 0.0)) >= live_since
    if not row:
        return StageProgress(stage=stage, state="running" if live else "stopped")
    return StageProgress(
        stage=stage,
        state="running" if live else "stopped",
        seconds=row.get("seconds"),
        step=int(row["step"]),
        steps=int(row["total_steps"]) if "total_steps" in row else None,
        loss=row.get("loss", row.get("validation/loss")),
        tokens_per_s=row.get("tokens_per_s"),
        seconds_left=_seconds_left(row) if live else None,
    )


def _newest_row(attempt: Path) -> dict[str, float]:
    """What an attempt last said of itself; empty if it said nothing yet."""
    try:
        row: dict[str, float] = json.loads((attempt / _NEWEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        # Only chunks come from another machine's attempt. A row of validation lacks the last step's speed.
        return {name: value for logged in curve_in(attempt)[-2:] for name, value in logged.items()}
    return row


def _seconds_left(row: dict[str, float]) -> float | None:
    """What is left at the pace so far, less the time since the row was written."""
    if not {"total_steps", "seconds", "step", "time"} <= row.keys() or row["step"] <= 0:
        return None
    left = (row["total_steps"] - row["step"]) * row["seconds"] / row["step"]
    return max(0.0, left - (time.time() - row["time"]))


def leave_progress(folder: Path, row: Mapping[str, float]) -> None:
    """Say how far an attempt is, for `orchestrator.ledger.progress` in whatever process."""
    private = folder / f".progress.{os.getpid()}"
    private.write_text(json.dumps(row), encoding="utf-8")
    private.replace(folder / _NEWEST)
