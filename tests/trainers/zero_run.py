"""Full fine-tuning as a launcher runs it: one process of a group that the launcher has formed.

One decision: a process of its own, because DeepSpeed and the process group are global to a process
and would outlive the test. `python zero_run.py JOBS.json RANK WORLD STORE` trains each job (a spec,
its data, a runtime, a folder) in turn and prints the summaries as one JSON line.
"""

import json
import sys
import warnings
from pathlib import Path

from tasks.records import Example
from trainers.spec import Runtime, TrainingSpec


def main() -> None:
    """Train every job and print what was done."""
    import torch

    from trainers.train import Hooks, TrainingData, train

    jobs, rank, world, store = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    if world > 1:
        torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    found = []
    for job in json.loads(jobs.read_text(encoding="utf-8")):
        examples = [Example.model_validate(example) for example in job["examples"]]
        summary = train(
            TrainingSpec.model_validate(job["spec"]),
            data=TrainingData(train=examples[:24], validation=examples[24:]),
            out=Path(job["out"]),
            runtime=Runtime.model_validate(job["runtime"]),
            hooks=Hooks(),
        )
        found.append(summary.model_dump())
    print(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    # As in the tests' own process: only what third parties do wrong is let through.
    warnings.simplefilter("default")
    main()
