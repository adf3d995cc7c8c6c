"""What decides a trained model's weights, and, apart from it, how and where the training runs.

One decision: `TrainingSpec` is identity and `Runtime` is not. Two trainings of one spec are meant
to give one model, whatever the micro-batch, the threads or the device.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.projections import ALL_LINEAR
from models.spec import Device, ModelSpec
from tasks.records import Record
from trainers.methods.table import MethodKind, traits_of


class LoraSettings(Record):
    """Low-rank adapters (Hu et al. 2021): rank, scaling alpha / rank, dropout, adapted projections.

    `targets` are last parts of layers' names, or `all-linear`: every linear layer but the output. `rank_pattern` gives
    some of them another rank, `use_rslora` scales by alpha / sqrt(rank) (Kalajdzievski 2023), `use_dora` trains
    magnitudes apart from directions (Liu et al. 2024). `init: pissa` starts from the largest singular directions of
    each weight (Meng et al. 2024) and is saved as a plain adapter of twice the rank. `modules_to_save` are trained
    whole beside the adapters.
    """

    rank: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    targets: Literal["all-linear"] | tuple[str, ...] = ALL_LINEAR
    rank_pattern: dict[str, Annotated[int, Field(ge=1)]] = Field(default={}, json_schema_extra={"since": 2})
    use_rslora: bool = Field(default=False, json_schema_extra={"since": 2})
    use_dora: bool = Field(default=False, json_schema_extra={"since": 2})
    init: Literal["zero", "pissa"] = Field(default="zero", json_schema_extra={"since": 2})
    modules_to_save: tuple[str, ...] = Field(default=(), json_schema_extra={"since": 2})

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


class TrainingSettings(Record):
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
        if self.lora is not None and (why := self.lora.unfit_for(self.kind)):
            raise ValueError(why)
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
