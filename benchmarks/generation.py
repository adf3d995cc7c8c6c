"""Writing on a CPU: in slots against padded `generate`, and four adapters in one pass against one. One run, one core.

    make quickstart && python -m benchmarks.generation

The quickstart's trained adapters answer its 600 prompts, with the limits of its study. Padded means what most tools do:
prompts in the order of the data set, in batches padded on the left, each batch until its longest answer is done. Both
sides decode greedily in 32 bits, and how many answers are equal, token for token, is shown beside their times. Sides
alternate; medians are shown. Each line is one JSON object.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from evaluators.generation.answers import end_tokens, questions
from evaluators.generation.protocol import Prompt
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.writer import Asked, SlotWriter
from models.loading import load_adapter, load_base, load_tokenizer
from models.rack import Adapter, read_adapter
from models.spec import ModelSpec
from tasks.micro import problems
from tasks.records import Track

TRACKS = (
    "generation/python", "generation/java", "translation/java-csharp",
    "translation/csharp-java", "summarization/python", "summarization/java",
)  # fmt: skip
SETTINGS = GenerationSettings(max_new_tokens=160, max_summary_tokens=60)
SLOTS = 64
MODEL = ModelSpec(name="builtin:micro")
Answers = list[tuple[int, ...]]


def prompts(tokenizer: Any, *, each: int) -> list[Asked]:
    """The prompts of all tracks, in the order of the data sets."""
    asked = []
    for track in map(Track.parse, TRACKS):
        for question in questions(
            tokenizer, [Prompt(problem=problem) for problem in problems(track, split="test")[:each]], SETTINGS
        ):
            asked.append(Asked(ids=question.ids, limit=question.limit, adapter=1))
    return asked


def in_slots(model: Any, asked: Sequence[Asked], ends: frozenset[int], adapters: Sequence[Adapter]) -> Answers:
    """The answers by the engine."""
    writer = SlotWriter(model, ends=ends, settings=SETTINGS, adapters=adapters, slots=SLOTS)
    found = {written.asked: written.ids for written in writer.write(asked)}
    return [found[one] for one in asked]


def padded(model: Any, asked: Sequence[Asked], ends: frozenset[int], pad: int) -> Answers:
    """The answers by `generate`, in batches as the prompts come."""
    answers: Answers = []
    for start in range(0, len(asked), SLOTS):
        batch = asked[start : start + SLOTS]
        width = max(len(one.ids) for one in batch)
        ids_BT = torch.tensor([[pad] * (width - len(one.ids)) + list(one.ids) for one in batch])
        mask_BT = torch.tensor([[0] * (width - len(one.ids)) + [1] * len(one.ids) for one in batch])
        limit = max(one.limit for one in batch)
        config = GenerationConfig(max_new_tokens=limit, do_sample=False, eos_token_id=sorted(ends), pad_token_id=pad)
        with torch.inference_mode():
            out_BT = model.generate(input_ids=ids_BT, attention_mask=mask_BT, generation_config=config)
        for one, row in zip(batch, out_BT[:, width:].tolist(), strict=True):
            new = row[: one.limit]
            end = next((place for place, token in enumerate(new) if token in ends), len(new))
            answers.append(tuple(new[:end]))
    return answers


def timed(write: Callable[[], Answers]) -> tuple[float, Answers]:
    """Seconds of processor time, since machines are shared, and the answers."""
    begin = time.process_time()
    answers = write()
    return time.process_time() - begin, answers


def against_padded(adapter: Path, *, each: int, rounds: int) -> dict[str, Any]:
    """One adapter on all prompts, both ways."""
    tokenizer, device = load_tokenizer(MODEL), torch.device("cpu")
    ours: Any = load_base(MODEL, precision="fp32", device=device).eval()
    theirs: Any = load_adapter(load_base(MODEL, precision="fp32", device=device).eval(), adapter)
    held = read_adapter(ours, adapter)
    assert held is not None, adapter
    asked, ends = prompts(tokenizer, each=each), end_tokens(ours, tokenizer)
    slots_s, padded_s = [], []
    for _ in range(rounds):
        took, answers = timed(lambda: in_slots(ours, asked, ends, [held]))
        slots_s.append(took)
        took, others = timed(lambda: padded(theirs, asked, ends, tokenizer.pad_token_id))
        padded_s.append(took)
    tokens = sum(len(answer) + 1 for answer in answers)
    return {
        "prompts": len(asked),
        "new_tokens": tokens,
        "equal_answers": sum(a == b for a, b in zip(answers, others, strict=True)),
        "slots_tokens_per_cpu_s": round(tokens / statistics.median(slots_s), 1),
        "padded_tokens_per_cpu_s": round(tokens / statistics.median(padded_s), 1),
        "ratio": round(statistics.median(padded_s) / statistics.median(slots_s), 2),
    }


def four_against_one(adapters: Sequence[Path], *, each: int, rounds: int) -> dict[str, Any]:
    """The same prompts and the same number of tokens, by one adapter, and by four in turns."""
    tokenizer = load_tokenizer(MODEL)
    model: Any = load_base(MODEL, precision="fp32", device=torch.device("cpu")).eval()
    held = [adapter for folder in adapters if (adapter := read_adapter(model, folder)) is not None]
    asked = [Asked(ids=one.ids, limit=32, adapter=1) for one in prompts(tokenizer, each=each)]
    mixed = [Asked(ids=one.ids, limit=32, adapter=n % len(held) + 1) for n, one in enumerate(asked)]
    one_s, many_s = [], []
    for _ in range(rounds):
        one_s.append(timed(lambda: in_slots(model, asked, frozenset(), held[:1]))[0])
        many_s.append(timed(lambda: in_slots(model, mixed, frozenset(), held))[0])
    return {
        "adapters": len(held),
        "new_tokens": 32 * len(asked),
        "one_cpu_s": round(statistics.median(one_s), 2),
        "all_cpu_s": round(statistics.median(many_s), 2),
        "ratio": round(statistics.median(many_s) / statistics.median(one_s), 2),
    }


def main() -> None:
    """Print a line for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the ledger that the quickstart left")
    parser.add_argument("--each", type=int, default=100, help="prompts of each track")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = sorted(file.parent for file in (options.runs / "stages").rglob("adapter_config.json"))
    if len(found) < 4:
        parser.error(f"{options.runs} holds {len(found)} adapters, and four are wanted; run `make quickstart` first")
    print(
        json.dumps(
            {"case": "slots against padded"} | against_padded(found[0], each=options.each, rounds=options.rounds)
        )
    )
    print(
        json.dumps({"case": "four against one"} | four_against_one(found[:4], each=options.each, rounds=options.rounds))
    )


if __name__ == "__main__":
    main()
