"""The training loop: one for every method.

One decision: a step takes a plan, services and progress and gives the next progress. What it will do, what it does
it with and how far it is are three values, of which only the last changes.
"""

import math
from itertools import islice
from pathlib import Path

import torch

from models.loading import load_tokenizer
from trainers.batches.rows import Encoded, collate
from trainers.loop.checkpoints import keep
from trainers.loop.divergence import diverged
from trainers.loop.log import MetricLog, Row
from trainers.loop.plan import Plan, TrainingData, plan_of
from trainers.loop.progress import Progress, StepRow
from trainers.loop.schedule import learning_rate_at
from trainers.loop.services import Hooks, Services
from trainers.loop.summary import TrainingSummary, summary_of
from trainers.loop.validation import by_track, refuse_blind_validation, validate
from trainers.methods.build import build_engine
from trainers.spec import Runtime, TrainingSpec

# About so many steps of a training are logged, evenly spread.
_LOGGED_STEPS = 200


def train(spec: TrainingSpec, *, data: TrainingData, out: Path, runtime: Runtime, hooks: Hooks) -> TrainingSummary:
    """Train as `spec` says and leave weights and metric chunks under `out`.

    Raises:
        ValueError: if no example fits `max_length`.
        TrainingDiverged: at the first loss or gradient that is not finite.
    """
    torch.set_num_threads(runtime.threads)
    tokenizer = load_tokenizer(spec.model)
    plan = plan_of(spec, data, tokenizer)
    refuse_blind_validation(plan, data, judged=hooks.validate is not None)
    services = _services(plan, out=out, runtime=runtime, hooks=hooks)
    progress, stopped = _steps(plan, services, Progress())
    if services.engine.rank == 0:
        tokenizer.save_pretrained(str(out / progress.best.folder))
    return summary_of(plan, progress, services.engine, seconds=services.seconds(), stopped=stopped)


def _services(plan: Plan, *, out: Path, runtime: Runtime, hooks: Hooks) -> Services:
    engine = build_engine(plan.spec, runtime=runtime, num_tracks=len(plan.tracks))
    batch_size = plan.spec.settings.batch_size
    if batch_size % engine.world:
        raise ValueError(f"training.batch_size must be a multiple of the {engine.world} processes, got {batch_size}")
    log = MetricLog(folder=out / "metrics", report=hooks.report, active=engine.rank == 0, total_steps=plan.total_steps)
    return Services(engine=engine, log=log, judge=hooks.validate, out=out, micro_batch=runtime.micro_batch)


def _steps(plan: Plan, services: Services, progress: Progress) -> tuple[Progress, bool]:
    """Run to the end or to the end of patience; returns how far it came and whether patience ended it."""
    settings = plan.spec.settings
    stride = max(1, plan.total_steps // _LOGGED_STEPS)
    for chosen in islice(plan.order(), progress.step, plan.total_steps):
        progress, row = _one_step(plan, services, progress, [plan.rows[index] for index in chosen])
        if (progress.step - 1) % stride == 0 or progress.step == plan.total_steps:
            services.log.add(row)
        if settings.validate_every and progress.step % settings.validate_every == 0:
            progress = validate(plan, services, progress)
            if settings.patience is not None and progress.best.waited >= settings.patience:
                services.log.flush()
                return progress, True
    if not progress.best.folder:
        progress = keep(services, progress, value=None)
    services.log.flush()
    return progress, False


def _one_step(
    plan: Plan, services: Services, progress: Progress, rows: list[tuple[Encoded, ...]]
) -> tuple[Progress, Row]:
    """One optimizer step over a global batch of rows, of which each process takes its share."""
    sums, counts = _accumulated(plan, services, rows)
    rate = learning_rate_at(progress.step, settings=plan.spec.settings, total_steps=plan.total_steps)
    norm = services.engine.step(learning_rate=rate)
    loss = float(sums.sum() / counts.sum())
    step: StepRow = {"step": progress.step + 1, "loss": loss, "gradient_norm": norm, "learning_rate": rate}
    recent = progress.with_row(step)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        services.log.flush()
        names = [example.name for row in rows for example in row]
        raise diverged(f"step {progress.step + 1}: loss {loss}, gradient norm {norm}", steps=recent, batch=names)
    tokens, seconds = sum(len(example.ids) for row in rows for example in row), services.seconds()
    progress = progress.stepped(loss=loss, tokens=tokens, seconds=seconds, recent=recent)
    row: Row = {"step": progress.step, "loss": loss, "learning_rate": rate, "gradient_norm": norm}
    row |= {"tokens": progress.tokens, "seconds": seconds, "tokens_per_s": progress.tokens / seconds}
    return progress, row | by_track("loss", plan.tracks, sums, counts)


def _accumulated(plan: Plan, services: Services, rows: list[tuple[Encoded, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of this process's share of a global batch; returns its loss sums and token counts by track."""
    engine, size = services.engine, services.micro_batch
    loss_tokens = sum(len(example.ids) - example.loss_from for row in rows for example in row)
    mine = rows[engine.rank :: engine.world]
    sums, counts = torch.zeros(len(plan.tracks)), torch.zeros(len(plan.tracks))
    for start in range(0, len(mine), size):
        batch = collate(mine[start : start + size], pad=plan.pad, tracks=plan.tracks)
        track_sums, track_counts = engine.sums(batch, last=start + size >= len(mine))
        engine.backward(track_sums.sum() / loss_tokens)
        sums += track_sums.detach().float().cpu()
        counts += track_counts.cpu()
    return sums, counts


__all__ = ["Hooks", "TrainingData", "TrainingSummary", "train"]
