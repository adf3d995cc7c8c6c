"""Eight adapters over one base, through the real driver: how long, and how often the base is read. On a CPU.

    python -m benchmarks.adapters [--adapters 8] [--generators 1] [--steps 4] [--each 25]

A study of as many adapters of the built-in model, each trained for a few steps, is run from an empty ledger to its last
score. What is printed was recorded by the study itself. Without a base that stays, each trial's generation would read
it again, so there would be as many reads as adapters; the aim is one a process. One JSON object.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.ledger.studies import ledger_of
from orchestrator.run.driver import run_study
from orchestrator.study.cells import Cells, expand
from orchestrator.study.plainform import plain_form
from orchestrator.study.schema import validate
from orchestrator.study.stages import StageName

TRACKS = ("generation/python", "summarization/python")


def study_of(storage: Path, *, adapters: int, generators: int, steps: int, each: int) -> Cells:
    """So many adapters that differ in their learning rate, so that each has weights of its own."""
    methods = {
        f"adapter{number}": {"kind": "lora", "training": {"learning_rate": 1e-3 * (number + 1)}}
        for number in range(adapters)
    }
    raw = {
        "study": "adapters",
        "storage": str(storage),
        "models": ["builtin:micro"],
        "data": {"train_limit": 32, "test_limit": each},
        "tasks": {track: {"train": "micro", "test": "micro"} for track in TRACKS},
        "training": {"batch_size": 8, "max_steps": steps},
        "methods": methods,
        "evaluation": {"quality": False, "generation": {"max_new_tokens": 64, "max_summary_tokens": 32}},
        "resources": {"generators": generators, "micro_tokens": 2048},
    }
    return expand(validate(plain_form(raw)))


def recorded(cells: Cells, ledger: Ledger) -> dict[str, Any]:
    """What the generate stages say of themselves, in sum."""
    records = [ledger.records_of(trial)[StageName.GENERATE] for trial in cells.trials]
    writing = [_writing(record) for record in records]
    seconds, tokens = (sum(float(one[name]) for one in writing) for name in ("seconds", "new_tokens"))
    used, slots = (sum(float(one[name]) for one in writing) for name in ("slot_steps_used", "slot_steps"))
    return {
        "base_reads": int(sum(float(one["base_reads"]) for one in writing)),
        "new_tokens": int(tokens),
        "writing_s": round(seconds, 1),
        "slots_in_use": round(used / slots, 3),
        "differing_adapters": len(
            {file.sha256 for r in records for n, file in r.outputs.items() if "completions" in n}
        ),
    }


def _writing(record: StageRecord) -> dict[str, Any]:
    found = record.facts["writing"]
    assert isinstance(found, dict), record.facts
    return found


def main() -> None:
    """Print what one run of the study took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--generators", type=int, default=1, help="processes that write at once")
    parser.add_argument("--steps", type=int, default=4, help="of each training")
    parser.add_argument("--each", type=int, default=25, help="problems of each of two tracks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cells = study_of(Path(folder), **vars(options))
        ledger = ledger_of(cells.study)
        load, begin = os.getloadavg()[0], time.monotonic()
        outcome = run_study(cells, ledger)
        took = time.monotonic() - begin
        assert not outcome.failed, outcome.failed
        said = {**vars(options), "whole_s": round(took, 1), **recorded(cells, ledger), "load_before": round(load, 1)}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
