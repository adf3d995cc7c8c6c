"""What a training works with: the machinery of this process, none of which decides a number.

One decision: services are made anew by every process and are never stored; what a training is to do is its `Plan`,
and how far it is its `Progress`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainers.engines.protocol import Engine
from trainers.loop.log import MetricLog, Row

Validate = Callable[[Any], Row]  # judges the model as it stands; higher `similarity` is better


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a launcher may listen to: each logged row with `total_steps`, and a judge of generated validation output."""

    report: Callable[[Row], None] = lambda row: None
    validate: Validate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """An engine with its model, a log, a judge if there is one, and the folder that all output goes to.

    `micro_batch` is the number of rows in one forward pass; `started` is when the training would have begun, by the
    monotonic clock, had it never been interrupted.
    """

    engine: Engine
    log: MetricLog
    judge: Validate | None
    out: Path
    micro_batch: int
    started: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """How long the training has run."""
        return time.monotonic() - self.started
