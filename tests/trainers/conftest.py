"""What the trainers' tests share: the tiny base as a spec, its tokenizer, and examples of the built-in suite.

One decision: everything is trained for real, on a model so small that 30 steps take some seconds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.micro import examples
from tasks.records import Example, Track
from trainers.spec import LoraSettings, ModelSpec, Runtime, TrainingSettings, TrainingSpec

ExamplesOf = Callable[..., tuple[Example, ...]]
SpecOf = Callable[..., TrainingSpec]


@pytest.fixture(scope="session")
def examples_of() -> ExamplesOf:
    """Examples of a track by its name, from the small validation split, which is quickly drawn."""
    drawn: dict[str, tuple[Example, ...]] = {}

    def of(track: str = "generation/python", *, start: int = 0, count: int = 32) -> tuple[Example, ...]:
        if track not in drawn:
            drawn[track] = examples(Track.parse(track), split="validation")
        return drawn[track][start : start + count]

    return of


@pytest.fixture(scope="session")
def model_spec(tiny_base: Path) -> ModelSpec:
    """The tiny base."""
    return ModelSpec(name=str(tiny_base))


@pytest.fixture(scope="session")
def tokenizer(model_spec: ModelSpec) -> Any:
    """The tiny base's tokenizer."""
    from trainers.model import load_tokenizer

    return load_tokenizer(model_spec)


@pytest.fixture(scope="session")
def spec_of(model_spec: ModelSpec) -> SpecOf:
    """A short training of the tiny base; what is given replaces settings."""

    def of(kind: str = "lora", *, dropout: float = 0.0, **settings: Any) -> TrainingSpec:
        defaults = {"learning_rate": 1e-2, "batch_size": 8, "max_steps": 30, "max_length": 256}
        lora = None if kind == "full" else LoraSettings(rank=4, alpha=8, dropout=dropout)
        chosen = TrainingSettings.model_validate(defaults | settings)
        return TrainingSpec.model_validate({"model": model_spec, "kind": kind, "lora": lora, "settings": chosen})

    return of


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """The CPU, one thread."""
    return Runtime(device="cpu", micro_batch=8)
