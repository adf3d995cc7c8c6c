"""Trainings that are killed twenty times, half of them while they write a checkpoint: `python -m tests.chaos.kills`.

Each line is one JSON object. `same` is whether weights, metric rows, steps and best step are those of a training that
was never killed, to the bit; it is asked for where passes stay as they are. Where a training goes on with other passes
sums come in another order: there `off` is the largest relative difference of a logged number, in 32 bits.

One decision: it drives what the tests of killed trainings drive, which do the same with two kills.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.spec import ModelSpec
from tasks.micro import examples
from tasks.records import Track
from tests.orchestrator.work.killed_run import make_ready, until_the_end
from trainers.methods.full import missing_for_full
from trainers.methods.table import MethodKind, traits_of
from trainers.spec import LoraSettings, TrainingSettings, TrainingSpec

CASES = (
    ("lora", "adamw"),
    ("lora", "adamw_8bit"),
    ("qlora", "adamw"),
    ("qlora", "adamw_8bit"),
    ("full", "adamw"),
    ("full", "adamw_8bit"),
)
# Tokens of a pass from try to try, and the precision in which ends can be compared.
CUTS = {"same passes": ([512], "bf16"), "other passes": ([512, 64, 512, 4096], "fp32")}
# As many as twenty tries need that each get a few steps further.
STEPS = 240
# Tensors of 4096 elements and more have moments of 8 bits.
LORA = LoraSettings(rank=64, alpha=64, dropout=0.1)


def tiny_base(folder: Path) -> Path:
    """A folder with a model of 0.2 M parameters of chance, and the built-in model's tokenizer."""
    import torch
    from transformers import Qwen2ForCausalLM

    from models.micro import pretrain

    tokenizer = pretrain.train_tokenizer(0)
    tokenizer.save_pretrained(folder)
    config = pretrain.build_model(tokenizer, 0).config
    config.update({"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2})
    config.layer_types = ["full_attention"] * 2
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


def spec_of(base: Path, kind: str, optimizer: str, *, steps: int, precision: str) -> TrainingSpec:
    """A training that validates now and then, and so keeps its best weights."""
    settings = {"learning_rate": 1e-3, "batch_size": 8, "max_steps": steps, "max_length": 256, "validate_every": 30}
    return TrainingSpec(
        model=ModelSpec(name=str(base)),
        kind=MethodKind(kind),
        lora=LORA if traits_of(kind).has_adapter else None,
        settings=TrainingSettings.model_validate(settings | {"optimizer": optimizer, "precision": precision}),
    )


def ended(name: str, spec: TrainingSpec, folder: Path, **how: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a training ended, and its kills."""
    drawn = examples(Track.parse("generation/python"), split="validation")[:32]
    job = {"kills": 0, "every_steps": 2, "micro_tokens": [512], "checkpointing": False, "in_writes": True}
    job |= {"wait_s": 0.3, "name": name, "folder": str(folder), "spec": spec.model_dump(mode="json")}
    until_the_end(job | how | {"examples": [example.model_dump(mode="json") for example in drawn]})
    told, kills = (json.loads((folder / f"{what}.json").read_text(encoding="utf-8")) for what in ("end", "kills"))
    return told, kills


def figures(
    kind: str, optimizer: str, *, base: Path, folder: Path, kills: int, steps: int, cuts: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """A case killed with the same passes, and killed with others."""
    for cut in cuts:
        tokens, precision = CUTS[cut]
        spec = spec_of(base, kind, optimizer, steps=steps, precision=precision)
        begin = time.monotonic()
        whole, _ = ended(f"whole {cut}", spec, folder / f"whole {cut}", wait_s=0)
        killed, told = ended(f"killed {cut} {kind}", spec, folder / cut, kills=kills, micro_tokens=tokens)
        yield {
            "kind": kind,
            "optimizer": optimizer,
            "cut": cut,
            "kills": len(told),
            "within_a_write": sum(bool(kill["half_written"]) for kill in told),
            "steps": killed["steps"],
            "same": killed == whole | {"checkpoints": killed["checkpoints"]},
            "off": largest_difference(whole["rows"], killed["rows"]),
            "sha256": killed["sha256"][:12],
            "seconds": round(time.monotonic() - begin),
        }


def largest_difference(rows: list[dict[str, float]], others: list[dict[str, float]]) -> float | None:
    """Of any number of rows that tell of the same steps; None if they do not."""
    if [row["step"] for row in rows] != [row["step"] for row in others]:
        return None
    pairs = [
        (row[name], other.get(name, float("nan"))) for row, other in zip(rows, others, strict=True) for name in row
    ]
    return max(abs(a - b) / max(abs(a), abs(b), 1e-9) for a, b in pairs)


def main() -> None:
    """Print two lines a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--only", default="", help="cases with this in them, such as qlora")
    parser.add_argument(
        "--cut", choices=CUTS, action="append", help="with which passes trainings go on; both if left out"
    )
    options = parser.parse_args()
    cuts = tuple(options.cut or CUTS)
    # What DeepSpeed prints in a training is no figure.
    figures_only = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    make_ready()
    with tempfile.TemporaryDirectory(prefix="polytune-kills-") as scratch:
        base = tiny_base(Path(scratch) / "base")
        for kind, optimizer in CASES:
            if options.only not in f"{kind} {optimizer}":
                continue
            if kind == "full" and (missing := missing_for_full()):
                print(
                    json.dumps({"kind": kind, "optimizer": optimizer, "not_run": missing}),
                    file=figures_only,
                    flush=True,
                )
                continue
            folder = Path(scratch) / f"{kind} {optimizer}"
            for line in figures(
                kind, optimizer, base=base, folder=folder, kills=options.kills, steps=options.steps, cuts=cuts
            ):
                print(json.dumps(line), file=figures_only, flush=True)


if __name__ == "__main__":
    main()
