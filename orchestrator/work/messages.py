"""What crosses between the driver and the processes that generate, execute and score.

One decision: a message is a record that is written as JSON once and read once, so nothing of the driver travels along.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue

from evaluators.contamination import Contamination
from evaluators.generation.settings import GenerationSettings
from evaluators.sandbox.records import Limits
from models.spec import ModelSpec
from orchestrator.errors import Cause, StageFailed
from orchestrator.ledger.completions import Owner, Wanted
from orchestrator.ledger.ledger import Ledger, StageRecord
from tasks.records import Completion, Problem, Record
from trainers.methods.table import MethodKind


class Weights(Record):
    """What to load for generation: the base, and unless it is frozen the training's record in a ledger."""

    model: ModelSpec
    kind: MethodKind
    storage: str
    record: StageRecord | None

    def folder(self) -> Path | None:
        """The trained weights on this machine, verified; None for the base alone.

        Raises:
            ArtifactDamaged: if they are not what the training wrote.
        """
        if self.record is None:
            return None
        name = str(self.record.facts["weights"])
        return Ledger(self.storage).folder(self.record, under=f"{name}/") / name


class Piece(Record, ABC):
    """A part of the work of one or several jobs, as it crosses between processes."""

    @property
    @abstractmethod
    def keys(self) -> tuple[str, ...]:
        """The jobs that it is of."""


class GenerationPart(Record):
    """Some of what is wanted of a trial, and whose completions they are; `proven` asks for a proof of them."""

    key: str
    weights: Weights
    owner: Owner
    wanted: tuple[Wanted, ...]
    proven: bool


class GenerationPiece(Piece):
    """Parts of trials over one base, and how to generate them. `slots`: most answers at once, None for what fits.

    `gpus` is the share of a GPU that the process has; `word` the name in the ledger under which it says how far it is,
    empty for nowhere.
    """

    settings: GenerationSettings
    threads: int
    slots: int | None
    gpus: float
    word: str
    parts: tuple[GenerationPart, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The jobs that it is of."""
        return tuple(part.key for part in self.parts)


class _OfOneJob(Piece):
    """A part of one job's work; `key` is the job's."""

    key: str

    @property
    def keys(self) -> tuple[str, ...]:
        """The job that it is of."""
        return (self.key,)


class ExecutionPiece(_OfOneJob):
    """Some of a trial's completions to execute, in one language, with their problems."""

    limits: Limits
    problems: tuple[Problem, ...]
    completions: tuple[Completion, ...]


class EarlyPiece(ExecutionPiece):
    """Some of what a trial has written so far, in one language: to execute, and where `quality` to analyse."""

    quality: bool


class ScoringPiece(_OfOneJob):
    """One (track, data set) of a trial to score."""

    quality: bool
    metrics: tuple[str, ...] | None
    problems: tuple[Problem, ...]
    completions: tuple[Completion, ...]
    contamination: dict[str, Contamination]


class PieceFailure(Record):
    """What a piece raised."""

    cause: str
    kind: Cause
    traceback: str


class Answer(Record):
    """What became of a job's part of a piece: its records as plain data, with facts beside them, or how it failed.

    `counts` are added up over a job's pieces.
    """

    key: str
    rows: tuple[JsonValue, ...] = ()
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    counts: dict[str, float] = Field(default_factory=dict)
    failure: PieceFailure | None = None


class PieceFailed(StageFailed):
    """A piece of a job raised; holds the traceback of the process that it ran in."""

    def __init__(self, cause: str, kind: Cause, trace: str) -> None:
        super().__init__(cause, kind=kind)
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return PieceFailed, (self.cause, self.kind, self.trace)


__all__ = [
    "Answer",
    "EarlyPiece",
    "ExecutionPiece",
    "GenerationPart",
    "GenerationPiece",
    "Piece",
    "PieceFailed",
    "PieceFailure",
    "ScoringPiece",
    "Weights",
]
