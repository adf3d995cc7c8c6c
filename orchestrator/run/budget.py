"""How long a study may run, what it may cost, and how much room its trained weights may take.

One decision: what earlier runs used counts too, so a cap holds over restarts. A run leaves the hours and USD that
it has used in the study's folder every few seconds, so a driver that is killed cannot forget them; what trainings
have kept stands in their records. A stage is refused before it begins, and nothing that was kept is removed.
"""

import contextlib
import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from models.shapes import Estimate
from orchestrator.errors import LedgerError
from orchestrator.ledger.ledger import Ledger
from orchestrator.plan.estimates import GIB, checkpoints_of, disk_of
from orchestrator.plan.history import History
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec, units_held

_KEEP_EVERY_S = 10.0
_USED = "used.json"
_STOPPED = "stopped.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Hours by the clock, and USD by `resources.price_per_hour`, that all runs of a study together may take."""

    max_hours: float | None = None
    max_cost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """What the ledger knew when it was first asked: how long and large things were, and bytes kept by training."""

    history: History
    kept: dict[str, int]


class Meter:
    """Counts hours and USD while a study runs, as a context manager."""

    def __init__(self, study: Study, ledger: Ledger, limits: Limits) -> None:
        self._study, self._ledger, self._limits = study, ledger, limits
        self._id = uuid.uuid4().hex
        self._earlier = _read_used(study.study, ledger)
        self._hours = self._usd = 0.0
        self._last = self._kept = time.monotonic()
        self._refused: set[tuple[str, StageName]] = set()
        self._past: _Past | None = None
        # Bytes that the trainings which may start will keep, by key, and those of their checkpoints until then.
        self._granted: dict[str, float] = {}
        self._passing: dict[str, float] = {}
        self._no_room = False

    @property
    def hours_used(self) -> float:
        """Hours of this run and of those before."""
        return self._hours + sum(hours for hours, _ in self._earlier.values())

    @property
    def usd_used(self) -> float:
        """USD of this run and of those before."""
        return self._usd + sum(usd for _, usd in self._earlier.values())

    def __enter__(self) -> "Meter":
        self._last = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._count(())
        self._keep()

    def hours(self, trial: TrialSpec, stage: StageName) -> float | None:
        """What a stage is estimated to take, from earlier records of its like."""
        known = self._look_back().history.hours(trial, stage)
        return known.value if isinstance(known, Estimate) else None

    @property
    def history(self) -> History:
        """What the ledger knew before this run."""
        return self._look_back().history

    def _look_back(self) -> "_Past":
        if self._past is None:
            records = [record for record in self._ledger.all_records().values() if record]
            trained = [record for record in records if record.stage == StageName.TRAIN]
            kept = {r.key: sum(file.size_bytes for file in r.outputs.values()) for r in trained}
            self._past = _Past(history=History(records), kept=kept)
        return self._past

    def may_start(self, trial: TrialSpec, stage: StageName) -> bool:
        """Whether a stage would end within the limits; one of unknown length may start while there is any left."""
        return self._has_time(trial, stage) and (stage != StageName.TRAIN or self._has_room(trial))

    def _has_room(self, trial: TrialSpec) -> bool:
        """Whether what a training writes would find room; one of unknown size may start while there is any left."""
        resources = self._study.resources
        if resources.checkpoints_gib is None:
            return True
        past, key = self._look_back(), trial.key(StageName.TRAIN)
        kept, passing = (
            found.value if isinstance(found, Estimate) else 0.0
            for found in (
                disk_of(trial, (StageName.TRAIN,), past.history, resources),
                checkpoints_of(trial, resources),
            )
        )
        taken = sum(({**past.kept, **self._granted} | {key: 0.0}).values())
        taken += sum((self._passing | {key: 0.0}).values())
        quota = resources.checkpoints_gib * GIB
        if taken >= quota or taken + kept + passing > quota:
            self._refused.add((trial.label, StageName.TRAIN))
            self._no_room = True
            return False
        self._granted[key], self._passing[key] = kept, passing
        return True

    def trained(self, trial: TrialSpec) -> None:
        """A training is recorded, so its checkpoints are gone."""
        self._passing.pop(trial.key(StageName.TRAIN), None)

    def _has_time(self, trial: TrialSpec, stage: StageName) -> bool:
        limits = self._limits
        if limits == Limits():
            return True
        hours = self.hours(trial, stage) or 0.0
        usd = hours * units_held(trial, stage, self._study.resources) * (self._study.resources.price_per_hour or 0.0)
        late = limits.max_hours is not None and self.hours_used + hours > limits.max_hours
        dear = limits.max_cost is not None and self.usd_used + usd > limits.max_cost
        if late or dear:
            self._refused.add((trial.label, stage))
        return not (late or dear)

    def tick(self, working: Iterable[tuple[TrialSpec, StageName]]) -> str:
        """Count the time since the last tick, in which these stages held what they hold; says which limit is reached.

        A stage that is shared by several trials stands here once.
        """
        self._count(working)
        if time.monotonic() - self._kept >= _KEEP_EVERY_S:
            self._keep()
        return self.reached()

    def reached(self) -> str:
        """Which limit is reached, in words; nothing if none is."""
        limits = self._limits
        if limits.max_hours is not None and self.hours_used >= limits.max_hours:
            return f"--max-hours {limits.max_hours:g} is reached ({self._words()}); give more to go on"
        if limits.max_cost is not None and self.usd_used >= limits.max_cost:
            return f"--max-cost {limits.max_cost:g} is reached ({self._words()}); give more to go on"
        return ""

    def left_out(self) -> str:
        """What was not begun for want of time or money, in words; nothing if all was."""
        if not self._refused:
            return ""
        first = sorted(self._refused)[0]
        count = "1 stage was" if len(self._refused) == 1 else f"{len(self._refused)} stages were"
        told = self._words()
        if self._no_room:
            kept = sum(self._look_back().kept.values()) / GIB
            told = (
                f"resources.checkpoints_gib is {self._study.resources.checkpoints_gib:g} and {kept:.3g} GiB were kept "
                "before this run; `polytune gc` lists what no study names"
            )
        return (
            f"{count} not begun, since the limits would be passed (the first: {first[0]} {first[1]}; "
            f"{told}); give more to go on"
        )

    def _words(self) -> str:
        cost = f" and {self.usd_used:.2f} USD" if self._study.resources.price_per_hour else ""
        runs = len(self._earlier) + 1
        return f"used {self.hours_used:.2f} h{cost} in {'this run' if runs == 1 else f'{runs} runs'}"

    def _count(self, working: Iterable[tuple[TrialSpec, StageName]]) -> None:
        now = time.monotonic()
        hours, self._last = (now - self._last) / 3600, now
        resources = self._study.resources
        units = sum(units_held(trial, stage, resources) for trial, stage in working)
        self._hours += hours
        self._usd += hours * units * (resources.price_per_hour or 0.0)

    def _keep(self) -> None:
        self._kept = time.monotonic()
        used = {**self._earlier, self._id: (self._hours, self._usd)}
        # On a full disk what is running matters more than what it cost.
        with contextlib.suppress(LedgerError):
            self._ledger.write_study_file(self._study.study, _USED, json.dumps(used))


def _read_used(study: str, ledger: Ledger) -> dict[str, tuple[float, float]]:
    text = ledger.read_study_file(study, _USED)
    return {run: (float(hours), float(usd)) for run, (hours, usd) in json.loads(text).items()} if text else {}


def leave_stopped(study: str, ledger: Ledger, why: str) -> None:
    """Say in the study's folder why its last run ended before its time; nothing if it did not."""
    if why or ledger.read_study_file(study, _STOPPED) is not None:
        ledger.write_study_file(study, _STOPPED, json.dumps({"why": why, "at": time.time()}))


def stopped_because(study: str, ledger: Ledger) -> str:
    """Why a study's last run ended before its time; nothing if it did not."""
    text = ledger.read_study_file(study, _STOPPED)
    return str(json.loads(text)["why"]) if text else ""


__all__ = ["Limits", "Meter", "leave_stopped", "stopped_because"]
