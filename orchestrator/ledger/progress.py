"""How far each trial of a study is: its stage, step, loss, speed and time left, from the ledger alone.

One decision: everything is worked out from files that any process can read, so a run and `status` in
another terminal show the same.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from orchestrator.errors import Cause
from orchestrator.ledger.artifacts import curve_in
from orchestrator.ledger.completions import counts_in
from orchestrator.ledger.ledger import Finding, Ledger, StageRecord
from orchestrator.ledger.oldwords import cause_of
from orchestrator.ledger.rejudging import Tools, judgeable_since
from orchestrator.ledger.writing import Share, Writing
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

# Where an attempt says how far it is.
_NEWEST = ".progress.json"
_NO_TOOLS = Tools()


class State(StrEnum):
    """How a stage or a trial stands: the one vocabulary for everybody who shows or compares it."""

    WAITING = "waiting"  # nothing of it was begun
    RUNNING = "running"
    STOPPED = "stopped"  # begun, and cut off before its end
    FAILED = "failed"
    NOT_RUN = "not-run"  # this machine lacks what it needs; the cause says what
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a stage stands, with its record or its newest attempt, and why it failed if it did."""

    state: State
    record: StageRecord | None = None
    attempt: Path | None = None
    cause: str = ""
    log_path: str = ""


def standing_of(
    stage: StageName,
    trial: TrialSpec,
    ledger: Ledger,
    found: Finding,
    *,
    live_since: float | None = None,
    tools: Tools = _NO_TOOLS,
) -> Standing:
    """How one stage of a trial stands.

    Args:
        stage: The stage.
        trial: Its trial.
        ledger: What has been done.
        found: What the ledger holds of the trial.
        live_since: When the driver that is at work began, or None. A ledger cannot tell a live attempt from one whose
            process died: one without an end that is older than its driver was cut off.
        tools: What this machine has, see `orchestrator.ledger.rejudging`: what lacked one of them is not done.
    """
    renewed = judgeable_since(found.done[stage], trial, tools) if stage in found.done else ""
    if stage in found.done and not renewed:
        return Standing(state=State.DONE, record=found.done[stage])
    if stage in found.damaged:
        return Standing(state=State.FAILED, cause=f"artifact damaged: {found.damaged[stage]}")
    key = trial.key(stage)
    newest = next(ledger.attempts(key), None)
    if newest is None:
        return Standing(state=State.WAITING)
    failure = ledger.last_failure(key)
    if failure is not None and failure[1].parent == newest:
        state = State.NOT_RUN if failure[0].kind == Cause.MISSING else State.FAILED
        return Standing(state=state, attempt=newest, cause=cause_of(failure[0]), log_path=str(failure[1]))
    if ledger.is_recorded(key, newest.name):
        # It was made from what upstream has been made anew since, or lacked a tool that has come.
        return Standing(state=State.WAITING, cause=renewed)
    live = live_since is not None and max(newest.stat().st_mtime, newest_row(newest).get("time", 0.0)) >= live_since
    return Standing(state=State.RUNNING if live else State.STOPPED, attempt=newest)


