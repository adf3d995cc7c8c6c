"""A whole study whose ledger is a bucket: run, damaged there, and mended from a machine that has no copies."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.ledger.ledger import Ledger
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study

pytestmark = pytest.mark.ray

STUDY = """
study: small
storage: {storage}
models: [builtin:micro]
data: {{train_limit: 16, test_limit: 3}}
tasks:
  generation/python: {{train: micro, test: micro}}
training: {{learning_rate: 5.0e-3, batch_size: 8, max_steps: 2}}
methods: {{lora: {{kind: lora}}}}
evaluation: {{quality: false, generation: {{max_new_tokens: 16}}}}
resources: {{generation_batch: 6, micro_tokens: 2048}}
"""


def run(path: Path, *, copies: Path) -> tuple[dict[str, int], str]:
    """Run the study; returns how many stages ran, and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "run", str(path), "--json"],
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=1000,
        check=False,
        env={**os.environ, "POLYTUNE_CACHE": str(copies)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["ran"], done.stderr


@pytest.mark.timeout(2400)
def test_study_on_an_object_store_runs_once_and_makes_anew_what_is_torn(s3: str, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(STUDY.format(storage=s3), encoding="utf-8")
    ran, _ = run(path, copies=tmp_path / "first")
    assert ran == {"train": 1, "generate": 1, "execute": 1, "score": 1}
    ledger, (trial,) = Ledger(s3), expand(load_study(path)).trials
    record = ledger.records_of(trial)["train"]
    name = next(name for name in record.outputs if name.endswith("adapter_model.safetensors"))
    ledger.store.write(f"stages/{record.key}/attempts/{record.attempt}/{name}", b"torn")
    assert "cut short (4 of" in ledger.find(trial).damaged["train"]
    ran, said = run(path, copies=tmp_path / "second")
    # The weights are those of before, and what was made from them is found again.
    assert ran == {"train": 1}
    assert f"micro/lora/seed0 train runs again, artifact damaged: {name} is cut short" in said
    assert set(ledger.records_of(trial)) == {"train", "generate", "execute", "score"}
    # A folder named after the address would be a ledger that went astray.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["first", "second", "small.yaml"]
