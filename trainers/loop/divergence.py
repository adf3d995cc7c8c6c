"""The end of a training whose numbers stopped being finite.

One decision: a checkpoint of such weights is worth nothing, so the training ends at once, with what shows how.
"""

import math
from typing import Any

from trainers.loop.progress import StepRow


class TrainingDiverged(RuntimeError):
    """The loss or the gradients stopped being finite numbers; `evidence` is plain data that shows how."""

    def __init__(self, message: str, evidence: dict[str, Any]) -> None:
        super().__init__(message, evidence)
        self.evidence = evidence

    def __str__(self) -> str:
        return str(self.args[0])


def diverged(what: str, *, steps: tuple[StepRow, ...], batch: list[str]) -> TrainingDiverged:
    """The error for a training that went astray, with its last steps and the examples of the last one."""
    # JSON has no word for what is not a number.
    shown = [{k: v if math.isfinite(v) else str(v) for k, v in row.items()} for row in steps]
    return TrainingDiverged(f"{what}; lower training.learning_rate", {"last_steps": shown, "last_batch": batch})
