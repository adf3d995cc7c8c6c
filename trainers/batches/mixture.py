"""In which order the examples of several tracks are seen, and what a training has seen of each.

One decision: the order is a pure function of sizes, settings and seed. Concatenation, which is what the founding study
does, shuffles all examples together anew each epoch. Every other mixture keeps each track's share at any moment, not
in the mean alone: the next example comes from the track that is furthest behind, so a batch holds the shares as well
as a training does, and no chance decides how much of a track is seen.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.records import Record
from trainers.spec import MixtureSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a mixture knows of an example: its track, all its tokens, and those of them that carry loss."""

    track: str
    tokens: int
    loss_tokens: int


class Seen(Record):
    """What a training saw of one track; `epochs` is how often it saw each of the track's examples, in the mean."""

    examples: int
    tokens: int
    loss_tokens: int
    epochs: float


def order(sizes: Sequence[Size], *, mixture: MixtureSettings, seed: int) -> Iterator[int]:
    """Indices of examples without end, in the order in which a training sees them.

    Raises:
        ValueError: if there is nothing to draw from, or the weights speak of other tracks than there are.
    """
    if mixture.strategy == "concatenate":
        return shuffled_epochs(len(sizes), seed=seed)
    shares = shares_of(sizes, mixture=mixture)
    members: dict[str, list[int]] = {track: [] for track in shares}
    for index, size in enumerate(sizes):
        members[size.track].append(index)
    costs = [size.loss_tokens if mixture.by == "tokens" else 1 for size in sizes]
    return _furthest_behind(members, costs, shares=shares, seed=seed)


def shuffled_epochs(count: int, *, seed: int | str) -> Iterator[int]:
    """Endless indices below `count`: every index once in each epoch, in an order that `seed` decides.

    Raises:
        ValueError: if there is nothing to draw from.
    """
    if count < 1:
        raise ValueError("a mixture needs at least one example, got none")
    epoch = 0
    while True:
        found = list(range(count))
        random.Random(f"{seed}/{epoch}").shuffle(found)
        yield from found
        epoch += 1


def shares_of(sizes: Sequence[Size], *, mixture: MixtureSettings) -> dict[str, float]:
    """Each track's share of what is seen, by the mixture's unit; tracks in alphabetical order, shares sum to 1.

    `temperature` T gives a track with n examples (or n loss-carrying tokens) a share in proportion to n^(1/T): the
    share that it has in the data at 1, equal shares as T grows (Raffel et al. 2020, section 3.5.2, without a limit).

    Raises:
        ValueError: if there is nothing to draw from, or the weights speak of other tracks than there are.
    """
    amounts: dict[str, float] = {}
    for size in sizes:
        amounts[size.track] = amounts.get(size.track, 0.0) + (size.loss_tokens if mixture.by == "tokens" else 1)
    if not amounts:
        raise ValueError("a mixture needs at least one example, got none")
    tracks = sorted(amounts)
    if empty := [track for track in tracks if not amounts[track]]:
        raise ValueError(f"no example of {', '.join(empty)} has a token that carries loss; mix by: examples")
    if mixture.strategy == "fixed":
        weights = dict(_weights_for(tracks, mixture.weights or {}))
    elif mixture.strategy == "equal":
        weights = dict.fromkeys(tracks, 1.0)
    else:
        power = 1.0 if mixture.temperature is None else 1.0 / mixture.temperature
        weights = {track: (amounts[track] / sum(amounts.values())) ** power for track in tracks}
    total = sum(weights.values())
    return {track: weight / total for track, weight in weights.items()}


def _weights_for(tracks: Sequence[str], weights: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    if odd := sorted(weights.keys() ^ set(tracks)):
        raise ValueError(
            f"training.mixture.weights must name each track that is trained on and no other, got {sorted(weights)} for "
            f"{list(tracks)}; look at {', '.join(odd)}"
        )
    yield from ((track, weights[track]) for track in tracks)


def _furthest_behind(
    members: Mapping[str, Sequence[int]], costs: Sequence[int], *, shares: Mapping[str, float], seed: int
) -> Iterator[int]:
    """Give each track its share: the next example is one of the track that most of its share is owed to."""
    streams = {track: shuffled_epochs(len(own), seed=f"{seed}/{track}") for track, own in members.items()}
    given = dict.fromkeys(members, 0)
    total = 0
    while True:
        # Of several that are as far behind, the first by name: `shares` is in that order.
        track = max(shares, key=lambda name: shares[name] * (total + 1) - given[name])
        index = members[track][next(streams[track])]
        given[track] += costs[index]
        total += costs[index]
        yield index


def steps_of(batches: Iterator[tuple[int, ...]], sizes: Sequence[Size], *, by: str, epochs: float) -> int:
    """How many of `batches` see as much as `epochs` times all the data hold, rounded up, at least one.

    The amount is counted in the mixture's unit, examples or loss-carrying tokens, over all tracks together. So
    trainings that differ in their mixture alone are equally long, and differ in how often a track's examples are seen.
    """
    costs = [size.loss_tokens if by == "tokens" else 1 for size in sizes]
    # Whole examples, as ever: half of three examples is one.
    due = int(sum(costs) * epochs)
    seen = steps = 0
    while seen < due or not steps:
        seen += sum(costs[index] for index in next(batches))
        steps += 1
    return steps


def seen_of(batches: Iterable[Sequence[int]], sizes: Sequence[Size]) -> dict[str, Seen]:
    """What a training saw of each track, from the batches of its steps."""
    times = [0] * len(sizes)
    for batch in batches:
        for index in batch:
            times[index] += 1
    return {track: _seen(track, sizes, times) for track in sorted({size.track for size in sizes})}


def _seen(track: str, sizes: Sequence[Size], times: Sequence[int]) -> Seen:
    own = [(size, count) for size, count in zip(sizes, times, strict=True) if size.track == track]
    examples = sum(count for _, count in own)
    return Seen(
        examples=examples,
        tokens=sum(size.tokens * count for size, count in own),
        loss_tokens=sum(size.loss_tokens * count for size, count in own),
        epochs=examples / len(own),
    )
