"""What decides a trained model's weights, and, apart from it, how and where the training runs.

One decision: `TrainingSpec` is identity and `Runtime` is not. Two trainings of one spec are meant
to give one model, whatever the cut of a batch into passes, the threads or the device.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from models.projections import ALL_LINEAR
from models.spec import Device, ModelSpec
from tasks.records import Record, Settings
from trainers.methods.table import MethodKind, traits_of

_BATCH_SIZE = 16


class LoraSettings(Settings):
    """Low-rank adapters (Hu et al. 2021), of the kinds `lora` and `qlora`."""

    rank: int = Field(default=8, ge=1, examples=[16])
    """Rank of the two matrices that are trained beside each adapted projection."""

    alpha: int = Field(default=16, ge=1, examples=[32])
    """Scaling: what the adapter adds is multiplied by `alpha / rank`."""

    dropout: float = Field(default=0.1, ge=0.0, lt=1.0, examples=[0.05])
    """Share of the adapter's inputs that are dropped in training."""

    targets: Literal["all-linear"] | tuple[str, ...] = Field(default=ALL_LINEAR, examples=[["q_proj", "v_proj"]])
    """Projections that are adapted, in every layer: the last parts of their names, or `all-linear` for every linear
    layer but the output."""

    rank_pattern: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={}, examples=[{"down_proj": 16}], json_schema_extra={"since": 2}
    )
    """Ranks of single targets that differ from `rank`."""

    use_rslora: bool = Field(default=False, json_schema_extra={"since": 2})
    """Whether the adapter is scaled by `alpha / sqrt(rank)` (Kalajdzievski 2023)."""

    use_dora: bool = Field(default=False, json_schema_extra={"since": 2})
    """Whether magnitudes are trained apart from directions (Liu et al. 2024). Computed by peft itself, slower."""

    init: Literal["zero", "pissa"] = Field(default="zero", json_schema_extra={"since": 2})
    """What an adapter starts from: nothing, or the largest singular directions of each weight (`pissa`, Meng et al.
    2024), which is saved as a plain adapter of twice the rank."""

    modules_to_save: tuple[str, ...] = Field(default=(), examples=[["embed_tokens"]], json_schema_extra={"since": 2})
    """Modules that are trained whole beside the adapters."""

    @model_validator(mode="after")
    def _options_go_together(self) -> "LoraSettings":
        strangers = [name for name in self.rank_pattern if self.targets != ALL_LINEAR and name not in self.targets]
        if strangers:
            raise ValueError(f"lora.rank_pattern names {', '.join(strangers)}, which is not among lora.targets; add it")
        if self.init == "pissa" and (self.use_dora or self.modules_to_save):
            other = "use_dora" if self.use_dora else "modules_to_save"
            raise ValueError(f"lora.init: pissa is saved as a plain adapter, which has no place for {other}; drop one")
        return self

    def unfit_for(self, kind: MethodKind) -> str | None:
        """Why a kind of method cannot take these settings, with the remedy; None if it can."""
        if self.init == "pissa" and traits_of(kind).is_quantised:
            return "lora.init: pissa takes its start out of the base, which 4 bits cannot hold; use kind: lora"
        return None

    def on(self, names: tuple[str, ...] | None) -> "LoraSettings":
        """These settings with `all-linear` as the names of a model's linear layers, where those are known."""
        return self if self.targets != ALL_LINEAR or names is None else self.model_copy(update={"targets": names})

    def notes(self) -> tuple[str, ...]:
        """What these settings cost, for whoever plans: a line each."""
        slow = [name for name, used in (("use_dora", self.use_dora), ("modules_to_save", self.modules_to_save)) if used]
        lines = [f"lora.{name} is computed by peft itself: slower, with more memory a token" for name in slow]
        if self.use_dora and self.dropout:
            lines.append("lora.use_dora draws dropout from a stream, so how a batch is cut into passes changes it")
        if self.init == "pissa":
            lines.append(f"lora.init: pissa is saved as an adapter of rank {2 * self.rank}, twice lora.rank")
        return tuple(lines)


