"""What a training did, in a few numbers.

One decision: it is all that is told of a training afterwards, so it counts what was left out as well.
"""

from typing import Literal

from pydantic import Field

from tasks.records import Record
from trainers.batches.mixture import Seen
from trainers.footing import Footing
from trainers.loop.plan import Plan
from trainers.loop.progress import Progress
from trainers.loop.services import Services


class TrainingSummary(Record):
    """What a training did.

    `weights` is the folder, below the output folder, to load from. `rows` says whether forward passes held several
    examples or, as the model's family wants it, one, and `footing` who computed what; trainings of before these were
    told hold no word of them.
    """

    weights: str
    steps: int
    tokens: int
    seconds: float
    first_loss: float
    last_loss: float
    best_step: int
    best_value: float | None = None
    stopped_early: bool = False
    trainable_parameters: int
    total_parameters: int
    examples: dict[str, int]
    too_long: dict[str, int]
    peak_memory_bytes: int
    rows: Literal["flat", "single"] | None = None
    seen: dict[str, Seen] = Field(default_factory=dict)
    footing: Footing | None = None


def summary_of(plan: Plan, progress: Progress, services: Services, *, stopped: bool) -> TrainingSummary:
    """The summary of a training that came to its end; `stopped` if that was the end of its patience."""
    engine = services.engine
    assert progress.first_loss is not None and progress.last_loss is not None, "a training has a step at least"
    trained, total = engine.parameters()
    return TrainingSummary(
        weights=progress.best.folder,
        steps=progress.step,
        tokens=progress.tokens,
        seconds=services.seconds(),
        first_loss=progress.first_loss,
        last_loss=progress.last_loss,
        best_step=progress.best.step,
        best_value=progress.best.value,
        stopped_early=stopped,
        trainable_parameters=trained,
        total_parameters=total,
        examples=plan.examples,
        too_long=plan.too_long,
        peak_memory_bytes=engine.peak_bytes(),
        rows="flat" if engine.flat else "single",
        seen=plan.seen(progress.step),
        footing=services.footing,
    )
