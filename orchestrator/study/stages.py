"""The stages of a trial, in the order in which they are done.

One decision: what a stage is stands here and nowhere else.
"""

from typing import Literal

StageName = Literal["train", "generate", "execute", "score"]

# Raised by whoever changes what a stage computes; a test compares the stages' code with it.
CODE_VERSIONS: dict[StageName, int] = {"train": 1, "generate": 1, "execute": 2, "score": 3}
