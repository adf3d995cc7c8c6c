"""Validation in the middle of a training: how good the model is now, and whether its weights are kept.

One decision: the loss is taken in the same way as in training, over whole examples, so how they are cut
into passes changes no decision.
"""

import math

import torch

from trainers.engines.protocol import Judged
from trainers.loop.checkpoints import keep
from trainers.loop.divergence import diverged
from trainers.loop.log import Row
from trainers.loop.passes import row_of, share_of
from trainers.loop.plan import Plan, TrainingData
from trainers.loop.progress import Progress
from trainers.loop.services import Services
from trainers.objective.token_losses import counts_of


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
    counts = counts_of(plan.validation, plan.tracks)
    with services.engine.judging() as judged_model:
        sums = _loss_sums(plan, services, judged_model)
        judged = dict(services.judge(judged_model.model)) if services.judge else {}
    judged = _agreed(services, judged)
    loss = float(sums.sum() / sum(counts)) if sum(counts) else math.inf
    if sum(counts) and not math.isfinite(loss):
        services.log.flush()
        raise diverged(f"validation after step {progress.step}: loss {loss}", steps=progress.recent, batch=[])
    row = {"step": progress.step, "validation/loss": loss, **by_track("validation/loss", plan.tracks, sums, counts)}
    services.log.add(row | {f"validation/{name}": value for name, value in judged.items()})
    means = {t: float(total / n) for t, total, n in zip(plan.tracks, sums, counts, strict=True) if n}
    progress = progress.model_copy(update={"balance": plan.objective.validated(progress.balance, means)})
    value = loss if plan.spec.settings.select_by == "loss" else -judged["similarity"]
    best = math.inf if progress.best.value is None else progress.best.value
    if value < best - plan.spec.settings.min_delta:
        return keep(services, progress, value=value)
    return progress.waited()


def by_track(name: str, tracks: tuple[str, ...], sums: torch.Tensor, counts: tuple[int, ...]) -> Row:
    """The mean of each track that has loss-carrying tokens, as `name/track`."""
    return {
        f"{name}/{track}": float(total / count)
        for track, total, count in zip(tracks, sums, counts, strict=True)
        if count > 0
    }


def _loss_sums(plan: Plan, services: Services, judged: Judged) -> torch.Tensor:
    """Sums by track over the whole validation set, of which each process takes its share."""
    rows, _ = share_of(plan.validation, services)
    sums = torch.zeros(len(plan.tracks), dtype=torch.float64)
    for keys in rows:
        row = row_of(plan.validation, keys, plan=plan, services=services)
        sums += judged.sums(row).double().cpu()
    return services.engine.reduce(sums)


def _agreed(services: Services, judged: Row) -> Row:
    """The first process's verdicts, for all."""
    if services.engine.world == 1 or not judged:
        return judged
    mine = [value if services.engine.rank == 0 else 0.0 for value in judged.values()]
    return dict(zip(judged, services.engine.reduce(torch.tensor(mine, dtype=torch.float64)).tolist(), strict=True))
