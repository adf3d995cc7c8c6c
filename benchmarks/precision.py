"""How often an answer comes out otherwise in slots than by `generate` of its prompt alone, in each precision, and why.

    python -m benchmarks.precision --each 5

The built-in model answers prompts of every track, or the one whose folder `--model` names, with an adapter where
`--adapter` names one. Both sides decode greedily. Where two answers part, the model's own forward pass over what they
have in common says how far apart its two likeliest tokens were there (`margin_parting`, median and largest), and behind
the first half of all answers (`margin_usual`), both in logits: sums in another order change the last digits of a logit,
so an answer can part where two tokens are that near. `moved` is the largest difference of the logits behind a prompt
that is read in one row with others, and alone. Each line is one JSON object.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from transformers import GenerationConfig

from benchmarks.generation import Answers, in_slots, prompts
from evaluators.generation.answers import end_tokens
from evaluators.generation.shelf import Base, ModelShelf
from evaluators.generation.slots import SlotStore, begin, slot_attending
from evaluators.generation.writer import Asked
from models.rack import Adapter, Rack, read_adapter
from models.spec import ModelSpec, Precision


def alone(model: Any, asked: Sequence[Asked], ends: frozenset[int], pad: int) -> Answers:
    """The answers by `generate`, a prompt at a time."""
    answers: Answers = []
    for one in asked:
        ids_1T = torch.tensor([list(one.ids)])
        config = GenerationConfig(
            max_new_tokens=one.limit, do_sample=False, eos_token_id=sorted(ends), pad_token_id=pad
        )
        with torch.inference_mode():
            out_1T = model.generate(input_ids=ids_1T, attention_mask=torch.ones_like(ids_1T), generation_config=config)
        new = out_1T[0, ids_1T.shape[1] :].tolist()
        answers.append(tuple(new[: next((place for place, token in enumerate(new) if token in ends), len(new))]))
    return answers


@torch.inference_mode()
def margin(model: Any, ids: Sequence[int]) -> float:
    """How far the two likeliest tokens behind a text are apart, in logits."""
    two = model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -1].float().topk(2).values
    return float(two[0] - two[1])


@torch.inference_mode()
def moved(model: Any, asked: Sequence[Asked]) -> float:
    """The largest difference of logits behind prompts that are read as one row, and each alone."""
    texts = [one.ids for one in asked]
    store = SlotStore(slots=len(texts), length=max(map(len, texts)))
    with slot_attending(model):
        together = begin(model, store, list(enumerate(texts))).float()
    each = [model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -1].float() for ids in texts]
    return float((together - torch.stack(each)).abs().max())


def compare(model_name: str, precision: Precision, adapter: Path | None, *, each: int) -> dict[str, Any]:
    """One precision: the share of answers that differ, and how near tokens were where they part."""
    ready = ModelShelf().ready(Base(model=ModelSpec(name=model_name), precision=precision, device=torch.device("cpu")))
    model, tokenizer = ready.model, ready.tokenizer
    held: Adapter | None = None if adapter is None else read_adapter(model, adapter)
    asked = [
        Asked(ids=one.ids, limit=one.limit, adapter=int(held is not None)) for one in prompts(tokenizer, each=each)
    ]
    ends = end_tokens(model, tokenizer)
    ours = in_slots(model, asked, ends, [held] if held else [])
    rack = Rack(model)
    with rack.holding([held] if held else []):
        # One row stands for all tokens of a pass, whatever their number.
        rack.rows(torch.tensor([1]) if held else None)
        theirs = alone(model, asked, ends, tokenizer.pad_token_id)
        parting, usual = [], []
        for one, a, b in zip(asked, ours, theirs, strict=True):
            usual.append(margin(model, [*one.ids, *b[: len(b) // 2]]))
            if a != b:
                common = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
                parting.append(margin(model, [*one.ids, *b[:common]]))
        difference = moved(model, asked[:16])
    return {
        "precision": precision,
        "answers": len(asked),
        "differ": len(parting),
        "share_%": round(100 * len(parting) / len(asked), 1),
        "moved": float(f"{difference:.2g}"),
        "margin_parting": [float(f"{m:.2g}") for m in (statistics.median(parting), max(parting))] if parting else None,
        "margin_usual": float(f"{statistics.median(usual):.2g}"),
    }


def main() -> None:
    """Print a line for each precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=5, help="prompts of each track")
    parser.add_argument("--model", default="builtin:micro")
    parser.add_argument("--adapter", type=Path, default=None, help="the folder of an adapter of the model")
    parser.add_argument("--precision", choices=get_args(Precision), action="append", help="one of them; all by default")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for precision in options.precision or reversed(get_args(Precision)):
        print(json.dumps(compare(options.model, precision, options.adapter, each=options.each)), flush=True)


if __name__ == "__main__":
    main()
