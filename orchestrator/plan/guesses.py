"""A first guess of how long a stage takes and how much it writes, where the ledger holds nothing like it.

One decision: a guess is arithmetic on tokens, weights and rates that were measured with this tool (docs/log.md), and is
marked as a guess wherever it is shown. It refuses and stops nothing, and one record of the ledger replaces it.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from models.shapes import Estimate, Shape, Unknown, shape_of
from orchestrator.plan.amounts import Amounts, Rows, counted, per_row
from orchestrator.study.resources import Resources
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrackSource, TrialSpec, processes_of
from tasks.records import Task, Track
from trainers.spec import MixtureSettings, warmup_conflict

BASIS = "a guess, from tokens, weights and usual rates"
# Seconds until a stage's processes have their libraries and the model; DeepSpeed compiles its optimizer first.
_START_S = {StageName.TRAIN: 10.0, StageName.GENERATE: 10.0, StageName.EXECUTE: 4.0, StageName.SCORE: 2.0}
_BUILD_S = 30.0
# Arithmetic of a core in training the built-in model (2,000 tokens/s); larger matrices use a core better.
_CORE_FLOPS, _CORE_WEIGHTS, _CORE_GAIN = 3e10, 3.5e6, 4.0
# Of one H100, for adapters: 1.5e14 from 1.5e9 weights on, and less for smaller models, which wait for launches.
_GPU_FLOPS, _GPU_WEIGHTS = 1.5e14, 1.5e9
# Seconds of one decoded token: a layer's calls on a CPU; launches, and weights that are read, on a GPU.
_CORE_LAYER_S, _GPU_TOKEN_S, _GPU_BYTES_A_S = 1.2e-3, 0.025, 1e12
# Core seconds of judging a program, of comparing an answer with its reference, and of a file's quality counts.
_PROGRAM_S, _ANSWER_S, _QUALITY_S = 0.2, 0.02, 0.03
_CORES = 2
# Prompts that are answered at once where nobody says: without a GPU, and about so many with one.
_BATCH = {False: 32, True: 128}
# Bytes of a row beside its text: ids, figures, verdicts.
_ROW_BYTES = {StageName.GENERATE: 250, StageName.EXECUTE: 250, StageName.SCORE: 900}
_BYTES_A_TOKEN = 3.3


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is generated: completions, and the tokens of one."""

    rows: int
    tokens: float