def state_of(stages: Sequence[State], *, live: bool) -> State:
    """How a trial stands whose stages stand so; `live` says whether something of it is being worked on now."""
    if all(state == State.DONE for state in stages):
        return State.DONE
    if State.FAILED in stages or State.NOT_RUN in stages:
        return State.FAILED
    if live:
        return State.RUNNING
    return State.STOPPED if State.STOPPED in stages or State.RUNNING in stages else State.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A process that writes completions, of this trial among others: what it does, as `Writing` tells it."""

    process: str
    tokens_per_s: float
    completions_per_s: float
    slots: float
    slots_used: float
    busy: float
    busy_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """One stage of one trial.

    `step` counts optimizer steps, completions or pieces of other work, `steps` how many there will be; times are in
    seconds. `known` of the `wanted` completions of a generation were there when it began, and `writers` are at the
    rest. What is not known is None.
    """

    stage: StageName
    state: State
    seconds: float | None = None
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    tokens_per_s: float | None = None
    seconds_left: float | None = None
    known: int | None = None
    wanted: int | None = None
    writers: tuple[Writer, ...] = ()
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialProgress:
    """One trial with its stages, in order."""

    trial: str
    stages: tuple[StageProgress, ...]

    @property
    def now(self) -> StageProgress:
        """The stage that the trial is at: the first that is not done, or the last."""
        return next((stage for stage in self.stages if stage.state != State.DONE), self.stages[-1])

    @property
    def seconds(self) -> float:
        """What the finished stages took."""
        return sum(stage.seconds or 0.0 for stage in self.stages if stage.state == State.DONE)

    def as_json(self) -> dict[str, Any]:
        """The trial as JSON data: what it is at, and every stage."""
        return {"trial": self.trial, **asdict(self.now), "stages": [asdict(stage) for stage in self.stages]}


def progress_of(
    trials: Sequence[TrialSpec],
    ledger: Ledger,
    *,
    live_since: float | None,
    tools: Tools = _NO_TOOLS,
    words: Sequence[Writing] = (),
) -> tuple[TrialProgress, ...]:
    """How far each trial is.

    Args:
        trials: The trials.
        ledger: What has been done.
        live_since: When the driver that is at work began, or None; an attempt without an end that is
            older than its driver was cut off.
        tools: What this machine has: a stage that lacked one of them is not done.
        words: What the processes say that write for the study, where its driver is at work.
    """
    return tuple(_trial(trial, ledger, live_since=live_since, tools=tools, words=words) for trial in trials)


def _trial(
    trial: TrialSpec, ledger: Ledger, *, live_since: float | None, tools: Tools, words: Sequence[Writing]
) -> TrialProgress:
    found = ledger.find(trial)
    standings = (
        (stage, standing_of(stage, trial, ledger, found, live_since=live_since, tools=tools)) for stage in trial.stages
    )
    stages = (_stage(stage, standing, _on(trial.key(stage), words)) for stage, standing in standings)
    return TrialProgress(trial=trial.label, stages=tuple(stages))


def _on(key: str, words: Sequence[Writing]) -> list[tuple[Writing, Share]]:
    """Which processes write for a stage, and how far each is with it."""
    return [(word, word.shares[key]) for word in words if key in word.shares]


def _stage(stage: StageName, standing: Standing, writing: Sequence[tuple[Writing, Share]]) -> StageProgress:
    state = standing.state
    if standing.record is not None:
        known, wanted = counts_in(standing.record) or (None, None)
        return StageProgress(stage=stage, state=state, seconds=standing.record.seconds, known=known, wanted=wanted)
    row = newest_row(standing.attempt) if standing.attempt and state in (State.RUNNING, State.STOPPED) else {}
    if not row:
        return StageProgress(stage=stage, state=state, cause=standing.cause)
    if "asked" in row:
        return _generation(state, row, writing if state == State.RUNNING else ())
    return StageProgress(
        stage=stage,
        state=state,
        seconds=row.get("seconds"),
        step=int(row["step"]),
        steps=int(row["total_steps"]) if "total_steps" in row else None,
        loss=row.get("loss", row.get("validation/loss")),
        tokens_per_s=row.get("tokens_per_s"),
        seconds_left=_seconds_left(row) if state == State.RUNNING else None,
    )


def _generation(state: State, row: Mapping[str, float], writing: Sequence[tuple[Writing, Share]]) -> StageProgress:
    """A generation that was begun: what whole pieces gave, and what the processes say of theirs."""
    asked = int(row["asked"])
    there = min(asked, int(row.get("records", 0)) + sum(share.there for _, share in writing))
    rate = sum(share.made / word.seconds for word, share in writing)
    return StageProgress(
        stage=StageName.GENERATE,
        state=state,
        seconds=row["seconds"],
        step=there,
        steps=asked,
        tokens_per_s=sum(share.new_tokens / word.seconds for word, share in writing) if rate else None,
        seconds_left=(asked - there) / rate if rate else None,
        known=int(row["known"]),
        wanted=int(row["wanted"]),
        writers=tuple(_writer(word) for word, _ in writing),
    )


def _writer(word: Writing) -> Writer:
    return Writer(
        process=word.process,
        tokens_per_s=word.tokens_per_s,
        completions_per_s=word.made_per_s,
        slots=word.slots,
        slots_used=word.slots_used,
        busy=word.busy,
        busy_of=word.busy_of,
    )


def newest_row(attempt: Path) -> dict[str, float]:
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
