"""What a training will do.

One decision: what a step sees is a pure function of the spec and the data (order, batch, learning rate), worked out
before a forward pass; the engine only computes. So the same spec gives the same batches under any number of processes
and any cut of a batch into passes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tasks.records import Example
from trainers.batches.mixture import Seen, Size, order, seen_of, steps_of
from trainers.batches.rows import Encoded, encode
from trainers.loop.schedule import batches, warmup_of
from trainers.objective.balance import Objective
from trainers.spec import TrainingSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Examples to train on and to validate on."""

    train: Sequence[Example]
    validation: Sequence[Example] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A training before it starts: its examples, what it validates on, and how many steps it has at most.

    `examples` and `too_long` count, by track, what fits and what was left out; `pad` is the token that rows are filled
    up with; `warmup` is how many steps the rate rises for.
    """

    spec: TrainingSpec
    tracks: tuple[str, ...]
    train: tuple[Encoded, ...]
    validation: tuple[Encoded, ...]
    pad: int
    total_steps: int
    warmup: int
    examples: dict[str, int]
    too_long: dict[str, int]

    def order(self) -> Iterator[tuple[int, ...]]:
        """Numbers of the examples that each step sees, step by step without end."""
        return _order(self.train, self.spec)

    @property
    def objective(self) -> Objective:
        """What each step minimises over the tracks."""
        return Objective(tracks=self.tracks, settings=self.spec.settings.balance)

    def seen(self, steps: int) -> dict[str, Seen]:
        """What so many steps saw of each track."""
        return seen_of(islice(self.order(), steps), _sizes(self.train))


def _sizes(train: Sequence[Encoded]) -> list[Size]:
    return [Size(track=e.track, tokens=len(e.ids), loss_tokens=e.loss_tokens) for e in train]


def _order(train: Sequence[Encoded], spec: TrainingSpec) -> Iterator[tuple[int, ...]]:
    lengths = [len(example.ids) for example in train]
    indices = order(_sizes(train), mixture=spec.settings.mixture, seed=spec.seed)
    return batches(indices, lengths=lengths, settings=spec.settings)


def plan_of(spec: TrainingSpec, data: TrainingData, tokenizer: Any) -> Plan:
    """Work out a training.

    Raises:
        ValueError: if no example fits `max_length`, or the rate would rise for longer than the training lasts.
    """
    settings = spec.settings
    encoded = encode(data.train, tokenizer, settings=settings)
    if not encoded.examples:
        raise ValueError(
            f"none of the {len(data.train)} training examples fits training.max_length="
            f"{settings.max_length} tokens of {spec.model.name}; raise it or choose shorter data"
        )
    tracks = tuple(sorted({example.track for example in (*data.train, *data.validation)}))
    total_steps = settings.max_steps or steps_of(
        _order(encoded.examples, spec),
        _sizes(encoded.examples),
        by=settings.mixture.by,
        epochs=settings.epochs or 1.0,
    )
    return Plan(
        spec=spec,
        tracks=tracks,
        train=encoded.examples,
        validation=encode(data.validation, tokenizer, settings=settings).examples,
        pad=tokenizer.pad_token_id,
        total_steps=total_steps,
        warmup=warmup_of(settings, total_steps=total_steps),
        examples={track: sum(e.track == track for e in encoded.examples) for track in tracks},
        too_long=encoded.too_long,
    )
