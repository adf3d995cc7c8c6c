"""What a training stood on: who computed its parts, on the machine where it ran.

One decision: none of this decides a number, so it is no part of a spec. It is told afterwards, for whoever wonders why
one training was faster, or took more memory, than another.
"""

from typing import Literal

from pydantic import Field

from tasks.records import Record


class Footing(Record):
    """Who computed what.

    `kernels` are those of liger-kernel that were put on, `kernels_of` its version; `no_kernels` is why there are none.
    `ours` and `by_peft` count adapted projections, by the last part of their names, that run through our own function
    and those that peft computes. `dropout` is how our masks are made. `longest_row` is the tokens of the longest
    forward pass of the first process.
    """

    kernels: tuple[str, ...] = ()
    kernels_of: str | None = None
    no_kernels: str | None = None
    ours: dict[str, int] = Field(default={})
    by_peft: dict[str, int] = Field(default={})
    dropout: Literal["one kernel", "several operators"] | None = None
    longest_row: int = 0


__all__ = ["Footing"]
