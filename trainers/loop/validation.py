"""Validation in the middle of a training: how good the model is now, and whether its weights are kept.

One decision: the loss is taken in the same way as in training, over whole examples that are never packed, so packing
changes no decision.
"""

import math

import torch

from trainers.batches.rows import collate
from trainers.loop.checkpoints import keep
from trainers.loop.divergence import diverged
from trainers.loop.log import Row
from trainers.loop.plan import Plan, TrainingData
from trainers.loop.progress import Progress
from trainers.loop.services import Services


def refuse_blind_validation(plan: Plan, data: TrainingData, *, judged: bool) -> None:
    """A validation that sees nothing would keep no weights, and would end a training by patience.

    Raises:
        ValueError: with the remedy.
    """
    settings = plan.spec.settings
    if settings.validate_every is None:
        return
    if settings.select_by == "similarity" and not judged:
        raise ValueError("training.select_by is similarity, but nothing judges generated output here; use loss")
    if settings.select_by == "loss" and not plan.validation:
        raise ValueError(
            f"none of the {len(data.validation)} validation examples fits training.max_length="
            f"{settings.max_length}; raise it, give validation data, or leave out training.validate_every"
        )


def validate(plan: Plan, services: Services, progress: Progress) -> Progress:
    """Log the validation loss, and keep the weights if they are the best so far.

    Raises:
        TrainingDiverged: if the loss is not finite.
    """
    services.engine.evaluating(True)
    sums, counts = _loss_sums(plan, services)
    judged = services.judge(services.engine.model) if services.judge else {}
    services.engine.evaluating(False)
    loss = float(sums.sum() / counts.sum()) if counts.sum() > 0 else math.inf
    if counts.sum() > 0 and not math.isfinite(loss):
        services.log.flush()
        raise diverged(f"validation after step {progress.step}: loss {loss}", steps=progress.recent, batch=[])
    row = {"step": progress.step, "validation/loss": loss, **by_track("validation/loss", plan.tracks, sums, counts)}
    services.log.add(row | {f"validation/{name}": value for name, value in judged.items()})
    value = loss if plan.spec.settings.select_by == "loss" else -judged["similarity"]
    best = math.inf if progress.best.value is None else progress.best.value
    if value < best - plan.spec.settings.min_delta:
        return keep(services, progress, value=value)
    return progress.waited()


def by_track(name: str, tracks: tuple[str, ...], sums: torch.Tensor, counts: torch.Tensor) -> Row:
    """The mean of each track that has loss-carrying tokens, as `name/track`."""
    return {
        f"{name}/{track}": float(total / count)
        for track, total, count in zip(tracks, sums, counts, strict=True)
        if count > 0
    }


def _loss_sums(plan: Plan, services: Services) -> tuple[torch.Tensor, torch.Tensor]:
    sums, counts = torch.zeros(len(plan.tracks)), torch.zeros(len(plan.tracks))
    with torch.no_grad():
        for start in range(0, len(plan.validation), services.micro_batch):
            rows = plan.validation[start : start + services.micro_batch]
            track_sums, track_counts = services.engine.sums(collate(rows, pad=plan.pad, tracks=plan.tracks), last=False)
            sums += track_sums.float().cpu()
            counts += track_counts.cpu()
    return sums, counts
