"""A generation that is killed at random moments writes what one that never was writes, and keeps no item twice."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("killed_generation.py")
SEEDS = range(10)
KILLS = 2
PROBLEMS = 64
DECODING = {
    "greedy": {"max_new_tokens": 16},
    "drawn": {"max_new_tokens": 16, "temperature": 1.0, "samples": 2},
}


@pytest.mark.timeout(1200)
def test_killed_generation_ends_in_the_same_completions_and_keeps_none_twice(tiny_base: Path, tmp_path: Path) -> None:
    def job(name: str, decoding: str, kills: int) -> dict[str, Any]:
        evaluation = {"quality": False, "generation": DECODING[decoding]}
        resources = {"generation_batch": 1, "micro_tokens": 1024}
        study = {"model": str(tiny_base), "problems": PROBLEMS, "evaluation": evaluation, "resources": resources}
        return {"name": name, "folder": str(tmp_path / name), "kills": kills, "study": study}

    kinds = [list(DECODING)[seed % 2] for seed in SEEDS]
    jobs = [job(name, name, 0) for name in DECODING] + [job(f"seed {s}", kinds[s], KILLS) for s in SEEDS]
    listed = tmp_path / "jobs.json"
    listed.write_text(json.dumps(jobs), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parent), *sys.path])}
    done = subprocess.run([sys.executable, str(SCRIPT), str(listed)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-6000:]
    ends = {j["name"]: json.loads((Path(j["folder"]) / "end.json").read_text(encoding="utf-8")) for j in jobs}
    for seed in SEEDS:
        end, whole = ends[f"seed {seed}"], ends[kinds[seed]]
        print(f"seed {seed}, {kinds[seed]}: there at kills {end['there']}, then {end['counts']['frozen']}")
        assert end["completions"] == whole["completions"]
        assert (end["items"], end["most"]) == (len(whole["completions"]), 1)
        assert end["counts"]["frozen"]["known"] == end["there"][-1] > 0
