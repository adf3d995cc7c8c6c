"""Training on a CPU beside TRL's SFTTrainer: useful tokens a second, and peak memory.

    python -m venv /tmp/trl
    python -c 'import site; print(*site.getsitepackages())' > shared.pth
    mv shared.pth /tmp/trl/lib/python3*/site-packages/
    /tmp/trl/bin/pip install trl
    python -m benchmarks.training --trl /tmp/trl/bin/python

The second and third line let TRL see the PyTorch, transformers and peft of this project, so that only the trainer
differs. Each side trains the built-in model by LoRA on the same examples of three tracks, in steps of about as many
tokens, with dropout 0.1, in a process and on a thread of its own, side after side and round after round. Useful are an
example's tokens, not padding. The first two steps are not timed. Seconds are counted by the clock and of the processor,
which a busy machine stretches less. Each line is one JSON object.

One decision: TRL is given token ids and labels, so that templates and tokenising count for nobody.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from models.loading import load_tokenizer
from models.locations import location_of
from models.spec import ModelSpec
from tasks.micro import examples
from tasks.records import Example, Track
from trainers.batches.rows import Encoded, encode
from trainers.methods.table import MethodKind
from trainers.spec import LoraSettings, Runtime, TrainingSettings, TrainingSpec

MODEL = ModelSpec(name="builtin:micro")
TRACKS = ("generation/python", "translation/java-csharp", "summarization/python")
ROW, ROWS = 512, 4
LORA = LoraSettings(rank=8, alpha=16, dropout=0.1)
SIDES = ("ours", "trl packed", "trl padded")
UNTIMED = 2


def drawn(count: int) -> list[Example]:
    """As many examples of each track, in turns."""
    by_track = [examples(Track.parse(track), split="train")[:count] for track in TRACKS]
    return [example for several in zip(*by_track, strict=True) for example in several]


def settings_of(steps: int, precision: str) -> TrainingSettings:
    """What both sides train by."""
    told = {"learning_rate": 1e-3, "schedule": "constant", "batch_tokens": ROW * ROWS, "max_steps": steps}
    return TrainingSettings.model_validate(told | {"max_length": ROW, "precision": precision})


class Ends:
    """The end of each step: by the clock, by the processor, and with the useful tokens until then."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float, int]] = []

    def add(self, tokens: int) -> None:
        """A step that saw so many tokens has come to its end."""
        before = self.seen[-1][2] if self.seen else 0
        self.seen.append((time.perf_counter(), time.process_time(), before + tokens))

    def figures(self) -> dict[str, float]:
        """Rates from the end of the steps that are not timed."""
        (begun, busy, before), (ended, still_busy, after) = self.seen[UNTIMED - 1], self.seen[-1]
        return {
            "steps": len(self.seen),
            "tokens_a_step": round(after / len(self.seen)),
            "useful_tokens_per_s": round((after - before) / (ended - begun), 1),
            "useful_tokens_per_cpu_s": round((after - before) / (still_busy - busy), 1),
        }


def ours(given: list[Example], settings: TrainingSettings, folder: Path) -> Ends:
    """Train by this project."""
    from trainers.loop.train import Hooks, TrainingData, train

    ends = Ends()
    spec = TrainingSpec(model=MODEL, kind=MethodKind.LORA, lora=LORA, settings=settings)
    hooks = Hooks(report=lambda row: ends.add(int(row["tokens"]) - (ends.seen[-1][2] if ends.seen else 0)))
    train(spec, data=TrainingData(train=given), out=folder, runtime=Runtime(device="cpu"), hooks=hooks)
    return ends


def trl(found: list[Encoded], settings: TrainingSettings, folder: Path, *, packed: bool) -> Ends:
    """Train by TRL; a padded step has as many examples as a packed one holds on average."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

    ends = Ends()

    class Counted(SFTTrainer):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **more: Any) -> Any:
            mask = inputs.get("attention_mask")
            tokens = int(mask.sum()) if mask is not None else inputs["input_ids"].numel()
            loss = super().training_step(model, inputs, *rest, **more)
            ends.add(tokens)
            return loss

    mean = sum(len(one.ids) for one in found) / len(found)
    rows = [
        {"input_ids": list(one.ids), "labels": [-100] * one.loss_from + list(one.ids[one.loss_from :])} for one in found
    ]
    tokenizer, model = load_tokenizer(MODEL), AutoModelForCausalLM.from_pretrained(location_of(MODEL))
    config = SFTConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=settings.precision == "bf16",
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=ROWS if packed else round(ROW * ROWS / mean),
        max_length=ROW,
        packing=packed,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        logging_steps=1000,
        disable_tqdm=True,
    )
    adapter = LoraConfig(
        r=LORA.rank,
        lora_alpha=LORA.alpha,
        lora_dropout=LORA.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    trainer = Counted(
        model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, peft_config=adapter
    )
    trainer.train()
    return ends


def figures(side: str, *, count: int, steps: int, precision: str) -> dict[str, Any]:
    """One side's figures, in this process."""
    torch.set_num_threads(1)
    given, settings = drawn(count), settings_of(steps, precision)
    with tempfile.TemporaryDirectory(prefix="polytune-training-") as scratch:
        if side == "ours":
            ends = ours(given, settings, Path(scratch))
        else:
            found = list(encode(given, load_tokenizer(MODEL), settings=settings).examples)
            ends = trl(found, settings, Path(scratch), packed=side == "trl packed")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"side": side, **ends.figures(), "peak_mib": peak}


def main() -> None:
    """Run every side, round after round, and print the medians last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl", default="", help="a Python that has TRL")
    parser.add_argument("--count", type=int, default=200, help="examples of each track")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    asked = ["--count", options.count, "--steps", options.steps, "--precision", options.precision]
    if options.side:
        told = figures(options.side, count=options.count, steps=options.steps, precision=options.precision)
        print(json.dumps(told), flush=True)
        return
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(options.rounds):
        for side in SIDES if options.trl else SIDES[:1]:
            python = sys.executable if side == "ours" else options.trl
            command = [python, "-m", "benchmarks.training", "--side", side, *map(str, asked)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                parser.error(f"{side} ended with {done.returncode}: {done.stderr[-2000:]}")
            line = json.loads(done.stdout.splitlines()[-1])
            print(json.dumps(line), flush=True)
            found.setdefault(side, []).append(line)
    for side, lines in found.items():
        names = ("useful_tokens_per_s", "useful_tokens_per_cpu_s", "peak_mib")
        medians = {name: statistics.median(line[name] for line in lines) for name in names}
        print(json.dumps({"median": side, **medians}), flush=True)


if __name__ == "__main__":
    main()
