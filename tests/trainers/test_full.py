"""Full fine-tuning under ZeRO: it learns, its checkpoint is what was trained, and how it ran changes nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from models.loading import load_base
from models.spec import ModelSpec
from tasks.records import Example
from tests.trainers.plain_loss import plain_loss
from trainers.loop.summary import TrainingSummary
from trainers.methods.full import missing_for_full
from trainers.spec import Runtime

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
TRACK = "generation/python"
LAUNCHER = Path(__file__).with_name("zero_run.py")
ROOT = Path(__file__).parents[2]
needs_compiler = pytest.mark.skipif(missing_for_full() is not None, reason=str(missing_for_full()))


def launch(groups: Sequence[dict[str, Any]], *, folder: Path) -> None:
    """Train the jobs of each group, in as many processes as it says."""
    listed = folder / "groups.json"
    listed.write_text(json.dumps(groups), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "LOCAL_RANK": "0"}
    done = subprocess.run(
        [sys.executable, str(LAUNCHER), str(listed)], env=environment, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr[-6000:]


@pytest.fixture(scope="module")
def examples(examples_of: Any) -> tuple[Example, ...]:
    found: tuple[Example, ...] = examples_of(TRACK, count=32)
    return found


def job(spec: Any, examples: Sequence[Example], *, out: Path, **runtime: Any) -> dict[str, Any]:
    return {
        "spec": spec.model_dump(mode="json"),
        "examples": [example.model_dump(mode="json") for example in examples],
        "out": str(out),
        "runtime": Runtime(device="cpu", **runtime).model_dump(mode="json"),
    }


Runs = dict[str, tuple[TrainingSummary, Path]]


@pytest.fixture(scope="module")
def runs(spec_of: Any, examples: tuple[Example, ...], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """One longer training, and short ones of one spec that differ in how they run."""
    folder = tmp_path_factory.mktemp("full")
    long = spec_of("full", learning_rate=3e-3, max_steps=15, validate_every=5)
    short = spec_of("full", learning_rate=1e-2, max_steps=3, precision="fp32")
    alone = {
        "long": job(long, examples, out=folder / "long", zero_stage=2, micro_tokens=2048),
        "stage 2": job(short, examples, out=folder / "stage 2", zero_stage=2, micro_tokens=2048),
        "small passes": job(short, examples, out=folder / "small passes", zero_stage=2, micro_tokens=256),
        "stage 0": job(short, examples, out=folder / "stage 0", zero_stage=0, micro_tokens=2048),
        "stage 3": job(short, examples, out=folder / "stage 3", zero_stage=3, micro_tokens=2048),
    }
    shared = {"two processes": job(short, examples, out=folder / "two processes", zero_stage=2, micro_tokens=256)}
    launch([{"world": 1, "jobs": list(alone.values())}, {"world": 2, "jobs": list(shared.values())}], folder=folder)
    found: Runs = {}
    for name in (*alone, *shared):
        summary = TrainingSummary.model_validate_json((folder / name / "summary.json").read_text(encoding="utf-8"))
        found[name] = summary, folder / name / summary.weights
    return found


@needs_compiler
def test_full_training_lowers_the_loss_of_all_weights(runs: Runs) -> None:
    summary, _ = runs["long"]
    assert summary.last_loss < 0.8 * summary.first_loss
    assert summary.trainable_parameters == summary.total_parameters > 150_000
    assert summary.best_value is not None


@needs_compiler
def test_full_checkpoint_read_back_has_the_loss_that_was_trained(
    runs: Runs, examples: tuple[Example, ...], model_spec: ModelSpec, tokenizer: Any
) -> None:
    summary, weights = runs["long"]
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= {path.name for path in weights.iterdir()}
    model = load_base(model_spec, precision="fp32", device=CPU, weights=weights)
    assert plain_loss(model, examples[24:], tokenizer) == pytest.approx(summary.best_value, abs=2e-2)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


@needs_compiler
@pytest.mark.parametrize("how", ["small passes", "stage 0", "stage 3", "two processes"])
def test_how_a_full_training_runs_changes_no_weight(runs: Runs, model_spec: ModelSpec, how: str) -> None:
    def parameters(name: str) -> dict[str, torch.Tensor]:
        model = load_base(model_spec, precision="fp32", device=CPU, weights=runs[name][1])
        return dict(model.named_parameters())

    usual, other = parameters("stage 2"), parameters(how)
    before = dict(load_base(model_spec, precision="fp32", device=CPU).named_parameters())
    for name, tensor in usual.items():
        assert (tensor != before[name]).float().mean() > 0.5, name
        # Adam divides by the root of a square, so what rounding adds to a small gradient grows with it.
        torch.testing.assert_close(tensor, other[name], rtol=1e-5, atol=1e-4)
    assert runs[how][0].total_parameters == runs["stage 2"][0].total_parameters


@needs_compiler
@pytest.mark.parametrize(("how", "dtype"), [("long", torch.bfloat16), ("stage 2", torch.float32)])
def test_weights_are_kept_in_the_precision_that_they_were_trained_in(runs: Runs, how: str, dtype: torch.dtype) -> None:
    assert {tensor.dtype for tensor in load_file(runs[how][1] / "model.safetensors").values()} == {dtype}


def test_missing_compiler_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_for_full() == ("no g++, which DeepSpeed compiles with; install one with: apt-get install g++")
