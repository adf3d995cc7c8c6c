"""How far a training is.

One decision: it is a value that a disk can hold. A step makes a new one of it, and with a model's and an optimizer's
state it is all that a training needs to go on where it stopped.
"""

from tasks.records import Record
from trainers.objective.balance import BalanceState

# How many steps before its end a training that diverged is to be seen.
_EVIDENCE_STEPS = 20
StepRow = dict[str, int | float]


class Best(Record):
    """The best checkpoint so far, in `folder` below the output folder; none yet if that is empty.

    `value` falls as it gets better and is None where nothing was validated; `waited` counts the validations since.
    """

    step: int = 0
    value: float | None = None
    folder: str = ""
    waited: int = 0


class Progress(Record):
    """What `step` optimizer steps came to. `recent` holds the last of them, as evidence should the next one diverge."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    first_loss: float | None = None
    last_loss: float | None = None
    best: Best = Best()
    balance: BalanceState = BalanceState()
    recent: tuple[StepRow, ...] = ()

    def stepped(self, *, loss: float, tokens: int, seconds: float, recent: tuple[StepRow, ...]) -> "Progress":
        """After one step more; `loss` is a finite number."""
        done = {
            "step": self.step + 1,
            "tokens": self.tokens + tokens,
            "seconds": seconds,
            "first_loss": loss if self.first_loss is None else self.first_loss,
            "last_loss": loss,
            "recent": recent,
        }
        return self.model_copy(update=done)

    def with_row(self, row: StepRow) -> tuple[StepRow, ...]:
        """The recent steps with one more; the oldest gives way."""
        return (*self.recent, row)[-_EVIDENCE_STEPS:]

    def kept(self, *, value: float | None, folder: str) -> "Progress":
        """With the weights as they are now as the best so far."""
        return self.model_copy(update={"best": Best(step=self.step, value=value, folder=folder)})

    def waited(self) -> "Progress":
        """With one validation more that was no better than the best."""
        return self.model_copy(update={"best": self.best.model_copy(update={"waited": self.best.waited + 1})})
