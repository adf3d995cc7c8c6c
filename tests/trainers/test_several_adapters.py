"""Adapters that are trained in turn on one base: each comes out as it does alone."""

from typing import Any

import pytest
import torch

from trainers.batches.rows import encode, lay_flat
from trainers.engines.adapters import ONLY, AdapterEngine, SharedBase
from trainers.methods.dropout import DropoutKey
from trainers.methods.lora import adapted, join
from trainers.objective.balance import token_mean
from trainers.objective.token_losses import counts_of
from trainers.spec import Runtime

pytestmark = pytest.mark.slow

TRACK = "generation/python"


def step(engine: AdapterEngine, examples: Any) -> float:
    row = lay_flat(examples, keys=range(len(examples)), tracks=(TRACK,), pad=0)
    engine.accumulate(row, token_mean(counts_of(examples, (TRACK,))), last=True)
    return engine.step(learning_rate=1e-2)


def weights_of(engine: AdapterEngine) -> list[torch.Tensor]:
    return [tensor.detach().clone() for tensor in engine._trained.values()]


@pytest.mark.parametrize("kind", ["lora", "qlora"])
def test_adapters_that_share_a_base_come_out_as_they_do_alone(
    kind: str, spec_of: Any, examples_of: Any, tokenizer: Any, runtime: Runtime
) -> None:
    specs = [spec_of(kind, dropout=0.1).model_copy(update={"seed": seed}) for seed in (0, 7)]
    encoded = encode(examples_of(TRACK, count=8), tokenizer, settings=specs[0].settings).examples
    batches = [encoded[:4], encoded[4:]]

    def engine_alone(spec: Any) -> AdapterEngine:
        key = DropoutKey(seed=spec.seed)
        shared = SharedBase(adapted(spec, runtime=runtime, key=key), flat=True, key=key)
        return shared.join(spec.settings, num_tracks=1, seed=spec.seed)

    alone = []
    for spec, batch in zip(specs, batches, strict=True):
        engine = engine_alone(spec)
        norms = [step(engine, batch) for _ in range(3)]
        alone.append((norms, weights_of(engine)))
    key = DropoutKey(seed=0)
    model = adapted(specs[0], runtime=runtime, key=key)
    join(model, specs[1], name="second", key=key)
    shared = SharedBase(model, flat=True, key=key)
    engines = [
        shared.join(spec.settings, num_tracks=1, seed=spec.seed, name=name)
        for spec, name in zip(specs, (ONLY, "second"), strict=True)
    ]
    found = [[step(engine, batch) for engine, batch in zip(engines, batches, strict=True)] for _ in range(3)]
    for number, (norms, weights) in enumerate(alone):
        assert [row[number] for row in found] == norms
        for mine, other in zip(weights_of(engines[number]), weights, strict=True):
            assert torch.equal(mine, other)
    assert engines[0].parameters() == engine_alone(specs[0]).parameters()
