"""What decides a trained model's weights, and, apart from it, how and where the training runs.

One decision: `TrainingSpec` is identity and `Runtime` is not. Two trainings of one spec are meant
to give one model, whatever the micro-batch, the threads or the device.
"""

from typing import Annotated, Literal

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


class MixtureSettings(Settings):
    """How much of each track a training sees: `together` alone has several tracks in one training.

    `concatenate` takes the data as they are, shuffled together. `temperature` T gives a track of size n a share in
    proportion to n^(1/T), `equal` gives every track the same share, `fixed` the share of its weight in `weights`.
    `by` says what shares and sizes are of: examples, or tokens that carry loss.
    """

    strategy: Literal["concatenate", "temperature", "equal", "fixed"] = "concatenate"
    by: Literal["examples", "tokens"] = "examples"
    temperature: float | None = Field(default=None, ge=1.0)
    weights: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _says_what_its_strategy_needs(self) -> "MixtureSettings":
        _only_with(self.strategy, "temperature", self.temperature, where="training.mixture")
        _only_with(self.strategy, "fixed", self.weights, where="training.mixture", setting="weights")
        if self.strategy == "concatenate" and self.by != "examples":
            raise ValueError(
                "training.mixture.by counts for nothing with strategy concatenate, which takes the data as they are; "
                "leave by out, or use strategy: temperature"
            )
        return self


class BalanceSettings(Settings):
    """How much each track's loss weighs in what is minimised; see `trainers.objective.balance` for the formulas.

    `token_mean` weighs every loss-carrying token alike, `task_mean` every track alike, `fixed` by `weights`, `coba` by
    how fast each track's validation loss falls: over the last `window` validations, equal weights for the first
    `warmup` of them, `sharpness` (tau) for how readily it turns to those that do not diverge. `projection` takes out
    of each track's gradient what works against another's, in an adapter's weights.
    """

    loss: Literal["token_mean", "task_mean", "fixed", "coba"] = "token_mean"
    weights: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = Field(default=None, min_length=1)
    window: int = Field(default=5, ge=2)
    warmup: int = Field(default=2, ge=2)
    sharpness: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    projection: bool = False

    @model_validator(mode="after")
    def _says_what_its_loss_needs(self) -> "BalanceSettings":
        _only_with(self.loss, "fixed", self.weights, where="training.balance", setting="weights")
        fields = type(self).model_fields
        idle = [name for name in ("window", "warmup", "sharpness") if getattr(self, name) != fields[name].default]
        if idle and self.loss != "coba":
            raise ValueError(f"training.balance.{idle[0]} is a setting of loss: coba; leave it out with {self.loss}")
        return self


def _only_with(chosen: str, value: str, given: object, *, where: str, setting: str = "") -> None:
    """A setting that one choice needs and the others have no use for.

    Raises:
        ValueError: if it is missing, or given with another choice.
    """
    setting = setting or value
    if chosen == value and given is None:
        raise ValueError(f"{where} says {value} and needs {where}.{setting}")
    if chosen != value and given is not None:
        raise ValueError(f"{where}.{setting} goes with {value} alone, got {chosen}; leave it out")


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
    mixture: MixtureSettings = Field(default=MixtureSettings(), json_schema_extra={"since": 2})
    balance: BalanceSettings = Field(default=BalanceSettings(), json_schema_extra={"since": 2})

    @model_validator(mode="after")
    def _says_how_long(self) -> "TrainingSettings":
        if (self.max_steps is None) == (self.epochs is None):
            raise ValueError("training needs exactly one of max_steps and epochs")
        if self.patience is not None and self.validate_every is None:
            raise ValueError("training.patience needs training.validate_every: nothing else counts it")
        if self.balance.loss == "coba" and self.validate_every is None:
            raise ValueError(
                "training.balance.loss is coba, which follows each track's validation loss; set training.validate_every"
            )
        if self.packing and self.mixture != MixtureSettings():
            raise ValueError("training.mixture mixes examples, and a packed row holds several; leave packing out")
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
        if self.settings.balance.projection and not traits.has_adapter:
            raise ValueError(
                f"training.balance.projection works on an adapter's weights, and kind {self.kind} trains all; "
                "leave it out, or use kind: lora"
            )
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
