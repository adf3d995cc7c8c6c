"""What a run's stages took, as JSON lines, for `benchmarks/gpu/quickstart.sh`: machine, each stage, the whole.

One decision: all comes from the ledger's records, so a run that was cut off is told as far as it came.
"""

import argparse
import json
import os
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from benchmarks.gpu.training import machine
from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.provenance import provenance, usable_cores, version
from orchestrator.study.stages import STAGES, StageName


def hardware() -> dict[str, Any]:
    """What it ran on, and with which versions."""
    on_gpu = torch.cuda.is_available()
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30 if on_gpu else None
    return {
        **machine(torch.device("cuda" if on_gpu else "cpu")),
        "gpu_gib": memory and round(memory),
        "cores": usable_cores(),
        "load": round(os.getloadavg()[0], 1),
        "polytune": version(),
        **{name: provenance()[name] for name in ("git", "python", "ray")},
    }


def stage_line(stage: StageName, records: list[StageRecord], *, begin: float) -> dict[str, Any]:
    """One stage of all trials: its first end and its last, from the run's beginning, and seconds in sum."""
    ends = sorted(record.finished_at - begin for record in records)
    line: dict[str, Any] = {"stage": stage.value, "trials": len(records)}
    if not records:
        return line
    line |= {"first_done_s": round(ends[0], 1), "last_done_s": round(ends[-1], 1)}
    line["in_sum_s"] = round(sum(record.seconds for record in records), 1)
    writing: list[Any] = [record.facts["writing"] for record in records if "writing" in record.facts]
    if writing:
        tokens, seconds = sum(one["new_tokens"] for one in writing), sum(one["seconds"] for one in writing)
        line |= {"new_tokens": int(tokens), "tokens_per_s": round(tokens / seconds)}
        line["base_reads"] = int(sum(one["base_reads"] for one in writing))
    ahead: list[Any] = [record.facts["judged_ahead"] for record in records if "judged_ahead" in record.facts]
    return line | ({"judged_ahead": sum(ahead)} if ahead else {})


def main() -> None:
    """Print all lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the run's ledger lies, in runs")
    parser.add_argument("--begin", type=float, required=True, help="when it began, in seconds since 1970")
    parser.add_argument("--end", type=float, required=True)
    parser.add_argument("--status", type=int, required=True, help="the exit status of the run")
    options = parser.parse_args()
    print(json.dumps(hardware()))
    found = [record for record in Ledger(options.folder / "runs").all_records().values() if record is not None]
    for stage in STAGES:
        print(json.dumps(stage_line(stage, [r for r in found if r.stage == stage], begin=options.begin)))
    samples = options.folder / "busy.txt"
    busy = [float(line) for line in samples.read_text().split()] if samples.is_file() else []
    whole = {"whole_s": round(options.end - options.begin, 1), "status": options.status}
    print(json.dumps(whole | ({"gpu_busy_percent": round(fmean(busy), 1)} if busy else {})))


if __name__ == "__main__":
    main()
