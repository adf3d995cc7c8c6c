"""The training loop: one for every method.

One decision: what a step sees is a pure function of the spec and the data (order, batch, learning
rate), worked out before a forward pass; the engine only computes. So the same spec gives the same
batches under any number of processes and any micro-batch.
"""

import json
import math
import resource
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tasks.records import Example, Record
from trainers.data import Encoded, EncodedSet, collate, encode, rows_of
from trainers.engine import Engine, LocalEngine
from trainers.mixture import batches, shuffled_epochs, steps_for
from trainers.model import load_tokenizer
from trainers.spec import Runtime, TrainingSettings, TrainingSpec

Row = dict[str, float]
Validate = Callable[[Any], Row]  # judges the model as it stands; higher `similarity` is better
# A chunk is closed when it is full, or old enough for those who follow a slow training.
_ROWS_PER_CHUNK = 50
_SECONDS_PER_CHUNK = 30.0


# How many steps before its end a training that diverged is to be seen.
_EVIDENCE_STEPS = 20


class TrainingDiverged(RuntimeError):
    """The loss or the gradients stopped being finite numbers; `evidence` is plain data that shows how."""

    def __init__(self, message: str, evidence: dict[str, Any]) -> None:
        super().__init__(message, evidence)
        self.evidence = evidence

    def __str__(self) -> str:
        return str(self.args[0])


class TrainingSummary(Record):
    """What a training did. `weights` is the folder, below the output folder, to load from."""

    weights: str
    steps: int
    tokens: int
    seconds: float
    first_loss: float
    last_loss: float
    best_step: int
    best_value: float | None = None
    stopped_early: bool = False
    trainable_parameters: int
    total_parameters: int
    examples: dict[str, int]
    too_long: dict[str, int]
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Examples to train on and to validate on."""

    train: Sequence[Example]
    validation: Sequence[Example] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a launcher may listen to: each logged row with `total_steps`, and a judge of generated validation output."""

    report: Callable[[Row], None] = lambda row: None
    validate: Validate | None = None


@dataclass(slots=True, kw_only=True)
class _MetricLog:
    """Rows, each with its time since 1970, in numbered chunks that are written once and never touched again."""

    folder: Path
    report: Callable[[Row], None]
    active: bool
    total_steps: int
    rows: list[Row] = field(default_factory=list)
    chunks: int = 0
    flushed: float = field(default_factory=time.monotonic)

    def add(self, row: Row) -> None:
        if self.active:
            row = {**row, "time": time.time()}
            self.rows.append(row)
            self.report({**row, "total_steps": self.total_steps})
            if len(self.rows) >= _ROWS_PER_CHUNK or time.monotonic() - self.flushed >= _SECONDS_PER_CHUNK:
                self.flush()

    def flush(self) -> None:
        if self.active and self.rows:
            self.folder.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(row) + "\n" for row in self.rows)
            (self.folder / f"{self.chunks:05d}.jsonl").write_text(text)
            self.rows, self.chunks, self.flushed = [], self.chunks + 1, time.monotonic()


@dataclass(slots=True, kw_only=True)
class _Best:
    """The best checkpoint so far; `value` falls as it gets better."""

    value: float = math.inf
    step: int = 0
    folder: str = ""
    waited: int = 0


@dataclass(slots=True, kw_only=True)
class _Run:
    """A training under way: everything that the steps share."""

    spec: TrainingSpec
    runtime: Runtime
    engine: Engine
    tracks: tuple[str, ...]
    rows: tuple[tuple[Encoded, ...], ...]
    validation: tuple[tuple[Encoded, ...], ...]
    pad: int
    total_steps: int
    out: Path
    hooks: Hooks
    log: _MetricLog
    best: _Best
    started: float
    recent: deque[Row] = field(default_factory=lambda: deque(maxlen=_EVIDENCE_STEPS))
    tokens: int = 0
    first_loss: float = math.nan
    last_loss: float = math.nan


def train(spec: TrainingSpec, *, data: TrainingData, out: Path, runtime: Runtime, hooks: Hooks) -> TrainingSummary:
    """Train as `spec` says and leave weights and metric chunks under `out`.

    Raises:
        ValueError: if no example fits `max_length`.
        TrainingDiverged: at the first loss or gradient that is not finite.
    """
    torch.set_num_threads(runtime.threads)
    tokenizer = load_tokenizer(spec.model)
    encoded = encode(data.train, tokenizer, settings=spec.settings)
    if not encoded.examples:
        raise ValueError(
            f"none of the {len(data.train)} training examples fits training.max_length="
            f"{spec.settings.max_length} tokens of {spec.model.name}; raise it or choose shorter data"
        )
    run = _prepare(spec, encoded, data, tokenizer=tokenizer, out=out, runtime=runtime, hooks=hooks)
    step, stopped = _steps(run)
    if run.engine.rank == 0:
        tokenizer.save_pretrained(str(out / run.best.folder))
    return _summary(run, encoded, step=step, stopped=stopped)


