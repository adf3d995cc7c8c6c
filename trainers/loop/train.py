"""The training loop: one for every method.

One decision: a step takes a plan, services and progress and gives the next progress. What it will do, what it does
it with and how far it is are three values, of which only the last changes.
"""

import math
import time
from itertools import islice
from pathlib import Path

import torch

from models.loading import load_tokenizer
from trainers.batches.rows import Encoded
from trainers.loop.checkpoints import keep
from trainers.loop.divergence import diverged
from trainers.loop.log import MetricLog, Row
from trainers.loop.passes import row_of, share_of
from trainers.loop.plan import Plan, TrainingData, plan_of
from trainers.loop.progress import Progress, StepRow
from trainers.loop.sanity import refuse_other_loss
from trainers.loop.schedule import learning_rate_at
from trainers.loop.services import Hooks, Services
from trainers.loop.summary import TrainingSummary, summary_of
from trainers.loop.validation import by_track, refuse_blind_validation, validate
from trainers.methods.build import build_engine
from trainers.objective.token_losses import counts_of
from trainers.spec import Runtime, TrainingSpec

# About so many steps of a training are logged, evenly spread.
_LOGGED_STEPS = 200


def train(spec: TrainingSpec, *, data: TrainingData, out: Path, runtime: Runtime, hooks: Hooks) -> TrainingSummary:
    """Train as `spec` says and leave weights and metric chunks under `out`.

    A training that was interrupted goes on from the newest checkpoint, if the launcher keeps any.

    Raises:
        ValueError: if no example fits `max_length`, or training's loss is not the model's own.
        TrainingDiverged: at the first loss or gradient that is not finite.
    """
    torch.set_num_threads(runtime.threads)
    tokenizer = load_tokenizer(spec.model)
    plan = plan_of(spec, data, tokenizer)
    refuse_blind_validation(plan, data, judged=hooks.validate is not None)
    services = _services(plan, out=out, runtime=runtime, hooks=hooks)
    progress = _taken_up(services)
    refuse_other_loss(plan, services)
    progress, stopped = _steps(plan, services, progress)
    if services.engine.rank == 0:
        tokenizer.save_pretrained(str(out / progress.best.folder))
    return summary_of(plan, progress, services, stopped=stopped)


def _services(plan: Plan, *, out: Path, runtime: Runtime, hooks: Hooks) -> Services:
    engine, footing = build_engine(plan.spec, runtime=runtime, num_tracks=len(plan.tracks))
    log = MetricLog(folder=out / "metrics", report=hooks.report, active=engine.rank == 0, total_steps=plan.total_steps)
    return Services(
        engine=engine,
        footing=footing,
        log=log,
        judge=hooks.validate,
        out=out,
        micro_tokens=runtime.micro_tokens,
        resuming=hooks.resuming,
        started=time.monotonic(),
    )


def _taken_up(services: Services) -> Progress:
    if services.resuming is None:
        return Progress()
    progress, rows = services.resuming.take_up(services.engine, out=services.out)
    services.log.take_up(rows)
    services.started -= progress.seconds
    return progress


