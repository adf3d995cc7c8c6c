"""Balanced losses and projected gradients, each against a plain reference, under any cut and any share of the work."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from models.loading import load_base
from models.spec import ModelSpec
from trainers.batches.rows import Encoded, encode
from trainers.objective.balance import (
    BalanceState,
    Objective,
    coba_weights,
    divergence_factor,
    slope,
    task_mean,
    token_mean,
    weighted_mean,
)
from trainers.objective.projection import order_of_tracks, projected_sum
from trainers.spec import BalanceSettings, TrainingSettings, TrainingSpec

TRACKS = ("generation/python", "summarization/java", "translation/java-csharp")
FIXED = {TRACKS[0]: 1.0, TRACKS[1]: 2.5, TRACKS[2]: 0.5}
CURVES: dict[str, tuple[float, ...]] = {
    TRACKS[0]: (2.0, 1.2, 0.9, 0.8, 0.75, 0.74),
    TRACKS[1]: (3.0, 2.9, 2.7, 2.6, 2.5, 2.3),
    TRACKS[2]: (1.0, 0.8, 0.7, 0.72, 0.78, 0.85),
}


@pytest.fixture(scope="module")
def model(model_spec: ModelSpec) -> Any:
    return load_base(model_spec, precision="fp32", device=torch.device("cpu")).eval()


@pytest.fixture(scope="module")
def batch(examples_of: Any, tokenizer: Any) -> list[Encoded]:
    """Seven examples of three tracks, mixed as a global batch is."""
    counts = zip(TRACKS, (4, 2, 1), strict=True)
    examples = [example for track, count in counts for example in examples_of(track, count=count)]
    encoded = encode(examples, tokenizer, settings=TrainingSettings(max_steps=1)).examples
    return [encoded[i] for i in (4, 0, 6, 1, 5, 2, 3)]


def loss_of(model: Any, example: Encoded) -> Tensor:
    """One example's summed loss, by the model's own forward over it alone."""
    ids = torch.tensor([example.ids])
    logits = model(input_ids=ids).logits[0, example.loss_from - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, ids[0, example.loss_from :], reduction="sum")


def gradients_of(model: Any, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


def sums_of(model: Any, examples: Sequence[Encoded]) -> Tensor:
    """Loss sums by track of a forward pass over several examples, padded on the right."""
    longest = max(len(example.ids) for example in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    kept = torch.zeros_like(ids)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        kept[row, : len(example.ids)] = 1
    losses = -model(input_ids=ids, attention_mask=kept).logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])
    sums = [torch.zeros(())] * len(TRACKS)
    for row, example in enumerate(examples):
        track = TRACKS.index(example.track)
        sums[track] = sums[track] + losses[row, example.loss_from - 1 : len(example.ids) - 1].sum()
    return torch.stack(sums)


def counts_of(examples: Sequence[Encoded]) -> list[int]:
    return [sum(len(e.ids) - e.loss_from for e in examples if e.track == track) for track in TRACKS]


def followed(settings: BalanceSettings, validations: int) -> BalanceState:
    objective, state = Objective(tracks=TRACKS, settings=settings), BalanceState()
    for t in range(validations):
        state = objective.validated(state, {track: curve[t] for track, curve in CURVES.items()})
    return state


def plain_shares(settings: BalanceSettings) -> dict[str, float]:
    """The weights of the tracks' means, for the losses that are means of such."""
    if settings.loss == "fixed":
        return {track: weight / sum(FIXED.values()) for track, weight in FIXED.items()}
    if settings.loss == "coba":
        return plain_coba(CURVES, window=settings.window, tau=settings.sharpness)
    return dict.fromkeys(TRACKS, 1 / 3)


def plain_coba(curves: dict[str, tuple[float, ...]], *, window: int, tau: float) -> dict[str, float]:
    """CoBa written out once more, with other means: polynomials by numpy, softmax by torch, the past from the start."""
    steps = len(next(iter(curves.values())))
    ratios = {track: np.array(curve) / curve[0] for track, curve in curves.items()}

    def at(track: str, t: int) -> float:
        recent = ratios[track][max(0, t - window) : t]
        return float(np.polyfit(np.arange(len(recent)), recent, 1)[0])

    slopes = torch.tensor([[at(track, t) for t in range(2, steps + 1)] for track in curves], dtype=torch.float64)
    now, recent = slopes[:, -1], slopes[:, -window:]
    rcs = torch.softmax(len(curves) * now / now.abs().sum(), 0)
    acs = torch.softmax(-recent.shape[1] * now / recent.abs().sum(1), 0)
    worst = slopes.max(0).values
    t = len(worst)
    factor = min(1.0, t * float(torch.softmax(-tau * t * worst / worst.abs().sum(), 0)[-1]))
    return dict(zip(curves, (factor * rcs + (1 - factor) * acs).tolist(), strict=True))


