"""The look at real weights before the first step: right ones pass, a head that training would miss does not."""

from pathlib import Path
from typing import Any

import pytest
import torch

import models.flat
import trainers.objective.token_losses as token_losses
from trainers.loop.train import Hooks, TrainingData, train
from trainers.spec import Runtime


@pytest.mark.parametrize("rows", ["flat", "single"])
def test_training_begins_where_its_loss_is_the_models_own(
    rows: Any, tmp_path: Path, spec_of: Any, examples_of: Any
) -> None:
    spec = spec_of(max_steps=1, precision="fp32")
    runtime = Runtime(device="cpu", rows=rows)
    summary = train(spec, data=TrainingData(train=examples_of()), out=tmp_path, runtime=runtime, hooks=Hooks())
    assert summary.rows == rows


def test_training_with_a_loss_that_is_not_the_models_own_never_begins(
    tmp_path: Path, spec_of: Any, examples_of: Any, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def halved(model: Any, hidden_ND: torch.Tensor) -> torch.Tensor:
        return models.flat.own_logits(model, hidden_ND) / 2

    monkeypatch.setattr(token_losses, "own_logits", halved)
    with pytest.raises(ValueError, match=r"a loss of \d\.\d+ nats a token on 3 examples where the model itself gives"):
        train(spec_of(), data=TrainingData(train=examples_of()), out=tmp_path, runtime=runtime, hooks=Hooks())
    assert not list(tmp_path.glob("**/*.safetensors"))
