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
    """Low-rank adapters (Hu et al. 2021), of the kinds `lora` and `qlora`."""

    rank: int = Field(default=8, ge=1, examples=[16])
    """Rank of the two matrices that are trained beside each adapted projection."""

    alpha: int = Field(default=16, ge=1, examples=[32])
    """Scaling: what the adapter adds is multiplied by `alpha / rank`."""

    dropout: float = Field(default=0.1, ge=0.0, lt=1.0, examples=[0.05])
    """Share of the adapter's inputs that are dropped in training."""

    targets: tuple[str, ...] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        examples=[["q_proj", "v_proj"]],
    )
    """Names of the projections that are adapted, in every layer."""


class TrainingSettings(Settings):
    """Optimisation, counted in optimizer steps. Exactly one of `max_steps` and `epochs` says how long."""

    learning_rate: float = Field(default=1e-4, gt=0, examples=[5e-3])
    """Highest learning rate, reached after the warm-up."""

    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate goes on after the warm-up: down to 0 along a cosine or a line, or as it is."""

    warmup_steps: int = Field(default=0, ge=0, examples=[20])
    """Steps over which the learning rate rises from 0."""

    batch_size: int = Field(default=16, ge=1, examples=[32])
    """Examples of one optimizer step, or packed rows when `packing`, over all processes; `resources.micro_batch`
    says how many are computed at once."""

    max_steps: int | None = Field(default=None, ge=1, examples=[500])
    """Number of optimizer steps, whatever the number of examples."""

    epochs: float | None = Field(default=None, gt=0, examples=[1.2])
    """How often each example is seen. Together and apart then see a track's examples equally often."""

    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    """AdamW, with states of 32 bits or of 8 bits (by bitsandbytes)."""

    precision: Literal["bf16", "fp32"] = "bf16"
    """Precision of the matrix products; optimizer states and master weights have 32 bits."""

    weight_decay: float = Field(default=0.0, ge=0, examples=[0.01])
    """Decoupled weight decay of AdamW."""

    max_grad_norm: float = Field(default=1.0, gt=0, examples=[0.5])
    """Norm that gradients are clipped to."""

    max_length: int = Field(default=512, ge=8, examples=[1024])
    """Longest training row, in tokens of the model. Longer examples are left out and counted, never cut."""

    packing: bool = False
    """Whether several examples share a row of `max_length` tokens. They do not see each other."""

    loss: Literal["completion", "sequence"] = "completion"
    """What the loss is taken over: the answer (`completion`), or prompt and answer (`sequence`)."""

    validate_every: int | None = Field(default=None, ge=1, examples=[45])
    """Steps between two validations; the best checkpoint is kept. Without it there is no validation and the last
    weights are kept."""

    select_by: Literal["loss", "similarity"] = "loss"
    """Which checkpoint is the best: that of the lowest validation loss, or that whose greedy output is most like
    the references."""

    patience: int | None = Field(default=None, ge=1, examples=[3])
    """Validations without an improvement after which training stops. Needs `validate_every`."""

    min_delta: float = Field(default=0.0, ge=0, examples=[0.001])
    """What an improvement must exceed to count."""

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
