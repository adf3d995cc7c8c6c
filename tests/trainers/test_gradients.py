"""Gradients and logged losses of a global batch: the same however it is cut, and however many processes share it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainers.gradient_run import gradients_of
from trainers.methods.full import missing_for_full
from trainers.spec import Runtime, TrainingSpec

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("gradient_run.py")
TRACKS = ("generation/python", "summarization/java")
needs_compiler = pytest.mark.skipif(missing_for_full() is not None, reason=str(missing_for_full()))
# Dropout knows each token, so masks are the same under any cut.
RATES = (0.0, 0.1)


@pytest.fixture(scope="module")
def examples(examples_of: Any) -> list[Any]:
    return [example for track in TRACKS for example in examples_of(track, count=9)]


def assert_equal(found: dict[str, Any], expected: dict[str, Any], *, within: float) -> None:
    torch.testing.assert_close(found["sums"], expected["sums"], rtol=within, atol=0.0)
    torch.testing.assert_close(found["norm"], expected["norm"], rtol=within, atol=0.0)
    assert set(found["gradients"]) == set(expected["gradients"])
    largest = max(float(tensor.abs().max()) for tensor in expected["gradients"].values())
    assert largest > 0
    for name, tensor in expected["gradients"].items():
        assert float((found["gradients"][name] - tensor).abs().max()) <= within * largest, name


@pytest.mark.parametrize("dropout", RATES)
def test_cut_of_a_batch_changes_no_gradient(spec_of: Any, examples: list[Any], tmp_path: Path, dropout: float) -> None:
    spec = spec_of("lora", dropout=dropout, precision="fp32", batch_size=16, max_grad_norm=1e9)
    found = {
        size: gradients_of(spec, examples, Runtime(device="cpu", micro_tokens=size), tmp_path)
        for size in (64, 512, 100_000)
    }
    for size in (64, 512):
        assert_equal(found[size], found[100_000], within=1e-6)


def run(spec: TrainingSpec, examples: list[Any], folder: Path, *, worlds: tuple[int, ...]) -> list[dict[str, Any]]:
    """Gradients by each number of processes; each of a number of tokens a pass of its own."""
    runs = [
        {"world": world, "micro_tokens": 2048 // world**3, "out": str(folder / f"by-{world}.pt")} for world in worlds
    ]
    job = {
        "spec": spec.model_dump(mode="json"),
        "examples": [example.model_dump(mode="json") for example in examples],
        "runs": runs,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder / "job.json")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return [torch.load(run["out"], weights_only=True) for run in runs]


@needs_compiler
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_processes_share_a_batch_without_changing_its_gradients_or_its_loss(
    spec_of: Any, examples: list[Any], tmp_path: Path, kind: str
) -> None:
    """An odd number of rows, so that one process has one more."""
    alone, shared = run(
        spec_of(kind, precision="fp32", batch_size=15, max_grad_norm=1e9), examples, tmp_path, worlds=(1, 2)
    )
    assert_equal(shared, alone, within=1e-6)