def _steps(plan: Plan, services: Services, progress: Progress) -> tuple[Progress, bool]:
    """Run to the end or to the end of patience; returns how far it came and whether patience ended it."""
    settings = plan.spec.settings
    for chosen in islice(plan.order(), progress.step, plan.total_steps):
        progress, row = _one_step(plan, services, progress, chosen)
        if (progress.step - 1) % max(1, plan.total_steps // _LOGGED_STEPS) == 0 or progress.step == plan.total_steps:
            services.log.add(row)
        if settings.validate_every and (
            progress.step % settings.validate_every == 0 or progress.step == plan.total_steps
        ):
            progress = validate(plan, services, progress)
            if settings.patience is not None and progress.best.waited >= settings.patience:
                services.log.flush()
                return progress, progress.step < plan.total_steps
        if progress.step < plan.total_steps:
            _leave_checkpoint(services, progress)
    if not progress.best.folder:
        progress = keep(services, progress, value=None)
    services.log.flush()
    return progress, False


def _leave_checkpoint(services: Services, progress: Progress) -> None:
    """Keep a checkpoint if any process wants one; all of them keep it then."""
    resuming = services.resuming
    if resuming is None:
        return
    due = torch.tensor([float(resuming.due())])
    if float(services.engine.reduce(due)) > 0:
        resuming.leave(services.engine, progress, out=services.out, log=services.log)


def _one_step(plan: Plan, services: Services, progress: Progress, chosen: tuple[int, ...]) -> tuple[Progress, Row]:
    """One optimizer step over a global batch of examples, of which each process takes its share."""
    batch = [plan.train[number] for number in chosen]
    counts = counts_of(batch, plan.tracks)
    sums = _accumulated(plan, services, batch, keys=chosen, weights=plan.objective.weights(counts, progress.balance))
    rate = learning_rate_at(
        progress.step, settings=plan.spec.settings, total_steps=plan.total_steps, warmup=plan.warmup
    )
    norm = services.engine.step(learning_rate=rate)
    loss = float(sums.sum() / sum(counts))
    step: StepRow = {"step": progress.step + 1, "loss": loss, "gradient_norm": norm, "learning_rate": rate}
    recent = progress.with_row(step)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        services.log.flush()
        names = [example.name for example in batch]
        raise diverged(f"step {progress.step + 1}: loss {loss}, gradient norm {norm}", steps=recent, batch=names)
    tokens, seconds = sum(len(example.ids) for example in batch), services.seconds()
    progress = progress.stepped(loss=loss, tokens=tokens, seconds=seconds, recent=recent)
    row: Row = {"step": progress.step, "loss": loss, "learning_rate": rate, "gradient_norm": norm}
    row |= {"tokens": progress.tokens, "seconds": seconds, "tokens_per_s": progress.tokens / seconds}
    return progress, row | by_track("loss", plan.tracks, sums, counts)


def _accumulated(
    plan: Plan, services: Services, batch: list[Encoded], *, keys: tuple[int, ...], weights: tuple[float, ...]
) -> torch.Tensor:
    """Gradients of this process's share of a global batch; returns the loss sums by track of the whole batch.

    Where gradients of tracks are projected each track has passes of its own, and its gradients are kept apart.
    """
    if not plan.spec.settings.balance.projection:
        return services.engine.reduce(_pass_all(plan, services, batch, keys=keys, weights=weights))
    sums = torch.zeros(len(plan.tracks), dtype=torch.float64)
    for track in plan.tracks:
        own = [number for number, example in enumerate(batch) if example.track == track]
        if own:
            part, named = [batch[number] for number in own], tuple(keys[number] for number in own)
            sums += _pass_all(plan, services, part, keys=named, weights=weights)
            services.engine.set_aside()
    return services.engine.reduce(sums)


def _pass_all(
    plan: Plan, services: Services, batch: list[Encoded], *, keys: tuple[int, ...], weights: tuple[float, ...]
) -> torch.Tensor:
    """Forward and backward passes over this process's share of some examples; its loss sums by track."""
    engine = services.engine
    mine, empty = share_of(batch, services)
    sums = torch.zeros(len(plan.tracks), dtype=torch.float64)
    found = []
    for number, members in enumerate(mine, start=1):
        row = row_of(batch, members, plan=plan, services=services, keys=keys)
        found.append(engine.accumulate(row, weights, last=number == len(mine) and not empty))
    for number in range(1, empty + 1):
        row = row_of(batch, (0,), plan=plan, services=services, keys=keys)
        engine.accumulate(row, [0.0] * len(weights), last=number == empty)
    for part in found:
        sums += part.double().cpu()
    return sums


__all__ = ["Hooks", "TrainingData", "TrainingSummary", "train"]
