"""What a training works with: the machinery of this process, none of which decides a number.

One decision: services are made anew by every process and are never stored; what a training is to do is its `Plan`,
and how far it is is its `Progress`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.engines.protocol import Engine
from trainers.footing import Footing
from trainers.loop.log import MetricLog, Row
from trainers.loop.resume import Resuming

Validate = Callable[[Any], Row]  # judges the model as it stands; higher `similarity` is better


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a launcher may listen to and lend.

    Each logged row with `total_steps` goes to `report`; `validate` judges generated validation output; `resuming` is
    where checkpoints are kept to go on from, and when.
    """

    report: Callable[[Row], None] = lambda row: None
    validate: Validate | None = None
    resuming: Resuming | None = None


@dataclass(slots=True, kw_only=True)
class Services:
    """An engine with its model, a log, a judge if there is one, and the folder that all output goes to.

    `footing` is what the engine stands on, with the longest row so far. `micro_tokens` is how many tokens one forward
    pass holds; `started` is when the training would have begun, by the monotonic clock, had it never been interrupted.
    """

    engine: Engine
    footing: Footing
    log: MetricLog
    judge: Validate | None
    out: Path
    micro_tokens: int
    resuming: Resuming | None
    started: float

    def passed(self, tokens: int) -> None:
        """Take note of a row's tokens."""
        if tokens > self.footing.longest_row:
            self.footing = self.footing.model_copy(update={"longest_row": tokens})

    def seconds(self) -> float:
        """How long the training has run."""
        return time.monotonic() - self.started
