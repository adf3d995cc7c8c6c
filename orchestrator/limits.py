"""How long a study may run and what it may cost.

One decision: what earlier runs of a study took counts too, so a cap holds over restarts. Each run leaves what
it has used in the study's folder, every few seconds, so a driver that is killed cannot forget it.
"""

import json
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import TracebackType

from orchestrator.ledger import Ledger
from orchestrator.study import Resources, Study
from orchestrator.trial import StageName, TrialSpec

_KEEP_EVERY_S = 10.0
_USED = "used.json"
_STOPPED = "stopped.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Hours by the clock, and USD by `resources.price_per_hour`, that all runs of a study together may take."""

    max_hours: float | None = None
    max_cost: float | None = None


class Meter:
    """Counts hours and USD while a study runs, as a context manager."""

    def __init__(self, study: Study, ledger: Ledger, limits: Limits) -> None:
        self._study, self._ledger, self._limits = study, ledger, limits
        self._id = uuid.uuid4().hex
        self._earlier = used_before(study.study, ledger)
        self._hours = self._usd = 0.0
        self._last = self._kept = time.monotonic()
        self._refused: list[str] = []
        self._history = None

    @property
    def hours_used(self) -> float:
        """Hours of this run and of those before."""
        return self._hours + sum(hours for hours, _ in self._earlier.values())

    @property
    def usd_used(self) -> float:
        """USD of this run and of those before."""
        return self._usd + sum(usd for _, usd in self._earlier.values())
