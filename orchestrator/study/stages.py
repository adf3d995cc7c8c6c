"""The table of stages: what a trial goes through, in order, and what each stage is.

One decision: all that tells one stage from another in general stands in this table; whoever needs it asks the
table and compares no names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class StageName(StrEnum):
    """A stage of a trial."""

    TRAIN = "train"
    GENERATE = "generate"
    EXECUTE = "execute"
    SCORE = "score"


class Holds(StrEnum):
    """What a stage holds while it works: what the settings give a training, a generator, or a core."""

    TRAINER = "trainer"
    GENERATOR = "generator"
    CORE = "core"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage.

    Attributes:
        version: Raised by whoever changes what the stage computes; a test compares the stages' code with it.
        upstream: The stage whose output it reads, where the trial has that stage.
        file: The file that it leaves in the ledger.
        holds: What it holds while it works.
    """

    version: int
    upstream: StageName | None
    file: str
    holds: Holds


STAGES: Mapping[StageName, Stage] = {
    StageName.TRAIN: Stage(version=2, upstream=None, file="summary.json", holds=Holds.TRAINER),
    StageName.GENERATE: Stage(version=2, upstream=StageName.TRAIN, file="completions.jsonl", holds=Holds.GENERATOR),
    StageName.EXECUTE: Stage(version=3, upstream=StageName.GENERATE, file="verdicts.jsonl", holds=Holds.CORE),
    StageName.SCORE: Stage(version=4, upstream=StageName.GENERATE, file="cells.json", holds=Holds.CORE),
}

__all__ = ["STAGES", "Holds", "Stage", "StageName"]
