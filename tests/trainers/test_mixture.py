"""Orders, shares and step counts: everything is seen, in an order that the seed alone decides."""

import gzip
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainers.batches.mixture import (
    Size,
    order,
    seen_of,
    shares_of,
    shuffled_epochs,
    steps_of,
)
from trainers.loop.schedule import batches
from trainers.spec import MixtureSettings, TrainingSettings

pytestmark = pytest.mark.slow

counts, seeds = st.integers(1, 200), st.integers(0, 2**32)
TRACKS = ("generation/java", "summarization/java", "translation/java-csharp")
sizes_of_all = st.lists(
    st.builds(Size, track=st.sampled_from(TRACKS), tokens=st.integers(50, 90), loss_tokens=st.integers(1, 40)),
    min_size=1,
    max_size=60,
)
mixtures = st.sampled_from(
    [
        MixtureSettings(strategy="equal"),
        MixtureSettings(strategy="equal", by="tokens"),
        MixtureSettings(strategy="temperature", temperature=1.0, by="tokens"),
        MixtureSettings(strategy="temperature", temperature=3.0),
    ]
)


def cut(
    indices: Iterator[int], sizes: Sequence[Size], *, batch_size: int | None, batch_tokens: int | None
) -> Iterator[tuple[int, ...]]:
    settings = TrainingSettings(max_steps=1, batch_size=batch_size, batch_tokens=batch_tokens)
    return batches(indices, lengths=[size.tokens for size in sizes], settings=settings)


def plain_steps(count: int, *, batch_size: int, epochs: float) -> int:
    sizes = [Size(track=TRACKS[0], tokens=5, loss_tokens=2)] * count
    found = cut(order(sizes, mixture=MixtureSettings(), seed=0), sizes, batch_size=batch_size, batch_tokens=None)
    return steps_of(found, sizes, by="examples", epochs=epochs)


def amount(sizes: Sequence[Size], chosen: Sequence[int], *, by: str, track: str | None = None) -> int:
    return sum(sizes[i].loss_tokens if by == "tokens" else 1 for i in chosen if track in (None, sizes[i].track))


