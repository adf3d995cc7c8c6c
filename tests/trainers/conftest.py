"""What the trainers' tests share: examples of the built-in suite, and short trainings of the tiny base.

One decision: everything is trained for real, on a model so small that 30 steps take some seconds.
"""

from collections.abc import Callable
from typing import Any

import pytest

from models.spec import ModelSpec
from tasks.micro import examples
from tasks.records import Example, Track
from trainers.methods.table import traits_of
from trainers.spec import LoraSettings, Runtime, TrainingSettings, TrainingSpec

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
def spec_of(model_spec: ModelSpec) -> SpecOf:
    """A short training of the tiny base; what is given replaces settings."""

    def of(kind: str = "lora", *, dropout: float = 0.0, **settings: Any) -> TrainingSpec:
        defaults = {"learning_rate": 1e-2, "batch_size": 8, "max_steps": 30, "max_length": 256}
        lora = LoraSettings(rank=4, alpha=8, dropout=dropout) if traits_of(kind).has_adapter else None
        chosen = TrainingSettings.model_validate(defaults | settings)
        return TrainingSpec.model_validate({"model": model_spec, "kind": kind, "lora": lora, "settings": chosen})

    return of


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """The CPU, one thread."""
    return Runtime(device="cpu", micro_tokens=1024)
