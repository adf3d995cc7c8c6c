"""What a method's search may try: a space of settings, and the candidates that a seed draws from it.

One decision: candidates are a pure function of the study file, so a search that was cut off goes on with the
very same ones, and their trainings are found in the ledger like any other.
"""

import difflib
import itertools
import math
import random
from typing import Any, Literal, get_args

from pydantic import Field, JsonValue, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from tasks.records import Seed, Settings
from trainers.spec import LoraSettings, TrainingSettings

# What decides how long a training is or how it is judged cannot be tuned by how it is judged.
_TRAINING = (
    "learning_rate", "schedule", "warmup_steps", "warmup_ratio", "batch_size", "batch_tokens", "optimizer",
    "adam_beta1", "adam_beta2", "weight_decay", "max_grad_norm", "loss", "label_smoothing",
)  # fmt: skip
_LORA = ("rank", "alpha", "dropout", "targets")
# So many draws at random come before the first that learns from others, as is Optuna's default.
TPE_START = 10
KEYS = (*(f"training.{name}" for name in _TRAINING), *(f"lora.{name}" for name in _LORA))

Values = dict[str, JsonValue]


class Range(Settings):
    """What one setting may be: exactly one of two kinds of bounds and two kinds of list."""

    log_uniform: tuple[float, float] | None = Field(default=None, examples=[[1e-4, 1e-2]])
    """Two bounds, both included, above 0: drawn evenly on a logarithmic scale."""

    uniform: tuple[float, float] | None = Field(default=None, examples=[[0.0, 0.2]])
    """Two bounds, both included: drawn evenly between them."""

    choice: tuple[JsonValue, ...] | None = Field(default=None, min_length=1, examples=[[8, 16]])
    """A list of values: one is drawn."""

    grid: tuple[JsonValue, ...] | None = Field(default=None, min_length=1, examples=[[4, 8, 16]])
    """A list of values: all are tried, each with every draw of the rest."""

    @model_validator(mode="before")
    @classmethod
    def _is_not_fixed(cls, value: Any) -> Any:
        if isinstance(value, dict) and "fixed" in value:
            raise ValueError(f"the study fixes it to {value['fixed']!r} as well; leave one of the two out")
        return value

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Range":
        given = [name for name in ("log_uniform", "uniform", "choice", "grid") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a range is exactly one of log_uniform, uniform, choice and grid")
        bounds = self.log_uniform or self.uniform
        if bounds and not bounds[0] < bounds[1]:
            raise ValueError(f"the lower bound must be below the upper, got {list(bounds)}")
        if self.log_uniform and self.log_uniform[0] <= 0:
            raise ValueError(f"log_uniform needs bounds above 0, got {list(self.log_uniform)}")
        return self

    def draw(self, chance: random.Random) -> JsonValue:
        """A value at random."""
        if self.log_uniform:
            low, high = map(math.log, self.log_uniform)
            return math.exp(chance.uniform(low, high))
        if self.uniform:
            return chance.uniform(*self.uniform)
        return chance.choice(self.choice or self.grid or ())

    def extremes(self) -> tuple[JsonValue, ...]:
        """Values that must be allowed if every value is to be."""
        return self.log_uniform or self.uniform or self.choice or self.grid or ()


class Search(Settings):
    """A search for a method's best settings on the validation split.

    What wins is trained again as an ordinary trial, and it alone is tested.
    """

    algorithm: Literal["random", "asha", "tpe"] = "random"
    """`random` trains every draw to its end; `asha` stops those early that do worse than most (Li et al. 2020); `tpe`
    draws from where earlier ones did well (Bergstra et al. 2011, by Optuna)."""

    num_trials: int = Field(default=1, ge=1, examples=[9])
    """Draws that are made of what has bounds or a choice; each is combined with every point of the grids."""

    metric: Literal["validation/loss", "validation/similarity"] = "validation/loss"
    """What decides: the best value of a training, as its mean over `seeds`."""

    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1, examples=[[0, 1]])
    """Seeds that every candidate is trained with; the first also draws."""

    space: dict[str, Range] = Field(min_length=1, examples=[{"training.learning_rate": {"log_uniform": [1e-4, 1e-2]}}])
    """What may be tried, by setting. A setting that is searched is fixed nowhere else in the study."""

    chosen: SkipJsonSchema[dict[str, Values]] = Field(default_factory=dict)
    """What was found, by model and group of tracks; filled in when a search has ended."""

    @field_validator("space")
    @classmethod
    def _keys_are_known(cls, value: dict[str, Range]) -> dict[str, Range]:
        for key, entry in value.items():
            if key not in KEYS:
                close = difflib.get_close_matches(key, KEYS, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(KEYS)}"
                raise ValueError(f"{key} is nothing that can be searched; {hint}")
            bounds = entry.log_uniform or entry.uniform
            if bounds and not _is_number(key):
                raise ValueError(f"{key} is no number and has no bounds; write choice or grid")
            if entry.log_uniform and counts(key) and entry.log_uniform[0] < 1:
                raise ValueError(f"{key} is a whole number, so log_uniform begins at 1, got {entry.log_uniform[0]:g}")
        return value

    @model_validator(mode="after")
    def _draws_are_needed(self) -> "Search":
        if self.num_trials > 1 and all(entry.grid for entry in self.space.values()):
            raise ValueError("a space of grids alone is tried whole; leave num_trials out")
        if self.algorithm == "asha" and len(self.seeds) > 1:
            raise ValueError("asha compares trainings while they run, so it takes one of seeds")
        if self.algorithm == "tpe" and any(entry.grid for entry in self.space.values()):
            raise ValueError("tpe chooses by itself and tries no grid whole; write choice in place of grid")
        if self.algorithm == "tpe" and self.num_trials <= TPE_START:
            raise ValueError(
                f"tpe draws its first {TPE_START} at random, so it needs num_trials above that, got {self.num_trials}"
            )
        return self

    @property
    def lowest(self) -> bool:
        """Whether the lowest value of the metric is the best."""
        return self.metric == "validation/loss"

    @property
    def trainings(self) -> int:
        """How many trainings there are in all, for each model and group of tracks."""
        return len(self.seeds) * (self.num_trials if self.algorithm == "tpe" else len(self.candidates()))

    def candidates(self) -> tuple[Values, ...]:
        """The settings to try, in order; those drawn twice once. For `tpe` those that come before any is known."""
        chance = random.Random(f"search/{self.seeds[0]}")
        grids = {key: entry.grid for key, entry in self.space.items() if entry.grid}
        points = [dict(zip(grids, point, strict=True)) for point in itertools.product(*grids.values())]
        found: list[Values] = []
        for _ in range(TPE_START if self.algorithm == "tpe" else self.num_trials):
            drawn = {key: fit(key, entry.draw(chance)) for key, entry in self.space.items() if not entry.grid}
            found += [{**drawn, **point} for point in points]
        return tuple(values for i, values in enumerate(found) if values not in found[:i])


