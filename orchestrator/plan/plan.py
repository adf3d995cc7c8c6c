"""What a study would do, and why: a pure function of trials, ledger and machine, with estimates.

One decision: an estimate is `Estimate | Unknown(reason)`. What is unknown is shown with its reason
and refuses nothing; what is known and fits no device, or asks for more than this machine has to offer, refuses
the study before anything runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from models.shapes import Estimate, Unknown
from orchestrator.errors import PolytuneError
from orchestrator.ledger.ledger import QUICK_BYTES, Finding, Ledger
from orchestrator.ledger.manifest import NamedStages
from orchestrator.ledger.rejudging import judgeable_since
from orchestrator.plan.estimates import (
    checkpoints_of,
    chosen_passes,
    cost_of,
    device_memory,
    disk_of,
    memory_of,
    refusal,
)
from orchestrator.plan.guesses import Guesser
from orchestrator.plan.history import History
from orchestrator.plan.machine import UNSEEN, Machine, asked_too_much, works_of
from orchestrator.provenance import ABSENT, VERSIONS
from orchestrator.study.resources import Resources
from orchestrator.study.stages import STAGES, StageName
from orchestrator.study.trial import TrialSpec
from trainers.memory import Passes

Action = Literal["run", "skip"]
_DATA = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """One stage of one trial: whether it would run, why, and how long it would take or took."""

    trial: str
    stage: StageName
    key: str
    action: Action
    reason: str
    hours: Estimate | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """One trial with its stages and what those that are due are estimated to need.

    `memory_bytes` is its training's on each device when it is cut into `passes`; `checkpoint_bytes` what it leaves to
    go on from, until it is recorded. `refusal` says why it fits no device, `asks_too_much` which settings let one of
    its due stages wait for ever on this machine.
    """

    trial: TrialSpec
    stages: tuple[PlannedStage, ...]
    memory_bytes: Estimate | Unknown
    disk_bytes: Estimate | Unknown
    hours: Estimate | Unknown
    cost: Estimate | Unknown
    checkpoint_bytes: Estimate | Unknown
    passes: Passes | None = None
    refusal: str = ""
    asks_too_much: tuple[str, ...] = ()

    @property
    def due(self) -> tuple[StageName, ...]:
        """The stages that would run."""
        return tuple(stage.stage for stage in self.stages if stage.action == "run")

    def refusals(self, *, here: bool) -> tuple[str, ...]:
        """Why it cannot run as it is planned, on any machine or `here`, a sentence each."""
        return (*((self.refusal,) if self.refusal else ()), *(self.asks_too_much if here else ()))


class DoesNotFit(PolytuneError):
    """A study that cannot run where it is to run; holds why, one sentence each.

    By a known estimate no device can train a trial, or the settings ask for more than this machine offers.
    """

    def __init__(self, refusals: tuple[str, ...]) -> None:
        super().__init__(refusals)
        self.refusals = refusals

    def __str__(self) -> str:
        return "\n  ".join(["nothing was started, since not all of the study fits:", *self.refusals])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What a plan is made against.

    `before` is what the study named when it was last run, `claimed` which trial makes a stage, by key.
    """

    ledger: Ledger
    resources: Resources
    history: History
    machine: Machine
    before: NamedStages | None
    hash_up_to: float
    guesser: Guesser | None
    claimed: dict[str, str] = field(default_factory=dict)


def plan(
    trials: Sequence[TrialSpec],
    ledger: Ledger,
    *,
    resources: Resources,
    machine: Machine = UNSEEN,
    before: NamedStages | None = None,
    verify: bool = False,
    guesser: Guesser | None = None,
) -> tuple[PlannedTrial, ...]:
    """Each trial's stages against the ledger. Reads records, writes nothing.

    Args:
        trials: The study's trials.
        ledger: What has been done.
        resources: Where they would run, which decides memory and cost.
        machine: What there is to run them on.
        before: What the study named when it was last run, to say what changed.
        verify: Hash every file that a finished stage wrote, however large; small ones always are.
        guesser: Guesses what no record tells; without one it is unknown.
    """
    context = _Context(
        ledger=ledger,
        resources=resources,
        history=History(filter(None, ledger.all_records().values())),
        machine=machine,
        before=before,
        hash_up_to=float("inf") if verify else QUICK_BYTES,
        guesser=guesser,
    )
    return tuple(_plan_trial(trial, context) for trial in trials)


def refuse_what_does_not_fit(planned: Sequence[PlannedTrial], others: Sequence[str] = (), *, here: bool = True) -> None:
    """Let a study run only if all that is due may fit.

    Args:
        planned: The study's trials.
        others: Refusals of what comes before there are trials.
        here: Whether it would run on this machine; a plan for a cluster may be made anywhere.

    Raises:
        DoesNotFit: with each reason once.
    """
    refused = tuple(dict.fromkeys((*(text for p in planned for text in p.refusals(here=here)), *others)))
    if refused:
        raise DoesNotFit(refused)


def _plan_trial(trial: TrialSpec, context: _Context) -> PlannedTrial:
    found = context.ledger.find(trial, hash_up_to=context.hash_up_to)
    stages = tuple(_plan_stage(trial, stage, found, context) for stage in trial.stages)
    hours = {stage.stage: stage.hours for stage in stages if stage.action == "run"}
    works = works_of(trial.kind, hours)
    passes = chosen_passes(trial, context.resources, context.history, context.machine)
    return PlannedTrial(
        trial=trial,
        stages=stages,
        memory_bytes=memory_of(trial, passes, context.resources, context.history),
        passes=passes,
        checkpoint_bytes=checkpoints_of(trial, context.resources),
        disk_bytes=disk_of(trial, hours, context.history, context.resources, context.guesser),
        hours=_total(hours),
        cost=cost_of(trial, hours, context.resources),
        refusal=refusal(trial, context.resources, device_memory(context.resources, context.machine))
        if StageName.TRAIN in hours
        else "",
        asks_too_much=asked_too_much(works, context.resources, context.machine),
    )


