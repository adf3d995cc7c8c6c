"""What decides a trained model's weights, and, apart from it, how and where the training runs.

One decision: `TrainingSpec` is identity and `Runtime` is not. Two trainings of one spec are meant
to give one model, whatever the cut of a batch into passes, the threads or the device.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from models.spec import Device, ModelSpec
from tasks.records import Record, Settings
from trainers.methods.table import MethodKind, traits_of

_BATCH_SIZE = 16


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
    """Optimisation, in optimizer steps over a global batch of examples.

    A batch is `batch_size` examples, or examples in order until they have `batch_tokens` tokens; 16 examples unless
    one of the two is said. How it is cut into passes is runtime and changes no number. Exactly one of `max_steps`
    and `epochs` says how long. The rate rises over `warmup_steps` steps, or over a `warmup_ratio` of all steps.
    `loss` is taken over the answer (`completion`) or over prompt and answer (`sequence`), with `label_smoothing`
    in training. `precision` is that of weights and products in `bf16`, and all is 32-bit in `fp32`; optimizer
    states and master weights are 32-bit but for the 8-bit optimizers. Validation runs every `validate_every` steps
    and at the end; the best checkpoint by `select_by` is kept, and training stops after `patience` validations
    without an improvement of more than `min_delta`.
    """

    learning_rate: float = Field(default=1e-4, gt=0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    warmup_ratio: float | None = Field(default=None, ge=0, le=1, json_schema_extra={"since": 2})
    batch_size: int | None = Field(default=None, ge=1)
    batch_tokens: int | None = Field(default=None, ge=1, json_schema_extra={"since": 2})
    max_steps: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] = "adamw"
    adam_beta1: float = Field(default=0.9, ge=0, lt=1, json_schema_extra={"since": 2})
    adam_beta2: float = Field(default=0.999, ge=0, lt=1, json_schema_extra={"since": 2})
    precision: Literal["bf16", "fp32"] = "bf16"
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    max_length: int = Field(default=512, ge=8)
    loss: Literal["completion", "sequence"] = "completion"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, json_schema_extra={"since": 2})
    validate_every: int | None = Field(default=None, ge=1)
    select_by: Literal["loss", "similarity"] = "loss"
    patience: int | None = Field(default=None, ge=1)
    min_delta: float = Field(default=0.0, ge=0)
    mixture: MixtureSettings = Field(default=MixtureSettings(), json_schema_extra={"since": 2})
    balance: BalanceSettings = Field(default=BalanceSettings(), json_schema_extra={"since": 2})

    @model_validator(mode="before")
    @classmethod
    def _says_how_large_a_batch_is(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        if raw.get("batch_size") is None and raw.get("batch_tokens") is None:
            return {**raw, "batch_size": _BATCH_SIZE}
        return raw

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> "TrainingSettings":
        if (self.max_steps is None) == (self.epochs is None):
            raise ValueError("training needs exactly one of max_steps and epochs")
        if self.patience is not None and self.validate_every is None:
            raise ValueError("training.patience needs training.validate_every: nothing else counts it")
        if self.balance.loss == "coba" and self.validate_every is None:
            raise ValueError(
                "training.balance.loss is coba, which follows each track's validation loss; set training.validate_every"
            )
        if self.batch_size is not None and self.batch_tokens is not None:
            raise ValueError(
                f"batch_size {self.batch_size} and batch_tokens {self.batch_tokens} both say how large a batch is; "
                "leave one of the two out"
            )
        if self.warmup_steps and self.warmup_ratio is not None:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} and warmup_ratio {self.warmup_ratio:g} both say how long the rate "
                "rises; leave one of the two out"
            )
        if self.max_steps is not None and self.warmup_steps > self.max_steps:
            raise ValueError(warmup_conflict(self.warmup_steps, self.max_steps))
        return self


def warmup_conflict(warmup_steps: int, total_steps: int) -> str:
    """What is told of a warm-up that a training has not the steps for."""
    return (
        f"training.warmup_steps is {warmup_steps}, and the training has {total_steps} steps, so it would never reach "
        f"its rate; set at most {total_steps}, or training.warmup_ratio"
    )


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

    `micro_tokens` is how many tokens one forward pass holds on one process; an example that is longer is a pass
    alone. The global batch is reached by accumulation. `zero_stage` is DeepSpeed's, for full fine-tuning; 0 is run
    as 1, which is the same for one process. A checkpoint to go on from is left every `checkpoint_minutes`.
    """

    device: Device = "auto"
    threads: int = Field(default=1, ge=1)
    micro_tokens: int = Field(default=4096, ge=1)
    zero_stage: Literal[0, 1, 2, 3] = 2
    gradient_checkpointing: bool = False
    checkpoint_minutes: float = Field(default=10.0, ge=0)