class MixtureSettings(Settings):
    """How much of each track a training sees: `together` alone has several tracks in one training."""

    strategy: Literal["concatenate", "temperature", "equal", "fixed"] = "concatenate"
    """`concatenate` takes the data as they are, shuffled together. `temperature` T gives a track of size n a share in
    proportion to n^(1/T), `equal` gives every track the same share, `fixed` the share of its weight in `weights`."""

    by: Literal["examples", "tokens"] = "examples"
    """What shares and sizes are of: examples, or tokens that carry loss."""

    temperature: float | None = Field(default=None, ge=1.0, examples=[2])
    """T of the strategy `temperature`: 1 is in proportion to size, more is more equal."""

    weights: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = Field(
        default=None, min_length=1, examples=[{"generation/python": 2, "summarization/python": 1}]
    )
    """Weight of each track with the strategy `fixed`."""

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
    """How much each track's loss weighs in what is minimised; `trainers.objective.balance` has the formulas."""

    loss: Literal["token_mean", "task_mean", "fixed", "coba"] = "token_mean"
    """`token_mean` weighs every loss-carrying token alike, `task_mean` every track alike, `fixed` by `weights`, `coba`
    by how fast each track's validation loss falls (Gong et al. 2024)."""

    weights: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = Field(
        default=None, min_length=1, examples=[{"generation/python": 2, "summarization/python": 1}]
    )
    """Weight of each track with `loss: fixed`."""

    window: int = Field(default=5, ge=2, examples=[8])
    """Validations over which `coba` looks at how a loss falls."""

    warmup: int = Field(default=2, ge=2, examples=[3])
    """Validations for which `coba` weighs all tracks alike."""

    sharpness: float = Field(default=5.0, gt=0, allow_inf_nan=False, examples=[1.0])
    """How readily `coba` turns to tracks that do not diverge (its tau)."""

    projection: bool = False
    """Whether what works against another track is taken out of each track's gradient, in an adapter's weights."""

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
    """Optimisation, counted in optimizer steps. Exactly one of `max_steps` and `epochs` says how long."""

    learning_rate: float = Field(default=1e-4, gt=0, examples=[5e-3])
    """Highest learning rate, reached after the warm-up."""

    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate goes on after the warm-up: down to 0 along a cosine or a line, or as it is."""

    warmup_steps: int = Field(default=0, ge=0, examples=[20])
    """Steps over which the learning rate rises from 0."""

    warmup_ratio: float | None = Field(default=None, ge=0, le=1, examples=[0.05], json_schema_extra={"since": 2})
    """Share of all steps over which the learning rate rises, in place of `warmup_steps`."""

    batch_size: int | None = Field(default=None, ge=1, examples=[32])
    """Examples of one optimizer step, over all processes; 16 unless this or `batch_tokens` is said. How a batch is cut
    into passes is `resources.micro_tokens`, which changes no number."""

    batch_tokens: int | None = Field(default=None, ge=1, examples=[16_384], json_schema_extra={"since": 2})
    """Tokens of one optimizer step, in place of `batch_size`: examples in order until they have so many."""

    max_steps: int | None = Field(default=None, ge=1, examples=[500])
    """Number of optimizer steps, whatever the number of examples."""

    epochs: float | None = Field(default=None, gt=0, examples=[1.2])
    """How often each example is seen. Together and apart then see a track's examples equally often."""

    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] = "adamw"
    """AdamW, with states of 32 bits or of 8 bits (by bitsandbytes), which may be paged out to the host."""

    adam_beta1: float = Field(default=0.9, ge=0, lt=1, examples=[0.9], json_schema_extra={"since": 2})
    """Decay of AdamW's mean of gradients."""

    adam_beta2: float = Field(default=0.999, ge=0, lt=1, examples=[0.95], json_schema_extra={"since": 2})
    """Decay of AdamW's mean of squared gradients."""

    precision: Literal["bf16", "fp32"] = "bf16"
    """Precision of weights and matrix products; with `fp32` all is 32-bit. Optimizer states and master weights have 32
    bits but for the 8-bit optimizers."""

    weight_decay: float = Field(default=0.0, ge=0, examples=[0.01])
    """Decoupled weight decay of AdamW."""

    max_grad_norm: float = Field(default=1.0, gt=0, examples=[0.5])
    """Norm that gradients are clipped to."""

    max_length: int = Field(default=512, ge=8, examples=[1024])
    """Longest example, in tokens of the model. Longer ones are left out and counted, never cut."""

    loss: Literal["completion", "sequence"] = "completion"
    """What the loss is taken over: the answer (`completion`), or prompt and answer (`sequence`)."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1, examples=[0.1], json_schema_extra={"since": 2})
    """Share of each target that is spread over all tokens, in training alone."""

    validate_every: int | None = Field(default=None, ge=1, examples=[45])
    """Steps between two validations; there is one at the end too, and the best checkpoint is kept. Without it there is
    no validation and the last weights are kept."""

    select_by: Literal["loss", "similarity"] = "loss"
    """Which checkpoint is the best: that of the lowest validation loss, or that whose greedy output is most like
    the references."""

    patience: int | None = Field(default=None, ge=1, examples=[3])
    """Validations without an improvement after which training stops. Needs `validate_every`."""

    min_delta: float = Field(default=0.0, ge=0, examples=[0.001])
    """What an improvement must exceed to count."""

    mixture: MixtureSettings = Field(
        default=MixtureSettings(), examples=[{"strategy": "equal"}], json_schema_extra={"since": 2}
    )
    """How much of each track a training of several tracks sees."""

    balance: BalanceSettings = Field(
        default=BalanceSettings(), examples=[{"loss": "task_mean"}], json_schema_extra={"since": 2}
    )
    """How much each track's loss weighs in what is minimised."""

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
        if self.lora is not None and (why := self.lora.unfit_for(self.kind)):
            raise ValueError(why)
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
    as 1, which is the same for one process. A checkpoint to go on from is left every `checkpoint_minutes`. `rows` is
    how examples go through the model as a probe found it; without one the model itself is tried at the start.
    """

    device: Device = "auto"
    threads: int = Field(default=1, ge=1)
    micro_tokens: int = Field(default=4096, ge=1)
    zero_stage: Literal[0, 1, 2, 3] = 2
    gradient_checkpointing: bool = False
    checkpoint_minutes: float = Field(default=10.0, ge=0)
    rows: Literal["flat", "single"] | None = None
