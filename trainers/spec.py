"""What decides a trained model's weights, and, apart from it, how and where the training runs.

One decision: `TrainingSpec` is identity and `Runtime` is not. Two trainings of one spec are meant
to give one model, whatever the micro-batch, the threads or the device.
"""

from typing import Literal

from pydantic import Field, model_validator

from models.spec import Device, ModelSpec
from tasks.records import Record, Settings
from trainers.methods.table import MethodKind, traits_of


class LoraSettings(Settings):
    """Low-rank adapters (Hu et al. 2021): rank, scaling alpha / rank, dropout, adapted projections."""

    rank: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class TrainingSettings(Settings):
    """Optimisation, in optimizer steps over a global batch of examples (packed rows when packing).

    Exactly one of `max_steps` and `epochs` says how long. `loss` is taken over the answer
    (`completion`) or over prompt and answer (`sequence`). `precision` is that of the matrix products;
    optimizer states and master weights are 32-bit. Validation runs every `validate_every`
    steps; the best checkpoint by `select_by` is kept, and training stops after `patience`
    validations without an improvement of more than `min_delta`.
    """

    learning_rate: float = Field(default=1e-4, gt=0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    batch_size: int = Field(default=16, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    precision: Literal["bf16", "fp32"] = "bf16"
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    max_length: int = Field(default=512, ge=8)
    packing: bool = False
    loss: Literal["completion", "sequence"] = "completion"
    validate_every: int | None = Field(default=None, ge=1)
    select_by: Literal["loss", "similarity"] = "loss"
    patience: int | None = Field(default=None, ge=1)
    min_delta: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _says_how_long(self) -> "TrainingSettings":
        if (self.max_steps is None) == (self.epochs is None):
            raise ValueError("training needs exactly one of max_steps and epochs")
        if self.patience is not None and self.validate_every is None:
            raise ValueError("training.patience needs training.validate_every: nothing else counts it")
        return self


class TrainingSpec(Record):
    """All that is meant to decide the trained weights, but for the examples themselves."""

    model: ModelSpec
    kind: MethodKind
    lora: LoraSettings | None = None
    settings: TrainingSettings
    seed: int = 0

    @model_validator(mode="after")
    def _settings_suit_the_kind(self) -> "TrainingSpec":
        traits = traits_of(self.kind)
        if not traits.is_trained:
            raise ValueError(f"kind {self.kind} is not trained; use another kind")
        if traits.has_adapter and self.lora is None:
            raise ValueError(f"kind {self.kind} trains an adapter and needs lora settings")
        return self


class Runtime(Record):
    """How a training runs, which is meant to change no number.

    `micro_batch` is the number of rows in one forward pass on one process; the global batch is
    reached by accumulation. `zero_stage` is DeepSpeed's, for full fine-tuning.
    """

    device: Device = "auto"
    threads: int = Field(default=1, ge=1)
    micro_batch: int = Field(default=16, ge=1)
    zero_stage: Literal[0, 1, 2, 3] = 2
    gradient_checkpointing: bool = False