def fit(key: str, value: JsonValue) -> JsonValue:
    """A drawn number as its setting takes it: whole where it counts something."""
    return round(value) if counts(key) and isinstance(value, float) else value


def counts(key: str) -> bool:
    """Whether a setting is a whole number."""
    return _kind_of(key) is int


def _is_number(key: str) -> bool:
    return _kind_of(key) in (int, float)


def _kind_of(key: str) -> Any:
    room, _, name = key.partition(".")
    settings = TrainingSettings if room == "training" else LoraSettings
    kinds = [kind for kind in get_args(settings.model_fields[name].annotation) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 else settings.model_fields[name].annotation


def with_values(
    training: TrainingSettings, lora: LoraSettings | None, values: Values
) -> tuple[TrainingSettings, LoraSettings | None]:
    """Settings with a candidate's values in their places.

    Raises:
        ValidationError: if a value is not allowed there.
    """
    own: dict[str, Values] = {"training": {}, "lora": {}}
    for key, value in values.items():
        room, _, name = key.partition(".")
        own[room][name] = value
    # Of two ways to say how large a batch is, the one that was drawn counts.
    ways = {"batch_size": None, "batch_tokens": None} if own["training"].keys() & {"batch_size", "batch_tokens"} else {}
    tuned = TrainingSettings.model_validate({**training.model_dump(), **ways, **own["training"]})
    if not own["lora"]:
        return tuned, lora
    return tuned, LoraSettings.model_validate({**(lora or LoraSettings()).model_dump(), **own["lora"]})


__all__ = ["KEYS", "TPE_START", "Range", "Search", "Values", "counts", "fit", "with_values"]
