"""The gradients of one global batch, by as many processes as are asked for, for a comparison in the test.

One decision: the loop's own function accumulates them over its own rows and shares, and they are read off weights
that plain gradient descent changed by one step, whatever an engine does with gradients. `python gradient_run.py
JOB.json` leaves, for each of the job's runs, the gradients by name and the sums by track that the first process has.
"""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from models.loading import load_tokenizer
from tasks.records import Example
from trainers.engines import adapters, zero
from trainers.footing import Footing
from trainers.loop.log import MetricLog
from trainers.loop.plan import Plan, TrainingData, plan_of
from trainers.loop.services import Services
from trainers.loop.train import _accumulated
from trainers.methods.build import build_engine
from trainers.objective.balance import token_mean
from trainers.objective.token_losses import counts_of
from trainers.spec import Runtime, TrainingSettings, TrainingSpec

# High, so that what is read off does not drown in the rounding of weights near 1.
_RATE = 1e3


def gradients_of(spec: TrainingSpec, examples: list[Example], runtime: Runtime, out: Path) -> dict[str, Any]:
    """Gradients by name, and loss sums by track, of the first batch; adapters' B matrices are not zero."""
    plan = plan_of(spec, TrainingData(train=examples), load_tokenizer(spec.model))
    usual = zero.optimizer_for, adapters.optimizer_for
    zero.optimizer_for = adapters.optimizer_for = _descent
    try:
        engine, _ = build_engine(spec, runtime=runtime, num_tracks=len(plan.tracks))
    finally:
        # Whatever else is trained in this process is trained as ever.
        zero.optimizer_for, adapters.optimizer_for = usual
    model = engine._model if spec.kind == "full" else engine._shared.model
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    before = {
        name: parameter.detach().clone() for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    sums = _sums(plan, engine, runtime, out)
    norm = engine.step(learning_rate=_RATE)
    after = dict(model.named_parameters())
    found = {name: (tensor - after[name].detach()) / _RATE for name, tensor in before.items()}
    return {"gradients": found, "sums": sums, "norm": torch.tensor(norm)}


def _descent(parameters: Iterable[torch.nn.Parameter], *, settings: TrainingSettings) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=1.0)


def _sums(plan: Plan, engine: Any, runtime: Runtime, out: Path) -> torch.Tensor:
    log = MetricLog(folder=out, report=lambda row: None, active=False, total_steps=1)
    services = Services(
        engine=engine,
        footing=Footing(),
        log=log,
        judge=None,
        out=out,
        micro_tokens=runtime.micro_tokens,
        resuming=None,
        started=time.monotonic(),
    )
    chosen = next(plan.order())
    batch = [plan.train[number] for number in chosen]
    weights = token_mean(counts_of(batch, plan.tracks))
    return _accumulated(plan, services, batch, keys=chosen, weights=weights)


def member(job: dict[str, Any], run: dict[str, Any], *, rank: int, store: str) -> None:
    """What one process of a run does."""
    if run["world"] > 1:
        torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=run["world"])
    found = gradients_of(
        TrainingSpec.model_validate(job["spec"]),
        [Example.model_validate(example) for example in job["examples"]],
        Runtime(device="cpu", micro_tokens=run["micro_tokens"]),
        Path(run["out"]).parent,
    )
    if rank == 0:
        torch.save(found, run["out"])


def main() -> None:
    """Do all runs; the exit status says whether their members came to their end."""
    os.environ.update(DS_ACCELERATOR="cpu", LOCAL_RANK="0")
    import deepspeed  # noqa: F401

    job, failed = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), False
    context = multiprocessing.get_context("fork")
    for number, run in enumerate(job["runs"]):
        told = {"store": f"{sys.argv[1]}.store-{number}"}
        members = [
            context.Process(target=member, args=(job, run), kwargs={"rank": rank, **told}, daemon=True)
            for rank in range(run["world"])
        ]
        for process in members:
            process.start()
        for process in members:
            process.join(timeout=100)
        failed = failed or any(process.exitcode != 0 for process in members)
    sys.exit(failed)


if __name__ == "__main__":
    main()