SETTINGS = [
    BalanceSettings(),
    BalanceSettings(loss="task_mean"),
    BalanceSettings(loss="fixed", weights=FIXED),
    BalanceSettings(loss="coba", window=4),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.loss)
@pytest.mark.parametrize("cut", [(7,), (1,) * 7, (2, 5), (3, 3, 1)])
@pytest.mark.parametrize("processes", [1, 2])
def test_balanced_gradients_are_those_of_single_examples_under_any_cut_and_share(
    model: Any, batch: list[Encoded], settings: BalanceSettings, cut: tuple[int, ...], processes: int
) -> None:
    shares, counts = plain_shares(settings), counts_of(batch)
    tokens = sum(counts)
    reference = torch.zeros(())
    for example in batch:
        share = (
            1 / tokens
            if settings.loss == "token_mean"
            else shares[example.track] / counts_of(batch)[TRACKS.index(example.track)]
        )
        reference = reference + share * loss_of(model, example)
    expected = gradients_of(model, reference)

    weights = Objective(tracks=TRACKS, settings=settings).weights(counts, followed(settings, 6))
    found = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for rank in range(processes):
        mine, start = batch[rank::processes], 0
        for size in cut:
            part = mine[start : start + size]
            start += size
            if part:
                loss = (sums_of(model, part) * torch.tensor(weights)).sum()
                found = [total + one for total, one in zip(found, gradients_of(model, loss), strict=True)]
    largest = max(float(one.abs().max()) for one in expected)
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).abs().max()) <= 2e-6 * largest


def test_each_loss_is_the_mean_that_it_is_called() -> None:
    sums, counts = [30.0, 8.0, 0.0], [10, 4, 0]

    def value(weights: Sequence[float]) -> float:
        return sum(weight * total for weight, total in zip(weights, sums, strict=True))

    assert value(token_mean(counts)) == pytest.approx(38 / 14)
    # The batch has nothing of the third track, so it has no part in the mean.
    assert value(task_mean(counts)) == pytest.approx((3 + 2) / 2)
    assert value(weighted_mean(counts, (1.0, 3.0, 9.0))) == pytest.approx((3 + 3 * 2) / 4)


def test_batch_without_loss_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="no example may have an empty answer"):
        Objective(tracks=TRACKS, settings=BalanceSettings()).weights([0, 0, 0], BalanceState())


positive = st.floats(0.05, 5)


@given(st.lists(st.tuples(positive, positive, positive), min_size=3, max_size=12), st.integers(2, 6))
def test_coba_follows_its_formulas_on_any_curves(points: list[tuple[float, float, float]], window: int) -> None:
    settings = BalanceSettings(loss="coba", window=window)
    objective, state = Objective(tracks=TRACKS, settings=settings), BalanceState()
    for point in points:
        state = objective.validated(state, dict(zip(TRACKS, point, strict=True)))
        # What a checkpoint holds is enough to go on.
        state = BalanceState.model_validate_json(state.model_dump_json())
    curves = {track: tuple(point[i] for point in points) for i, track in enumerate(TRACKS)}
    # Slopes of nothing but rounding have a sign by chance.
    if all(abs(slope(past)) > 1e-9 for past in state.losses.values()):
        expected = plain_coba(curves, window=window, tau=settings.sharpness)
        assert state.weights == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert sum(state.weights.values()) == pytest.approx(1)


def test_coba_weighs_all_alike_until_it_is_warm_and_by_the_curves_from_then_on() -> None:
    settings = BalanceSettings(loss="coba", warmup=3)
    counts = [5, 5, 10]
    objective = Objective(tracks=TRACKS, settings=settings)
    for validations in range(4):
        assert objective.weights(counts, followed(settings, validations)) == pytest.approx(task_mean(counts))
    assert followed(settings, 4).weights != {}


def test_slow_track_gains_while_all_converge_and_diverging_one_loses() -> None:
    settings = BalanceSettings(loss="coba")
    converging = coba_weights({"fast": [-0.4, -0.3], "slow": [-0.1, -0.1]}, [-0.1, -0.1], settings)
    assert converging["slow"] > 0.5 > converging["fast"]
    past = [-0.3, -0.2, -0.1, 0.05, 0.2]
    diverging = coba_weights({"falls": [-0.3] * 5, "rises": past}, past, settings)
    assert diverging["rises"] < 0.5 < diverging["falls"]
    assert divergence_factor([-0.3, -0.3], sharpness=5) == pytest.approx(1)
    assert divergence_factor(past, sharpness=5) < 0.01


