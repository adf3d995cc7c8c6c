"""The table of methods: every kind has a row, and what is asked of a row can be had."""

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError

from models.quantised import layers_4bit
from models.spec import Precision
from trainers.methods.build import BUILDERS
from trainers.methods.dropout import DropoutKey
from trainers.methods.lora import adapted
from trainers.methods.table import METHODS, EngineName, MethodKind, Trained, processes_of, traits_of
from trainers.spec import LoraSettings, Runtime, TrainingSpec

ROOT = Path(__file__).parents[2]


def test_every_kind_has_a_row_and_every_engine_is_built() -> None:
    assert list(METHODS) == list(MethodKind)
    assert list(BUILDERS) == list(EngineName)


@pytest.mark.parametrize("kind", MethodKind)
def test_row_is_whole(kind: MethodKind) -> None:
    traits = traits_of(kind)
    assert traits.is_trained is (traits.engine is not None) is (traits.trained is not Trained.NOTHING)
    assert {traits.on_cpu, traits.on_cuda} <= set(get_args(Precision))
    assert traits.title
    assert processes_of(kind, full_workers=3) == (3 if traits.in_many_processes else 1)


def test_kind_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="'dora' is not a valid MethodKind"):
        traits_of("dora")


@pytest.mark.parametrize("kind", [kind for kind, traits in METHODS.items() if traits.has_adapter])
def test_every_kind_with_an_adapter_is_made_in_the_precision_that_its_row_says(
    kind: MethodKind, spec_of: Any, runtime: Runtime
) -> None:
    model = adapted(spec_of(kind), runtime=runtime, key=DropoutKey(seed=0))
    assert bool(layers_4bit(model)) is (traits_of(kind).on_cpu == "nf4")
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}


@pytest.mark.parametrize("kind", MethodKind)
def test_spec_of_a_training_fits_its_kind(kind: MethodKind, spec_of: Any) -> None:
    plain = {**spec_of().model_dump(), "kind": kind, "lora": None}
    traits = traits_of(kind)
    if traits.has_own_weights:
        assert TrainingSpec.model_validate(plain).kind is kind
        return
    with pytest.raises(ValidationError, match="needs lora settings" if traits.has_adapter else "is not trained"):
        TrainingSpec.model_validate(plain)
    if traits.has_adapter:
        assert TrainingSpec.model_validate({**plain, "lora": LoraSettings()}).kind is kind


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("trainers.methods.table, trainers.memory, evaluators.generation.settings", ("torch", "transformers")),
        ("trainers.engines.adapters, trainers.loop.train", ("peft", "bitsandbytes", "deepspeed")),
        ("trainers.loop.train, trainers.engines.zero, trainers.methods.full", ("peft", "bitsandbytes")),
    ],
)  # fmt: skip
def test_what_a_training_does_not_use_is_not_imported_for_it(modules: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {modules}\nprint(*(name for name in {absent!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
