"""Trains a study's trials one after the other as the queue gives them, in little more memory than a quarter takes.

A program of its own, since a limit on memory is of a whole process. Prints what the queue said, as JSON.
"""

import json
import re
import sys
from pathlib import Path

import peft  # noqa: F401  (what a training imports is to be there before the limit is reckoned)
import torch  # noqa: F401
import transformers  # noqa: F401

from orchestrator.errors import StageFailed
from orchestrator.run.queue import TrainingQueue
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.resources import Resources
from orchestrator.study.trial import TrialSpec
from orchestrator.work.training import Place, train_trial

# On the built-in model 64 examples in one pass take between 500 and 700 MB more than the imports; a third of them fits.
_ROOM_MB = 500


def _private_mb() -> int:
    found = re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found
    return int(found[1]) // 1024


def main() -> None:
    """Train what the study file names."""
    study = load_study(Path(sys.argv[1]))
    resources = Resources(micro_tokens=32_768, trial_memory_mb=_private_mb() + _ROOM_MB)
    said: list[tuple[str, str, str]] = []

    def ended(trial: TrialSpec, failed: StageFailed | None, again: str) -> None:
        said.append((trial.label, failed.kind if failed else "", again))

    queue = TrainingQueue(expand(study).trials, resources=resources, ended=ended)
    while (order := queue.next()) is not None:
        failed = train_trial(order, Place(storage=study.storage, root=study.data.root))
        queue.end(order.trial, failed)
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
