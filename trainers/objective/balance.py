"""How much each track's loss weighs in what a step minimises, and what validations change of it.

One decision: a balance is a weight for each track, worked out from how many loss-carrying tokens the whole global batch
has of it, and multiplied with the sum of that track's token losses. Sums add up over passes and processes, and the
weights are known before the first pass, so no cut into passes and no number of processes changes a gradient.

What is minimised over a batch with `n_k` loss-carrying tokens of track k, whose losses sum to `S_k`, K tracks in all:

- `token_mean`: sum of all S_k over the sum of all n_k.
- `task_mean`: the mean of S_k / n_k over the tracks that the batch has.
- `fixed`: the mean of S_k / n_k weighed by the study's weights, over the tracks that the batch has.
- `coba`: the same with weights that follow validation losses, by Gong et al. 2024 (CoBa, arXiv 2410.06741), sections
  3.2 to 3.4. At the t-th validation let r_k(s) be track k's validation loss at validation s over its first one, and
  a_k(t) the slope of the least-squares line through the last N of r_k, which is below 0 while the track converges.

      RCS_k(t) = softmax over tracks of   K a_k(t) / sum_j |a_j(t)|
      ACS_k(t) = softmax over tracks of  -N a_k(t) / sum_s |a_k(s)|        (s: the last N validations)
      DF(t)    = min(1, t * softmax over steps, at t, of  -tau t a_max(s) / sum_s |a_max(s)|),  a_max(s) = max_k a_k(s)
      w_k(t)   = DF(t) RCS_k(t) + (1 - DF(t)) ACS_k(t)

  The relative score gives more to tracks that converge slowly, the absolute one less to tracks that diverge, and the
  divergence factor turns from the first to the second when the worst track's loss begins to rise.

The paper takes a point of the curve from one batch of validation data at each step; here a point is a whole validation,
which is less noisy and comes every `validate_every` steps, so N and the warm-up count validations. Steps s in sums over
the past are those that have a slope, and t counts them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from tasks.records import Record
from trainers.spec import BalanceSettings


class BalanceState(Record):
    """What a balance remembers of its validations, by track; it is part of a training's progress.

    `losses` are relative to the `first` ones, `slopes` begin with the second validation, `worst` are the largest
    slopes of all tracks. `weights` are what the next steps go by, summing to 1; empty before they are needed.
    """

    first: dict[str, float] = Field(default_factory=dict)
    losses: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    slopes: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    worst: tuple[float, ...] = ()
    weights: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What a training minimises over the tracks that it has."""

    tracks: tuple[str, ...]
    settings: BalanceSettings

    def weights(self, counts: Sequence[float], state: BalanceState) -> tuple[float, ...]:
        """What each track's summed token loss is multiplied with, in the order of the tracks.

        Args:
            counts: Loss-carrying tokens of each track in the whole global batch, over all processes.
            state: What validations have changed so far.

        Raises:
            ValueError: if the batch has no loss-carrying token.
        """
        if not any(counts):
            raise ValueError(
                "a batch without a token that carries loss has no mean; no example may have an empty answer"
            )
        if self.settings.loss == "token_mean":
            return token_mean(counts)
        return weighted_mean(counts, self._shares(state))

    def _shares(self, state: BalanceState) -> tuple[float, ...]:
        if self.settings.loss == "fixed":
            assert self.settings.weights is not None, "settings with fixed weights have them"
            return tuple(self.settings.weights[track] for track in self.tracks)
        equal = 1.0 / max(1, len(state.weights))
        return tuple(state.weights.get(track, equal) for track in self.tracks)

    def validated(self, state: BalanceState, losses: Mapping[str, float]) -> BalanceState:
        """The state after one validation more, with each track's mean loss; only CoBa takes note of it.

        A track without validation examples that fit is left out of the comparison and keeps an equal share.
        """
        if self.settings.loss != "coba":
            return state
        return with_validation(state, {track: losses[track] for track in self.tracks if track in losses}, self.settings)


def token_mean(counts: Sequence[float]) -> tuple[float, ...]:
    """Weights with which the sum is the mean over all tokens."""
    return (1.0 / sum(counts),) * len(counts)


def task_mean(counts: Sequence[float]) -> tuple[float, ...]:
    """Weights with which the sum is the mean of the tracks' means."""
    return weighted_mean(counts, (1.0,) * len(counts))


def weighted_mean(counts: Sequence[float], shares: Sequence[float]) -> tuple[float, ...]:
    """Weights with which the sum is the mean of the tracks' means, weighed by `shares`, over tracks that are there."""
    present = sum(share for share, count in zip(shares, counts, strict=True) if count)
    return tuple(share / present / count if count else 0.0 for share, count in zip(shares, counts, strict=True))


def with_validation(state: BalanceState, losses: Mapping[str, float], settings: BalanceSettings) -> BalanceState:
    """CoBa's state after a validation with these losses by track; see this module's docstring for the formulas."""
    tracks = sorted(losses)
    first = {**losses, **state.first}
    ratios = {
        track: (*state.losses.get(track, ()), losses[track] / first[track])[-settings.window :] for track in tracks
    }
    state = state.model_copy(update={"first": first, "losses": ratios})
    if min(len(past) for past in ratios.values()) < 2:
        return state
    now = {track: slope(ratios[track]) for track in tracks}
    slopes = {track: (*state.slopes.get(track, ()), now[track]) for track in tracks}
    worst = (*state.worst, max(now.values()))
    # The first slope comes with the second validation.
    validations = len(worst) + 1
    weights = coba_weights(slopes, worst, settings) if validations > settings.warmup else {}
    kept = {track: past[-settings.window :] for track, past in slopes.items()}
    return state.model_copy(update={"slopes": kept, "worst": worst, "weights": weights})


def slope(values: Sequence[float]) -> float:
    """Slope of the least-squares line through values at 0, 1, 2, ..."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    above = sum((x - middle) * (value - mean) for x, value in enumerate(values))
    return above / sum((x - middle) ** 2 for x in range(len(values)))


def coba_weights(
    slopes: Mapping[str, Sequence[float]], worst: Sequence[float], settings: BalanceSettings
) -> dict[str, float]:
    """Each track's weight from its slopes so far, the latest last, and the largest of all at each validation."""
    tracks = list(slopes)
    latest = [slopes[track][-1] for track in tracks]
    relative = _softmax([len(tracks) * part for part in _over(latest, latest)])
    recent = [slopes[track][-settings.window :] for track in tracks]
    absolute = _softmax([-len(past) * _over(past[-1:], past)[0] for past in recent])
    factor = divergence_factor(worst, sharpness=settings.sharpness)
    return {
        track: factor * rcs + (1 - factor) * acs for track, rcs, acs in zip(tracks, relative, absolute, strict=True)
    }


def divergence_factor(worst: Sequence[float], *, sharpness: float) -> float:
    """How much the relative score counts, 0 to 1: 1 at the start and while the worst track's loss falls ever faster."""
    steps = len(worst)
    return min(1.0, steps * _softmax([-sharpness * steps * part for part in _over(worst, worst)])[-1])


def _over(values: Sequence[float], past: Sequence[float]) -> list[float]:
    """Values over the sum of absolute ones; where nothing moves, nothing."""
    total = math.fsum(map(abs, past))
    return [value / total if total else 0.0 for value in values]


def _softmax(values: Sequence[float]) -> list[float]:
    largest = max(values)
    parts = [math.exp(value - largest) for value in values]
    total = math.fsum(parts)
    return [part / total for part in parts]
