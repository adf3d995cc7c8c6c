"""Generations that are killed at any moment and begun again, until they end; `python killed_generation.py JOBS.json`.

One decision: a child is forked from a process that has all imports, since these take longer than the generation, and is
killed by SIGKILL a random while after it left a chunk, whatever it does then. What came of each job goes to `end.json`
in its folder.
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from small_studies import trial_of
from test_completions_kept import generate, items_in_chunks, study_of, written

from orchestrator.study.schema import Study


def until_the_end(job: dict[str, Any]) -> None:
    """Generate again and again, killed as many times as the job says; tell what was done."""
    folder, chance = Path(job["folder"]), random.Random(job["name"])
    folder.mkdir(parents=True)
    study = study_of(folder, **job["study"])
    there = [_killed(study, chance) for _ in range(job["kills"])]
    process = multiprocessing.get_context("fork").Process(target=_whole, args=(study, folder), daemon=True)
    process.start()
    process.join(timeout=300)
    assert process.exitcode == 0, f"{job['name']} ended with {process.exitcode}"
    end = json.loads((folder / "end.json").read_text(encoding="utf-8"))
    counts = items_in_chunks(study)
    told = {**end, "there": there, "items": len(counts), "most": max(counts.values())}
    (folder / "end.json").write_text(json.dumps(told), encoding="utf-8")


def _killed(study: Study, chance: random.Random) -> int:
    """A try that is killed after its first chunks; returns how many items were there then."""
    process = multiprocessing.get_context("fork").Process(target=generate, args=(study,), daemon=True)
    before, wanted = len(items_in_chunks(study)), chance.randint(1, 3)
    process.start()
    while process.is_alive() and len(items_in_chunks(study)) < before + wanted:
        time.sleep(0.01)
    process.join(timeout=chance.uniform(0.0, 0.1))
    if process.is_alive() and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return len(items_in_chunks(study))


def _whole(study: Study, folder: Path) -> None:
    counts = generate(study)
    texts = [completion.model_dump() for completion in written(study, trial_of(study, "frozen"))]
    (folder / "end.json").write_text(json.dumps({"counts": counts, "completions": texts}), encoding="utf-8")


def main() -> None:
    """Bring every job to its end."""
    import evaluators.generation.transformers_engine  # noqa: F401

    torch.set_num_threads(1)
    for job in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        until_the_end(job)


if __name__ == "__main__":
    main()
