"""A model's sizes, and what is known by them.

One decision: the shapes of well-known models ship here, so a study can be planned without a network.
What is not known gives `Unknown` with a reason.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from models.locations import location_of
from models.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with where it comes from; a `guess` is from no measurement of its like."""

    value: float
    basis: str
    guess: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """No number, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A Qwen2-like decoder's sizes; `context` is its longest input in tokens, None where nothing tells it."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_value_heads: int
    vocabulary: int
    tied: bool
    context: int | None = None

    @property
    def linear_parameters(self) -> int:
        """Weights of the seven projections of all layers: what NF4 quantises and LoRA adapts."""
        key_value = self.hidden * self.key_value_heads // self.heads
        attention = 2 * self.hidden * self.hidden + 2 * self.hidden * key_value
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def embedding_parameters(self) -> int:
        """Input embedding and output layer, once if they are tied."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All weights but norms and biases, which are thousandths."""
        return self.linear_parameters + self.embedding_parameters

    def lora_parameters(self, rank: int) -> int:
        """Adapter weights on all seven projections: rank x (inputs + outputs) each."""
        key_value = self.hidden * self.key_value_heads // self.heads
        attention = 2 * (2 * self.hidden) + 2 * (self.hidden + key_value)
        return self.layers * rank * (attention + 3 * (self.hidden + self.intermediate))


# From the models' published config.json files.
_CODER = "Qwen/Qwen2.5-Coder-"
_SHAPES = {
    f"{_CODER}0.5B": Shape(
        layers=24,
        hidden=896,
        intermediate=4864,
        heads=14,
        key_value_heads=2,
        vocabulary=151_936,
        tied=True,
        context=32_768,
    ),
    f"{_CODER}1.5B": Shape(
        layers=28,
        hidden=1536,
        intermediate=8960,
        heads=12,
        key_value_heads=2,
        vocabulary=151_936,
        tied=True,
        context=32_768,
    ),
    f"{_CODER}3B": Shape(
        layers=36,
        hidden=2048,
        intermediate=11_008,
        heads=16,
        key_value_heads=2,
        vocabulary=151_936,
        tied=True,
        context=32_768,
    ),
    f"{_CODER}7B": Shape(
        layers=28,
        hidden=3584,
        intermediate=18_944,
        heads=28,
        key_value_heads=4,
        vocabulary=152_064,
        tied=False,
        context=32_768,
    ),
}


def has_preset(model: ModelSpec) -> bool:
    """Whether a model's shape ships here; those models are all Qwen2."""
    return model.name.removesuffix("-Instruct") in _SHAPES


def shape_of(model: ModelSpec) -> Shape | Unknown:
    """A model's shape: from its folder, or from the presets."""
    config = Path(location_of(model)) / "config.json"
    if config.is_file():
        raw = json.loads(config.read_text(encoding="utf-8"))
        try:
            return Shape(
                layers=raw["num_hidden_layers"],
                hidden=raw["hidden_size"],
                intermediate=raw["intermediate_size"],
                heads=raw["num_attention_heads"],
                key_value_heads=raw.get("num_key_value_heads", raw["num_attention_heads"]),
                vocabulary=raw["vocab_size"],
                tied=bool(raw.get("tie_word_embeddings", False)),
                context=raw.get("max_position_embeddings"),
            )
        except KeyError as missing:
            return Unknown(reason=f"{config.name} of {model.name} has no {missing}")
    return _SHAPES.get(model.name.removesuffix("-Instruct")) or Unknown(
        reason=f"no shape of {model.name} ships with polytune"
    )
