"""Trainings that are killed at any moment and begun again, until they end; `python killed_run.py JOBS.json`.

One decision: a child is forked from a process that has all imports, since these take ten times as long as the training,
and is killed by SIGKILL a random while after it left a checkpoint, whatever it does then, or, where a job asks for
that, every second time while it writes one. Each job's folder has `end.json` and `kills.json` at the end.
"""

import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from orchestrator.ledger.checkpoints import TrainingCheckpoints
from orchestrator.ledger.ledger import Ledger
from tasks.records import Example
from trainers.loop.resume import Resuming
from trainers.loop.train import Hooks, TrainingData, train
from trainers.spec import Runtime, TrainingSpec

KEY = "a" * 64
_CLOCK = ("time", "seconds", "tokens_per_s")


@dataclass(slots=True, kw_only=True)
class EverySteps(Resuming):
    """A checkpoint is due every so many steps, however fast they are."""

    steps: int
    seen: int = 0

    def due(self) -> bool:
        """Whether it is this step's turn."""
        self.seen += 1
        return self.seen % self.steps == 0


def one_try(job: dict[str, Any], micro_tokens: int) -> None:
    """Train until the end or until killed; what came of it goes to `end.json`."""
    folder, ledger = Path(job["folder"]), Ledger(Path(job["folder"]) / "ledger")
    attempt = ledger.begin(KEY)
    examples = [Example.model_validate(example) for example in job["examples"]]
    summary = train(
        TrainingSpec.model_validate(job["spec"]),
        data=TrainingData(train=examples[:24], validation=examples[24:]),
        out=attempt.folder,
        runtime=Runtime(device="cpu", micro_tokens=micro_tokens, gradient_checkpointing=job["checkpointing"]),
        hooks=Hooks(
            resuming=EverySteps(
                store=TrainingCheckpoints(ledger, KEY, attempt=attempt.id), every_s=0.0, steps=job["every_steps"]
            )
        ),
    )
    chunks = sorted((attempt.folder / "metrics").iterdir())
    rows = [json.loads(line) for chunk in chunks for line in chunk.read_text(encoding="utf-8").splitlines()]
    weights = next((attempt.folder / summary.weights).glob("*model.safetensors"))
    told = {
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "rows": [{name: value for name, value in row.items() if name not in _CLOCK} for row in rows],
        "steps": summary.steps,
        "best_step": summary.best_step,
        "checkpoints": len(ledger.store.children(f"stages/{KEY}/checkpoints/")),
    }
    (folder / "end.json").write_text(json.dumps(told), encoding="utf-8")


def until_the_end(job: dict[str, Any]) -> None:
    """Try again and again; kill as many tries as the job says, each a while after it has been at work."""
    folder, chance = Path(job["folder"]), random.Random(job["name"])
    folder.mkdir(parents=True)
    context, kills = multiprocessing.get_context("fork"), []
    for number in range(job["kills"] + 1):
        tokens = job["micro_tokens"][number % len(job["micro_tokens"])]
        process = context.Process(target=one_try, args=(job, tokens), daemon=True)
        process.start()
        if number < job["kills"]:
            before, begun, wanted = _whole(folder), _all(folder), chance.randint(1, 2)
            while process.is_alive() and len(set(_whole(folder)) - set(before)) < wanted:
                time.sleep(0.002)
            if job["in_writes"] and number % 2:
                while process.is_alive() and set(_all(folder)) - set(begun) <= set(_whole(folder)):
                    time.sleep(0.0002)
            else:
                process.join(timeout=chance.uniform(0.0, job["wait_s"]))
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                half = len(set(_all(folder)) - set(begun) - set(_whole(folder)))
                kills.append({"whole": _whole(folder), "half_written": half, "micro_tokens": tokens})
            process.join()
            if (folder / "end.json").exists():
                break
        else:
            process.join(timeout=1800)
            assert process.exitcode == 0, f"{job['name']} ended with {process.exitcode}"
    (folder / "kills.json").write_text(json.dumps(kills), encoding="utf-8")


def _whole(folder: Path) -> list[str]:
    return sorted(p.parent.name for p in (folder / "ledger" / "stages" / KEY / "checkpoints").glob("*/whole.json"))


def _all(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "ledger" / "stages" / KEY / "checkpoints").glob("*"))


def make_ready() -> None:
    """Import what a training imports, on one thread."""
    os.environ.update(DS_ACCELERATOR="cpu", LOCAL_RANK="0")
    import bitsandbytes.optim  # noqa: F401
    import deepspeed  # noqa: F401

    torch.set_num_threads(1)


def main() -> None:
    """Bring every job to its end."""
    make_ready()
    for job in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        until_the_end(job)


if __name__ == "__main__":
    main()
