"""A training that is killed at random moments ends in the same bytes as one that never was."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.spec import ModelSpec
from tasks.micro import examples
from tasks.records import Track
from trainers.methods.full import missing_for_full
from trainers.methods.table import traits_of
from trainers.spec import LoraSettings, TrainingSettings, TrainingSpec

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("killed_run.py")
KILLS = 2
# Tensors of 4096 elements and more have moments of 8 bits.
LORA = LoraSettings(rank=64, alpha=64, dropout=0.1)
CASES = {
    "lora": ("lora", "adamw"),
    "lora, 8-bit moments": ("lora", "adamw_8bit"),
    "qlora": ("qlora", "adamw"),
    "qlora, 8-bit moments": ("qlora", "adamw_8bit"),
    "full": ("full", "adamw"),
}


def job(name: str, spec: TrainingSpec, folder: Path, **how: Any) -> dict[str, Any]:
    drawn = examples(Track.parse("generation/python"), split="validation")[:32]
    usual = {"kills": 0, "every_steps": 1, "micro_tokens": [512], "checkpointing": False}
    usual |= {"in_writes": False, "wait_s": 0.5}
    told = {"name": name, "folder": str(folder), "spec": spec.model_dump(mode="json")}
    return usual | how | told | {"examples": [example.model_dump(mode="json") for example in drawn]}


def ends(jobs: list[dict[str, Any]], listed: Path) -> list[dict[str, Any]]:
    listed.write_text(json.dumps(jobs), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(listed)], env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return [json.loads((Path(job["folder"]) / "end.json").read_text(encoding="utf-8")) for job in jobs]


def spec_of(tiny_base: Path, kind: str, **settings: Any) -> TrainingSpec:
    usual = {"learning_rate": 1e-2, "batch_size": 8, "max_steps": 8, "max_length": 256, "validate_every": 3}
    return TrainingSpec(
        model=ModelSpec(name=str(tiny_base)),
        kind=kind,
        lora=LORA if traits_of(kind).has_adapter else None,
        settings=TrainingSettings.model_validate(usual | settings),
    )


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", CASES)
def test_killed_training_ends_in_the_same_bytes_and_the_same_rows(case: str, tiny_base: Path, tmp_path: Path) -> None:
    kind, optimizer = CASES[case]
    missing = missing_for_full() if kind == "full" else None
    if missing:
        pytest.skip(missing)
    spec = spec_of(tiny_base, kind, optimizer=optimizer)
    jobs = [
        job("whole", spec, tmp_path / "whole"),
        job("killed", spec, tmp_path / "killed", kills=KILLS),
        job("killed, seldom kept", spec, tmp_path / "seldom", kills=1, every_steps=2),
    ]
    whole, *killed = ends(jobs, tmp_path / "jobs.json")
    assert whole["steps"] == 8
    assert whole["rows"][-1]["step"] == 8
    kept = [json.loads((tmp_path / name / "kills.json").read_text(encoding="utf-8")) for name in ("killed", "seldom")]
    # They were killed with something to go on from, and never was more kept than two and the one being dropped.
    assert all(0 < len(kill["whole"]) <= 3 for run in kept for kill in run)
    for end in killed:
        assert end == whole | {"checkpoints": end["checkpoints"]}


@pytest.mark.timeout(1200)
def test_training_that_goes_on_with_other_passes_comes_to_the_same_losses(tiny_base: Path, tmp_path: Path) -> None:
    """Sums come in another order, so not to the bit."""
    spec = spec_of(tiny_base, "lora", precision="fp32", learning_rate=1e-3)
    jobs = [
        job("whole", spec, tmp_path / "whole"),
        job("cut otherwise", spec, tmp_path / "otherwise", kills=KILLS, micro_tokens=[512, 64, 4096]),
    ]
    whole, otherwise = ends(jobs, tmp_path / "jobs.json")
    assert [row["step"] for row in otherwise["rows"]] == [row["step"] for row in whole["rows"]]
    for found, expected in zip(otherwise["rows"], whole["rows"], strict=True):
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-3), name
