"""Full fine-tuning as a launcher runs it: groups of processes that train the same jobs together.

One decision: a process of its own, because DeepSpeed and the process group are global to a process
and would outlive the test; and the members of a group are forked from it, since the imports take
ten times as long as the training. `python zero_run.py GROUPS.json` trains each group's jobs (a spec,
its data, a runtime, a folder) in turn; `summary.json` in a job's folder says what was done.
"""

import json
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

from tasks.records import Example
from trainers.spec import Runtime, TrainingSpec


def train_jobs(jobs: list[dict[str, Any]], *, rank: int, world: int, store: str) -> None:
    """What one member of a group does; a group of one leaves it to the trainer to form it."""
    import torch

    from trainers.loop.train import Hooks, TrainingData, train

    if world > 1:
        torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    for job in jobs:
        examples = [Example.model_validate(example) for example in job["examples"]]
        summary = train(
            TrainingSpec.model_validate(job["spec"]),
            data=TrainingData(train=examples[:24], validation=examples[24:]),
            out=Path(job["out"]),
            runtime=Runtime.model_validate(job["runtime"]),
            hooks=Hooks(),
        )
        if rank == 0:
            (Path(job["out"]) / "summary.json").write_text(summary.model_dump_json(), encoding="utf-8")
    torch.distributed.destroy_process_group()


def main() -> None:
    """Train every group; the exit status says whether all of their members came to their end."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed  # noqa: F401

    import trainers.loop.train  # noqa: F401

    listed, failed = Path(sys.argv[1]), False
    context = multiprocessing.get_context("fork")
    for number, group in enumerate(json.loads(listed.read_text(encoding="utf-8"))):
        shared = {"world": group["world"], "store": str(listed.with_name(f"store-{number}"))}
        members = [
            context.Process(target=train_jobs, args=(group["jobs"],), kwargs={"rank": rank, **shared}, daemon=True)
            for rank in range(group["world"])
        ]
        for member in members:
            member.start()
        for member in members:
            member.join(timeout=100)
        failed = failed or any(member.exitcode != 0 for member in members)
    sys.exit(failed)


if __name__ == "__main__":
    main()