def _prepare(
    spec: TrainingSpec,
    encoded: EncodedSet,
    data: TrainingData,
    *,
    tokenizer: Any,
    out: Path,
    runtime: Runtime,
    hooks: Hooks,
) -> _Run:
    settings = spec.settings
    validation = encode(data.validation, tokenizer, settings=settings).examples
    _refuse_blind_validation(settings, data, fitting=len(validation), judged=hooks.validate is not None)
    tracks = tuple(sorted({example.track for example in (*data.train, *data.validation)}))
    rows = rows_of(encoded.examples, settings=settings)
    engine = build_engine(spec, runtime=runtime, num_tracks=len(tracks))
    if settings.batch_size % engine.world:
        raise ValueError(
            f"training.batch_size must be a multiple of the {engine.world} processes, got {settings.batch_size}"
        )
    total_steps = settings.max_steps or steps_for(
        len(rows), batch_size=settings.batch_size, epochs=settings.epochs or 1.0
    )
    return _Run(
        spec=spec,
        runtime=runtime,
        engine=engine,
        tracks=tracks,
        rows=rows,
        validation=tuple((example,) for example in validation),
        pad=tokenizer.pad_token_id,
        total_steps=total_steps,
        out=out,
        hooks=hooks,
        log=_MetricLog(folder=out / "metrics", report=hooks.report, active=engine.rank == 0, total_steps=total_steps),
        best=_Best(),
        started=time.monotonic(),
    )


def _refuse_blind_validation(settings: TrainingSettings, data: TrainingData, *, fitting: int, judged: bool) -> None:
    """A validation that sees nothing would keep no weights, and would end a training by patience."""
    if settings.validate_every is None:
        return
    if settings.select_by == "similarity" and not judged:
        raise ValueError("training.select_by is similarity, but nothing judges generated output here; use loss")
    if settings.select_by == "loss" and not fitting:
        raise ValueError(
            f"none of the {len(data.validation)} validation examples fits training.max_length="
            f"{settings.max_length}; raise it, give validation data, or leave out training.validate_every"
        )


def build_engine(spec: TrainingSpec, *, runtime: Runtime, num_tracks: int) -> Engine:
    """The machinery for a method: DeepSpeed for full fine-tuning, one process otherwise."""
    if spec.kind == "full":
        from trainers.full import DeepSpeedEngine

        return DeepSpeedEngine(spec, runtime=runtime, num_tracks=num_tracks)
    from trainers.lora import adapted

    return LocalEngine(adapted(spec, runtime=runtime), settings=spec.settings, num_tracks=num_tracks)