def test_curves_that_do_not_move_weigh_all_alike() -> None:
    weights = coba_weights({"a": [0.0, 0.0], "b": [0.0, 0.0]}, [0.0, 0.0], BalanceSettings(loss="coba"))
    assert weights == pytest.approx({"a": 0.5, "b": 0.5})


def plain_projection(tracks: list[np.ndarray[Any, Any]], order: Sequence[Sequence[int]]) -> np.ndarray[Any, Any]:
    kept = [one.copy() for one in tracks]
    for own, others in zip(kept, order, strict=True):
        for other in others:
            product = own @ tracks[other]
            if product < 0:
                own -= product / (tracks[other] @ tracks[other]) * tracks[other]
    total: np.ndarray[Any, Any] = np.sum(kept, axis=0)
    return total


@given(st.integers(0, 2**32), st.integers(2, 4))
def test_projection_is_the_plain_one_on_each_matrix_by_itself(seed: int, tracks: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    shapes = ((3, 2), (2, 4))
    gradients = [[torch.randn(shape, generator=chance, dtype=torch.float64) for shape in shapes] for _ in range(tracks)]
    order = order_of_tracks(tracks, seed=seed, step=5)
    for number, found in enumerate(projected_sum(gradients, order=order)):
        expected = plain_projection([own[number].numpy().ravel() for own in gradients], order)
        np.testing.assert_allclose(found.numpy().ravel(), expected, rtol=1e-9, atol=1e-12)


def test_gradients_without_conflict_are_summed_and_opposite_ones_cancel_nothing_else() -> None:
    one, other = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.0, 3.0, 1.0])
    order = order_of_tracks(2, seed=0, step=0)
    assert torch.equal(projected_sum([[one], [other]], order=order)[0], one + other)
    against = torch.tensor([-1.0, 3.0, 0.0])
    found = projected_sum([[one], [against]], order=order)[0]
    # What is left opposes neither track.
    assert float(found @ one) >= 0
    assert float(found @ against) >= 0
    assert torch.equal(projected_sum([[one], [torch.zeros(3)]], order=order)[0], one)


def test_projected_gradients_of_single_examples_are_those_of_any_cut(model: Any, batch: list[Encoded]) -> None:
    weights = Objective(tracks=TRACKS, settings=BalanceSettings(loss="task_mean")).weights(
        counts_of(batch), BalanceState()
    )

    def gradients(add_up: Callable[[Sequence[Encoded]], Tensor]) -> list[list[Tensor]]:
        by_track = [[example for example in batch if example.track == track] for track in TRACKS]
        return [gradients_of(model, weight * add_up(own)) for weight, own in zip(weights, by_track, strict=True)]

    def single(own: Sequence[Encoded]) -> Tensor:
        return torch.stack([loss_of(model, example) for example in own]).sum()

    order = order_of_tracks(3, seed=1, step=9)
    found = projected_sum(gradients(lambda own: sums_of(model, own).sum()), order=order)
    expected = projected_sum(gradients(single), order=order)
    largest = max(float(one.abs().max()) for one in expected)
    assert max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)) <= 2e-6 * largest


@given(st.integers(0, 2**32), st.integers(0, 10_000))
def test_order_of_comparison_is_one_of_all_others_and_repeats_itself(seed: int, step: int) -> None:
    order = order_of_tracks(4, seed=seed, step=step)
    assert order == order_of_tracks(4, seed=seed, step=step)
    assert [sorted(own) for own in order] == [[j for j in range(4) if j != i] for i in range(4)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "fixed"}, "needs training.balance.weights"),
        ({"loss": "coba", "weights": {"a": 1.0}}, "goes with fixed alone, got coba"),
        ({"window": 7}, "training.balance.window is a setting of loss: coba"),
        ({"loss": "coba", "window": 1}, "greater than or equal to 2"),
    ],
)
def test_settings_of_a_balance_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BalanceSettings.model_validate(settings)


def test_coba_without_validation_and_projection_without_an_adapter_are_refused(model_spec: ModelSpec) -> None:
    with pytest.raises(ValidationError, match=r"set training\.validate_every"):
        TrainingSettings(max_steps=3, balance=BalanceSettings(loss="coba"))
    settings = TrainingSettings(max_steps=3, balance=BalanceSettings(projection=True))
    with pytest.raises(ValidationError, match="kind full trains all"):
        TrainingSpec.model_validate({"model": model_spec, "kind": "full", "settings": settings})


def test_slope_is_that_of_the_least_squares_line() -> None:
    assert slope([1.0, 3.0, 2.0, 5.0]) == pytest.approx(np.polyfit(range(4), [1, 3, 2, 5], 1)[0])
    assert math.isclose(slope([2.0, 1.5]), -0.5)