@given(counts, seeds, st.integers(1, 4))
def test_every_epoch_holds_every_index_once(count: int, seed: int, epochs: int) -> None:
    order = list(islice(shuffled_epochs(count, seed=seed), count * epochs))
    for epoch in range(epochs):
        assert sorted(order[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(counts, seeds)
def test_seed_alone_decides_the_order(count: int, seed: int) -> None:
    first, again = (list(islice(shuffled_epochs(count, seed=seed), 2 * count)) for _ in range(2))
    assert first == again


@given(st.integers(50, 200), seeds, seeds)
def test_other_seeds_and_later_epochs_give_other_orders(count: int, seed: int, other: int) -> None:
    order = list(islice(shuffled_epochs(count, seed=seed), 2 * count))
    assert order[:count] != order[count:]
    assert seed == other or order[:count] != list(islice(shuffled_epochs(count, seed=other), count))


@given(counts, seeds, st.integers(1, 16))
def test_batches_are_the_order_cut_into_equal_groups(count: int, seed: int, size: int) -> None:
    sizes = [Size(track=TRACKS[0], tokens=5, loss_tokens=2)] * count
    found = cut(shuffled_epochs(count, seed=seed), sizes, batch_size=size, batch_tokens=None)
    groups = list(islice(found, 5))
    assert [index for group in groups for index in group] == list(islice(shuffled_epochs(count, seed=seed), 5 * size))
    assert {len(group) for group in groups} == {size}


def test_nothing_to_draw_from_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one example, got none"):
        next(shuffled_epochs(0, seed=0))


@pytest.mark.parametrize(
    ("count", "batch_size", "epochs", "steps"),
    [(32, 8, 1.0, 4), (33, 8, 1.0, 5), (32, 8, 2.5, 10), (100, 16, 0.5, 4), (3, 16, 0.1, 1), (1, 1, 3.0, 3)],
)
def test_steps_see_all_rows_as_often_as_asked_rounded_up(
    count: int, batch_size: int, epochs: float, steps: int
) -> None:
    assert plain_steps(count, batch_size=batch_size, epochs=epochs) == steps


@given(st.integers(1, 1000), st.integers(1, 64), st.integers(1, 5))
def test_whole_epochs_are_seen_in_full_and_by_less_than_a_batch_more(count: int, size: int, epochs: int) -> None:
    seen = plain_steps(count, batch_size=size, epochs=epochs) * size
    assert count * epochs <= seen < count * epochs + size


@given(sizes_of_all, seeds)
def test_concatenation_is_all_examples_shuffled_together_anew_each_epoch(sizes: list[Size], seed: int) -> None:
    found = order(sizes, mixture=MixtureSettings(), seed=seed)
    count = 2 * len(sizes) + 1
    assert list(islice(found, count)) == list(islice(shuffled_epochs(len(sizes), seed=seed), count))


@given(sizes_of_all, mixtures, seeds, st.integers(1, 300))
def test_each_track_has_its_share_at_every_moment_to_within_an_example(
    sizes: list[Size], mixture: MixtureSettings, seed: int, length: int
) -> None:
    shares = shares_of(sizes, mixture=mixture)
    chosen = list(islice(order(sizes, mixture=mixture, seed=seed), length))
    largest = max(size.loss_tokens for size in sizes) if mixture.by == "tokens" else 1
    total = amount(sizes, chosen, by=mixture.by)
    for track, share in shares.items():
        # A track is taken up only when it is behind, so it is ahead by less than what it was last given.
        assert amount(sizes, chosen, by=mixture.by, track=track) - share * total <= largest
    assert sum(shares.values()) == pytest.approx(1)


@given(sizes_of_all, mixtures, seeds)
def test_within_a_track_every_example_comes_once_before_any_comes_again(
    sizes: list[Size], mixture: MixtureSettings, seed: int
) -> None:
    chosen = list(islice(order(sizes, mixture=mixture, seed=seed), 300))
    for track in {size.track for size in sizes}:
        own = [index for index in chosen if sizes[index].track == track]
        members = [index for index, size in enumerate(sizes) if size.track == track]
        for start in range(0, len(own) - len(members) + 1, len(members)):
            assert sorted(own[start : start + len(members)]) == members


@given(sizes_of_all, mixtures, seeds)
def test_settings_and_seed_alone_decide_a_mixture(sizes: list[Size], mixture: MixtureSettings, seed: int) -> None:
    first, again = (list(islice(order(sizes, mixture=mixture, seed=seed), 100)) for _ in range(2))
    assert first == again


@given(sizes_of_all, seeds, st.integers(1, 400))
def test_batches_of_tokens_are_the_order_cut_where_each_has_enough(
    sizes: list[Size], seed: int, batch_tokens: int
) -> None:
    indices = order(sizes, mixture=MixtureSettings(), seed=seed)
    groups = list(islice(cut(indices, sizes, batch_size=None, batch_tokens=batch_tokens), 6))
    flat = [index for group in groups for index in group]
    assert flat == list(islice(shuffled_epochs(len(sizes), seed=seed), len(flat)))
    for group in groups:
        tokens = [sizes[index].tokens for index in group]
        assert sum(tokens[:-1]) < batch_tokens <= sum(tokens)


@given(sizes_of_all, mixtures, st.integers(1, 3))
def test_trainings_that_differ_in_their_mixture_see_as_much(
    sizes: list[Size], mixture: MixtureSettings, epochs: int
) -> None:
    def batches_of() -> Iterator[tuple[int, ...]]:
        return cut(order(sizes, mixture=mixture, seed=1), sizes, batch_size=4, batch_tokens=None)

    steps = steps_of(batches_of(), sizes, by=mixture.by, epochs=epochs)
    seen = seen_of(islice(batches_of(), steps), sizes)
    told = sum(track.loss_tokens if mixture.by == "tokens" else track.examples for track in seen.values())
    due = epochs * amount(sizes, range(len(sizes)), by=mixture.by)
    room = 4 * max(size.loss_tokens for size in sizes) if mixture.by == "tokens" else 4
    assert due <= told < due + room


def test_what_was_seen_is_counted_by_track_with_epochs_of_its_own() -> None:
    sizes = [Size(track="a", tokens=10, loss_tokens=4)] * 4 + [Size(track="b", tokens=20, loss_tokens=5)]
    batches_of_all = cut(
        order(sizes, mixture=MixtureSettings(strategy="equal"), seed=3), sizes, batch_size=4, batch_tokens=None
    )
    seen = seen_of(islice(batches_of_all, 2), sizes)
    assert {track: found.model_dump() for track, found in seen.items()} == {
        "a": {"examples": 4, "tokens": 40, "loss_tokens": 16, "epochs": 1.0},
        "b": {"examples": 4, "tokens": 80, "loss_tokens": 20, "epochs": 4.0},
    }


def test_temperature_lies_between_the_shares_of_the_data_and_equal_ones() -> None:
    sizes = [Size(track="a", tokens=9, loss_tokens=2)] * 81 + [Size(track="b", tokens=9, loss_tokens=6)] * 9
    shares = [
        shares_of(sizes, mixture=MixtureSettings(strategy="temperature", temperature=t))["b"] for t in (1, 2, 1e9)
    ]
    # 9 of 90 examples; 3 of 3 + 9 by square roots; half.
    assert shares == pytest.approx([0.1, 0.25, 0.5])
    by_tokens = MixtureSettings(strategy="temperature", temperature=1, by="tokens")
    assert shares_of(sizes, mixture=by_tokens)["b"] == pytest.approx(54 / (162 + 54))


@pytest.fixture(scope="module")
def published(data_root: Path, fresh_tokenizer: Any) -> list[Size]:
    """Token lengths of published examples: 10,300 translations, 2,000 Java and 974 Python generations."""

    def lines(name: str) -> list[str]:
        with gzip.open(data_root / name, "rt", encoding="utf-8") as file:
            return file.read().splitlines()

    java, sharp = (lines(f"codexglue_java_cs/train.java-cs.txt.{side}.gz") for side in ("java", "cs"))
    pairs = [("translation/java-csharp", x, y) for x, y in zip(java, sharp, strict=True)]
    concode = map(json.loads, lines("codexglue_concode/dev.json.gz"))
    pairs += [("generation/java", row["nl"], row["code"]) for row in concode]
    pairs += [("generation/python", row["text"], row["code"]) for row in map(json.loads, lines("mbpp/mbpp.jsonl.gz"))]
    inputs, outputs = (fresh_tokenizer([pair[side] for pair in pairs])["input_ids"] for side in (1, 2))
    return [
        Size(track=track, tokens=len(x) + len(y) + 1, loss_tokens=len(y) + 1)
        for (track, _, _), x, y in zip(pairs, inputs, outputs, strict=True)
    ]


WEIGHTS = {"generation/java": 1.0, "generation/python": 2.0, "translation/java-csharp": 5.0}


@pytest.mark.parametrize(
    "batch", [{"batch_size": 32, "batch_tokens": None}, {"batch_size": None, "batch_tokens": 8192}]
)
@pytest.mark.parametrize("by", ["tokens", "examples"])
@pytest.mark.parametrize("asked", [{"strategy": "temperature", "temperature": 2.0}, {"strategy": "equal"}, WEIGHTS])
def test_shares_of_published_data_are_those_asked_for_within_one_in_a_hundred(
    published: list[Size], asked: dict[str, Any], by: str, batch: dict[str, int | None]
) -> None:
    asked = {"strategy": "fixed", "weights": asked} if asked is WEIGHTS else asked
    mixture = MixtureSettings.model_validate({**asked, "by": by})
    shares = shares_of(published, mixture=mixture)
    seen = seen_of(islice(cut(order(published, mixture=mixture, seed=7), published, **batch), 150), published)
    counted = {track: one.loss_tokens if by == "tokens" else one.examples for track, one in seen.items()}
    for track, share in shares.items():
        print(
            f"{mixture.strategy} by {by}: {track} asked {share:.4f}, saw {counted[track] / sum(counted.values()):.4f}"
        )
        assert counted[track] / sum(counted.values()) == pytest.approx(share, rel=0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "temperature"}, "needs training.mixture.temperature"),
        ({"strategy": "fixed"}, "needs training.mixture.weights"),
        ({"strategy": "equal", "weights": {"a": 1.0}}, "goes with fixed alone, got equal"),
        ({"temperature": 2.0}, "goes with temperature alone, got concatenate"),
        ({"by": "tokens"}, "leave by out"),
        ({"strategy": "fixed", "weights": {"a": 0.0}}, "greater than 0"),
        ({"strategy": "temperature", "temperature": 0.5}, "greater than or equal to 1"),
    ],
)
def test_settings_of_a_mixture_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MixtureSettings.model_validate(settings)


def test_weights_of_other_tracks_and_tracks_without_loss_are_refused() -> None:
    sizes = [Size(track="a", tokens=3, loss_tokens=0)]
    with pytest.raises(ValueError, match=r"name each track .* look at a, b"):
        next(order(sizes, mixture=MixtureSettings(strategy="fixed", weights={"b": 1.0}), seed=0))
    with pytest.raises(ValueError, match="no example of a has a token that carries loss; mix by: examples"):
        next(order(sizes, mixture=MixtureSettings(strategy="equal", by="tokens"), seed=0))