class Guesser:
    """Guesses for the trials of one study; data are read when the first guess wants them."""

    def __init__(self, resources: Resources, *, root: Path) -> None:
        self._resources, self._amounts = resources, Amounts(root)

    def hours(self, trial: TrialSpec, stage: StageName) -> Estimate | Unknown:
        """Hours of one stage."""
        shape = shape_of(trial.model)
        if isinstance(shape, Unknown):
            return shape
        work = self._training(trial, shape) if stage == StageName.TRAIN else self._after(trial, stage, shape)
        if isinstance(work, Unknown):
            return work
        return Estimate(value=(_START_S[stage] + work) / 3600, basis=BASIS, guess=True)

    def short_of_warmup(self, trial: TrialSpec) -> str:
        """Why a training that counts in epochs is refused when it begins: its rows give too few steps to warm up."""
        settings = trial.training
        if settings is None or settings.epochs is None or settings.batch_size is None or not settings.warmup_steps:
            return ""
        rows = self._amounts.of(trial.train, training=True)
        count = rows if isinstance(rows, Unknown) else counted(rows)
        # Other mixtures show rows more or less often than an epoch says.
        if isinstance(count, Unknown) or settings.mixture != MixtureSettings():
            return ""
        steps = math.ceil(settings.epochs * count / settings.batch_size)
        return (
            f"{trial.label}: {warmup_conflict(settings.warmup_steps, steps)}" if settings.warmup_steps > steps else ""
        )

    def disk(self, trial: TrialSpec, stage: StageName) -> Estimate | Unknown:
        """Bytes that a stage after the training writes."""
        asked = self._asked(trial, trial.test, training=False)
        if isinstance(asked, Unknown):
            return asked
        text = asked.tokens * _BYTES_A_TOKEN if stage == StageName.GENERATE else 0.0
        return Estimate(value=asked.rows * (text + _ROW_BYTES[stage]), basis=BASIS, guess=True)

    def _training(self, trial: TrialSpec, shape: Shape) -> float | Unknown:
        settings = trial.training
        assert settings is not None
        rows = self._amounts.of(trial.train, training=True)
        if isinstance(rows, Unknown):
            return rows
        length = per_row(rows, longest=settings.max_length)
        batch = float(settings.batch_tokens or (settings.batch_size or 1) * length)
        if settings.epochs is not None:
            count = counted(rows)
            if isinstance(count, Unknown):
                return count
            tokens = settings.epochs * count * length
        else:
            tokens = (settings.max_steps or 1) * batch
        times = 0 if settings.validate_every is None else 1 + int(tokens / batch / settings.validate_every)
        validation = self._validation(trial, shape) if times else 0.0
        if isinstance(validation, Unknown):
            return validation
        full = trial.traits.in_many_processes
        passes = (6 if full else 4) + (2 if self._resources.gradient_checkpointing is True else 0)
        rate = self._rate(shape, cpus=self._resources.trial_cpus, gpus=self._resources.trial_gpus)
        work = passes * shape.parameters * tokens / rate / processes_of(trial, self._resources)
        return work + times * validation + (_BUILD_S if full else 0.0)

    def _validation(self, trial: TrialSpec, shape: Shape) -> float | Unknown:
        """Seconds of one validation: a forward pass, or answers where they choose the checkpoint."""
        assert trial.training is not None
        if trial.training.select_by == "similarity":
            asked = self._asked(trial, trial.validation, training=True)
            return asked if isinstance(asked, Unknown) else self._decoding(asked, shape, side_by_side=1)
        rows = self._amounts.of(trial.validation, training=True)
        count = rows if isinstance(rows, Unknown) else counted(rows)
        if isinstance(count, Unknown) or isinstance(rows, Unknown):
            return count if isinstance(count, Unknown) else 0.0
        rate = self._rate(shape, cpus=self._resources.trial_cpus, gpus=self._resources.trial_gpus)
        return 2 * shape.parameters * count * per_row(rows, longest=trial.training.max_length) / rate

    def _after(self, trial: TrialSpec, stage: StageName, shape: Shape) -> float | Unknown:
        asked = self._asked(trial, trial.test, training=False)
        if isinstance(asked, Unknown):
            return asked
        if stage == StageName.GENERATE:
            return self._decoding(asked, shape, side_by_side=self._resources.generators)
        if stage == StageName.EXECUTE:
            return asked.rows * _PROGRAM_S / _CORES
        return asked.rows * (_ANSWER_S + (_QUALITY_S if trial.quality else 0.0))

    def _asked(self, trial: TrialSpec, sources: tuple[TrackSource, ...], *, training: bool) -> _Asked | Unknown:
        rows = self._amounts.of(sources, training=training)
        if isinstance(rows, Unknown):
            return rows
        count = counted(rows)
        if isinstance(count, Unknown):
            return count
        tokens = [(one.count or 0) * _answer_tokens(trial, one) for one in rows]
        return _Asked(count * trial.generation.samples, sum(tokens) / max(1, count))

    def _decoding(self, asked: _Asked, shape: Shape, *, side_by_side: int) -> float:
        settings = self._resources
        auto = _BATCH[settings.generator_gpus > 0]
        side = auto if settings.generation_batch == "auto" else settings.generation_batch
        batch = min(side, max(1, asked.rows))
        rate = self._rate(shape, cpus=settings.generator_cpus, gpus=settings.generator_gpus)
        arithmetic = 2 * shape.parameters * batch / rate
        if settings.generator_gpus:
            token = max(_GPU_TOKEN_S, 2 * shape.parameters / _GPU_BYTES_A_S) + arithmetic
        else:
            token = shape.layers * _CORE_LAYER_S + arithmetic
        return asked.rows / batch / side_by_side * asked.tokens * token

    @staticmethod
    def _rate(shape: Shape, *, cpus: int, gpus: float) -> float:
        """Operations a second of what one process holds."""
        if gpus:
            return _GPU_FLOPS * min(1.0, shape.parameters / _GPU_WEIGHTS) * min(1.0, gpus)
        gain: float = (shape.parameters / _CORE_WEIGHTS) ** 0.25
        return _CORE_FLOPS * min(_CORE_GAIN, max(1.0, gain)) * cpus


def _answer_tokens(trial: TrialSpec, rows: Rows) -> float:
    """Tokens of an answer: a frozen model goes on to its limit more often than not, a trained one hardly ever."""
    settings = trial.generation
    prose = Track.parse(rows.track).task is Task.SUMMARIZATION
    limit = settings.max_summary_tokens if prose else settings.max_new_tokens
    return float(limit) if not trial.traits.is_trained else min(float(limit), 1.5 * rows.answer_tokens)


__all__ = ["BASIS", "Guesser"]