def learning_rate_at(step: int, *, settings: TrainingSettings, total_steps: int) -> float:
    """The rate of optimizer step `step` (from 0): linear warm-up, then the schedule down to 0."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, total_steps - settings.warmup_steps)
    factor = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}
    return settings.learning_rate * factor[settings.schedule]


def _steps(run: _Run) -> tuple[int, bool]:
    """Run to the end or to the end of patience; returns steps done and whether patience ended it."""
    settings = run.spec.settings
    order = batches(shuffled_epochs(len(run.rows), seed=run.spec.seed), size=settings.batch_size)
    stride = max(1, run.total_steps // 200)
    for step in range(run.total_steps):
        row = _one_step(run, next(order), step)
        if step % stride == 0 or step + 1 == run.total_steps:
            run.log.add(row)
        if settings.validate_every and (step + 1) % settings.validate_every == 0:
            _validate(run, step + 1)
            if settings.patience is not None and run.best.waited >= settings.patience:
                run.log.flush()
                return step + 1, True
    if not run.best.folder:
        _keep(run, run.total_steps, math.inf)
    run.log.flush()
    return run.total_steps, False


def _one_step(run: _Run, chosen: tuple[int, ...], step: int) -> Row:
    """One optimizer step over a global batch of rows, of which each process takes its share."""
    rows = [run.rows[index] for index in chosen]
    loss_tokens = sum(len(example.ids) - example.loss_from for row in rows for example in row)
    mine = rows[run.engine.rank :: run.engine.world]
    sums, counts = torch.zeros(len(run.tracks)), torch.zeros(len(run.tracks))
    for start in range(0, len(mine), run.runtime.micro_batch):
        batch = collate(mine[start : start + run.runtime.micro_batch], pad=run.pad, tracks=run.tracks)
        track_sums, track_counts = run.engine.sums(batch, last=start + run.runtime.micro_batch >= len(mine))
        run.engine.backward(track_sums.sum() / loss_tokens)
        sums += track_sums.detach().float().cpu()
        counts += track_counts.cpu()
    rate = learning_rate_at(step, settings=run.spec.settings, total_steps=run.total_steps)
    norm = run.engine.step(learning_rate=rate)
    loss = float(sums.sum() / counts.sum())
    run.recent.append({"step": step + 1, "loss": loss, "gradient_norm": norm, "learning_rate": rate})
    if not (math.isfinite(loss) and math.isfinite(norm)):
        names = [example.name for row in rows for example in row]
        raise _diverged(run, f"step {step + 1}: loss {loss}, gradient norm {norm}", batch=names)
    run.tokens += sum(len(example.ids) for row in rows for example in row)
    run.first_loss, run.last_loss = (loss if step == 0 else run.first_loss), loss
    seconds = time.monotonic() - run.started
    row: Row = {"step": step + 1, "loss": loss, "learning_rate": rate, "gradient_norm": norm}
    row |= {"tokens": run.tokens, "seconds": seconds, "tokens_per_s": run.tokens / seconds}
    return row | _by_track("loss", run.tracks, sums, counts)


def _diverged(run: _Run, what: str, *, batch: list[str]) -> TrainingDiverged:
    """The end of a training that went astray, with its last steps and the examples of the last one."""
    run.log.flush()
    # JSON has no word for what is not a number.
    steps = [{k: v if math.isfinite(v) else str(v) for k, v in row.items()} for row in run.recent]
    return TrainingDiverged(f"{what}; lower training.learning_rate", {"last_steps": steps, "last_batch": batch})


def _by_track(name: str, tracks: tuple[str, ...], sums: torch.Tensor, counts: torch.Tensor) -> Row:
    return {
        f"{name}/{track}": float(total / count)
        for track, total, count in zip(tracks, sums, counts, strict=True)
        if count > 0
    }


def _validate(run: _Run, step: int) -> None:
    """Log the validation loss, and keep the weights if they are the best so far."""
    sums, counts = torch.zeros(len(run.tracks)), torch.zeros(len(run.tracks))
    run.engine.evaluating(True)
    with torch.no_grad():
        for start in range(0, len(run.validation), run.runtime.micro_batch):
            rows = run.validation[start : start + run.runtime.micro_batch]
            track_sums, track_counts = run.engine.sums(collate(rows, pad=run.pad, tracks=run.tracks), last=False)
            sums += track_sums.float().cpu()
            counts += track_counts.cpu()
    judged = run.hooks.validate(run.engine.model) if run.hooks.validate else {}
    run.engine.evaluating(False)
    loss = float(sums.sum() / counts.sum()) if counts.sum() > 0 else math.inf
    if counts.sum() > 0 and not math.isfinite(loss):
        raise _diverged(run, f"validation after step {step}: loss {loss}", batch=[])
    row = {"step": step, "validation/loss": loss, **_by_track("validation/loss", run.tracks, sums, counts)}
    run.log.add(row | {f"validation/{name}": value for name, value in judged.items()})
    value = loss if run.spec.settings.select_by == "loss" else -judged["similarity"]
    if value < run.best.value - run.spec.settings.min_delta:
        _keep(run, step, value)
        run.best.waited = 0
    else:
        run.best.waited += 1


def _keep(run: _Run, step: int, value: float) -> None:
    """Write the weights beside the previous best, then drop that one."""
    previous, folder = run.best.folder, f"checkpoint-{step}"
    run.engine.save(run.out / folder)
    run.best.value, run.best.step, run.best.folder = value, step, folder
    if previous and run.engine.rank == 0:
        for path in (run.out / previous).iterdir():
            path.unlink()
        (run.out / previous).rmdir()


def _summary(run: _Run, encoded: EncodedSet, *, step: int, stopped: bool) -> TrainingSummary:
    parameters = list(run.engine.model.parameters())
    on_gpu = parameters[0].device.type == "cuda"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return TrainingSummary(
        weights=run.best.folder,
        steps=step,
        tokens=run.tokens,
        seconds=time.monotonic() - run.started,
        first_loss=run.first_loss,
        last_loss=run.last_loss,
        best_step=run.best.step,
        best_value=run.best.value if math.isfinite(run.best.value) else None,
        stopped_early=stopped,
        trainable_parameters=sum(_size(p) for p in parameters if p.requires_grad),
        total_parameters=_total_parameters(run.engine.model),
        examples={t: sum(e.track == t for e in encoded.examples) for t in run.tracks},
        too_long=encoded.too_long,
        peak_memory_bytes=int(torch.cuda.max_memory_allocated()) if on_gpu else peak,
    )


def _size(parameter: Any) -> int:
    """Elements of a parameter; under ZeRO 3 the shard that is held here says nothing of it."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _total_parameters(model: Any) -> int:
    """All weights; a 4-bit tensor holds two of them a byte, which transformers accounts for."""
    parameters = list(model.parameters())
    if any(hasattr(p, "ds_numel") for p in parameters):
        return sum(_size(p) for p in parameters)
    return int(model.num_parameters())