def _plan_stage(trial: TrialSpec, stage: StageName, found: Finding, context: _Context) -> PlannedStage:
    action: Action = "run"
    key, hours = trial.key(stage), context.history.hours(trial, stage)
    if stage in found.done and (renewed := judgeable_since(found.done[stage], trial, context.machine.tools)):
        reason = renewed
    elif stage in found.done:
        action, reason = "skip", "done"
        hours = Estimate(value=found.done[stage].seconds / 3600, basis="measured")
    elif (maker := context.claimed.setdefault(key, trial.label)) != trial.label:
        # A frozen model is the same for every seed, and two names may mean the same weights.
        action, reason = "skip", f"made by {maker}"
    else:
        reason = _why(trial, stage, found, context)
    if action == "run" and isinstance(hours, Unknown) and context.guesser is not None:
        hours = context.guesser.hours(trial, stage)
    return PlannedStage(trial=trial.label, stage=stage, key=key, action=action, reason=reason, hours=hours)


def _total(hours: Mapping[StageName, Estimate | Unknown]) -> Estimate | Unknown:
    """Hours of the stages that are due, one after the other."""
    total, basis, guess = 0.0, "nothing is due", False
    for value in hours.values():
        if isinstance(value, Unknown):
            return value
        total, guess = total + value.value, guess or value.guess
        if value.guess or not guess:
            basis = value.basis
    return Estimate(value=total, basis=basis, guess=guess)


def _why(trial: TrialSpec, stage: StageName, found: Finding, context: _Context) -> str:
    """Why a stage without a valid record would run."""
    key = trial.key(stage)
    waiting = [upstream for upstream in trial.inputs_of(stage) if upstream not in found.done]
    if waiting:
        return f"after {waiting[0]}"
    if stage in found.damaged:
        return f"artifact damaged: {found.damaged[stage]}"
    failure = context.ledger.last_failure(key)
    if failure is not None:
        return f"failed before: {failure[0].cause}"
    if any(True for _ in context.ledger.attempts(key)):
        return "begun and not finished"
    named = context.before.trials.get(trial.label, {}).get(stage) if context.before else None
    if named is not None and named.key != key:
        return what_changed(named.spec, trial.identity(stage), stage=stage)
    return "new"


def what_changed(before: Mapping[str, Any], now: Mapping[str, Any], *, stage: StageName) -> str:
    """What of a stage's identity differs, in words: code, data, settings, or what it reads."""
    said = []
    for name, what in (("version", stage), ("prompts", "prompts")):
        if before.get(name) != now.get(name):
            said.append(f"code changed ({what} {before.get(name)} -> {now.get(name)})")
    data = {track for role in _DATA for track in _tracks_that_differ(before.get(role, []), now.get(role, []))}
    if data:
        said.append(f"data changed: {', '.join(sorted(data))}")
    settings = [
        f"{path} {_shown(old)} -> {_shown(new)}"
        for name in sorted(before.keys() | now.keys())
        if name not in ("version", "prompts", "inputs", "stage", *_DATA)
        for path, old, new in _differences(name, before.get(name), now.get(name))
    ]
    if settings:
        said.append(f"settings changed: {', '.join(settings)}")
    return "; ".join(said) or "what it reads changed"


def _tracks_that_differ(before: Sequence[Sequence[str]], now: Sequence[Sequence[str]]) -> set[str]:
    pairs = ({tuple(pair) for pair in side} for side in (before, now))
    return {track for track, _ in set.symmetric_difference(*pairs)}


def _differences(path: str, before: Any, now: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [d for key in keys for d in _differences(f"{path}.{key}", before.get(key), now.get(key))]
    return [] if before == now else [(path, before, now)]


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def upgrade_note(planned: Sequence[PlannedTrial], before: NamedStages | None) -> tuple[str, ...]:
    """In one line what newer code makes due again of what was finished: which stages, for which versions."""
    changes: dict[str, str] = {}
    count = 0
    for p in planned:
        named = before.trials.get(p.trial.label, {}) if before else {}
        for stage in p.due:
            old = named[stage].spec.get("version") if stage in named else None
            if old is not None and named[stage].key != p.trial.key(stage):
                count += 1
                if old != STAGES[stage].version:
                    changes[stage] = f"{stage} {old} -> {STAGES[stage].version}"
    if not changes:
        return ()
    order = [changes[stage] for stage in STAGES if stage in changes]
    return (f"newer code makes {count} finished stages due again: {', '.join(order)}, and what follows from them",)


def version_notes(planned: Sequence[PlannedTrial], ledger: Ledger, now: Mapping[str, str]) -> tuple[str, ...]:
    """What differs between the software that made a study's finished stages and this; nothing runs again for it."""
    made: dict[str, dict[str, set[str]]] = {}
    for p in planned:
        for stage, record in ledger.records_of(p.trial).items():
            for name in VERSIONS:
                before = record.provenance.get(name)
                # What was not installed made nothing.
                if before is not None and before != ABSENT and before != now.get(name):
                    made.setdefault(name, {}).setdefault(before, set()).add(stage)
    return tuple(
        f"{name} {before} made finished {', '.join(sorted(stages))} stages, and this is {name} {now.get(name)}; "
        "they are kept as they are"
        for name, versions in made.items()
        for before, stages in versions.items()
    )
