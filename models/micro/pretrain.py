"""Pretrain the built-in base model: a Qwen2 of about 3 M parameters on text of the built-in suite.

One decision: a document has a conditioning half and a conditioned one (code after its description,
a second language after a first, a comment after code), and the loss of the first is weighed down to
0.1. With equal weights the model became fluent but deaf to what it was asked.

The tokenizer is trained with Qwen2's own pre-tokenizer, because `AutoTokenizer` installs that one
whenever a configuration says qwen2, whatever was saved.

    python -m models.micro.pretrain --out models/micro/base
"""

import argparse
import itertools
import json
import math
import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from tasks.micro import documents

END, PAD = "<|endoftext|>", "<|pad|>"
VOCABULARY = 1024
CONDITIONING_WEIGHT = 0.1
_BUCKET = 64  # batches that are sorted by length together, so that little of a batch is padding

# Plain words only: under LoRA a token that the base never saw would stay untrained.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'Given:\\n' + message['content'] + '\\n' }}"
    "{% else %}{{ 'Return:\\n' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Return:\\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides the weights.

    The rate falls over `schedule_tokens` and training ends at `tokens`, on the way: there, adapters
    already solve most of the suite, and a base that solved all of it would tell methods apart no more.
    """

    tokens: int = 19_506_997
    schedule_tokens: int = 36_000_000
    batch_documents: int = 128
    learning_rate: float = 3e-3
    warmup_steps: int = 200
    weight_decay: float = 0.1
    seed: int = 0


def train_tokenizer(seed: int) -> PreTrainedTokenizerBase:
    """Byte-level BPE over the suite's text, with Qwen2's pre-tokenizer."""
    texts = ["".join(halves) for halves in itertools.islice(documents(seed), 30_000)]
    blank = Qwen2Tokenizer(unk_token=END, eos_token=END, pad_token=PAD)
    tokenizer: PreTrainedTokenizerBase = blank.train_new_from_iterator(texts, VOCABULARY, show_progress=False)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.model_max_length = 1024
    return tokenizer


def build_model(tokenizer: PreTrainedTokenizerBase, seed: int) -> Qwen2ForCausalLM:
    """The architecture with random weights."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM(config)


def _encoded(tokenizer: PreTrainedTokenizerBase, *, seed: int, chunk: int) -> Iterator[list[tuple[list[int], int]]]:
    """Endless chunks of (ids with end of text, length of the conditioning half)."""
    stream = documents(seed)
    while True:
        halves = list(itertools.islice(stream, chunk))
        first = tokenizer([a for a, _ in halves]).input_ids
        second = tokenizer([b for _, b in halves]).input_ids
        yield [([*a, *b, tokenizer.eos_token_id], len(a)) for a, b in zip(first, second, strict=True)]


def _produce(queue: "multiprocessing.Queue[list[tuple[list[int], int]]]", folder: str, seed: int, chunk: int) -> None:
    tokenizer = Qwen2Tokenizer.from_pretrained(folder)
    for documents_of_chunk in _encoded(tokenizer, seed=seed, chunk=chunk):
        queue.put(documents_of_chunk)


def collate(batch: list[tuple[list[int], int]], pad: int) -> tuple[Tensor, Tensor]:
    """Right-padded ids and loss weights, both (documents, tokens); padding weighs nothing."""
    width = max(len(ids) for ids, _ in batch)
    ids_BT = torch.full((len(batch), width), pad)
    weights_BT = torch.zeros(len(batch), width)
    for row, (ids, conditioning) in enumerate(batch):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        weights_BT[row, :conditioning] = CONDITIONING_WEIGHT
        weights_BT[row, conditioning : len(ids)] = 1.0
    return ids_BT, weights_BT


def weighted_loss(model: Qwen2ForCausalLM, ids_BT: Tensor, weights_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean next-token loss, and the plain mean over the conditioned halves (nats per token).

    Right padding needs no attention mask under a causal one: no real token sees a pad.
    """
    logits_BTV = model(input_ids=ids_BT).logits[:, :-1].float()
    losses = torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), ids_BT[:, 1:].flatten(), reduction="none")
    weights = weights_BT[:, 1:].flatten()
    conditioned = weights == 1.0
    return (losses * weights).sum() / weights.sum(), losses[conditioned].mean().detach()


def _rate(step: int, total: int, recipe: Recipe) -> float:
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total))))


def _batches(
    queue: "multiprocessing.Queue[list[tuple[list[int], int]]]", recipe: Recipe
) -> Iterator[list[tuple[list[int], int]]]:
    generator = torch.Generator().manual_seed(recipe.seed)
    while True:
        chunk = sorted(queue.get(), key=lambda document: len(document[0]))
        starts = torch.arange(0, len(chunk), recipe.batch_documents)
        for position in torch.randperm(len(starts), generator=generator):
            start = int(starts[position])
            yield chunk[start : start + recipe.batch_documents]


def pretrain(out: Path, recipe: Recipe) -> dict[str, float]:
    """Train tokenizer and model, write both and the loss curve to `out`, return the last figures."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(recipe.seed)
    tokenizer.save_pretrained(out)
    model = build_model(tokenizer, recipe.seed)
    # benchmarks/pretraining.py: at 75 tokens a document the fused kernel's backward is a third of a
    # step, and compiling fuses what is left of it.
    model.set_attn_implementation("eager")
    model.compile(dynamic=True)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=recipe.weight_decay
    )
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[list[tuple[list[int], int]]] = context.Queue(maxsize=2)
    producer = context.Process(
        target=_produce, args=(queue, str(out), recipe.seed + 1, _BUCKET * recipe.batch_documents), daemon=True
    )
    producer.start()
    try:
        return _train(model, optimizer, _batches(queue, recipe), recipe=recipe, out=out)
    finally:
        producer.terminate()


def _train(
    model: Qwen2ForCausalLM,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[list[tuple[list[int], int]]],
    *,
    recipe: Recipe,
    out: Path,
) -> dict[str, float]:
    started, seen, step, row = time.monotonic(), 0, 0, {"loss": math.nan}
    pad = int(model.config.pad_token_id or 0)
    tokens_per_step = 0.0
    with (out / "loss.jsonl").open("w") as log:
        while seen < recipe.tokens:
            ids_BT, weights_BT = collate(next(batches), pad)
            seen += int((weights_BT > 0).sum())
            step += 1
            tokens_per_step = seen / step
            factor = _rate(step, int(recipe.schedule_tokens / tokens_per_step), recipe)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * factor
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss, conditioned = weighted_loss(model, ids_BT, weights_BT)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step % 25 == 0 or seen >= recipe.tokens:
                row = {
                    "step": step,
                    "tokens": seen,
                    "loss": round(float(loss.detach()), 4),
                    "conditioned_loss": round(float(conditioned), 4),
                    "gradient_norm": round(float(norm), 4),
                    "seconds": round(time.monotonic() - started, 1),
                }
                log.write(json.dumps(row) + "\n")
                log.flush()
            if step % 500 == 0:
                _save(model, out)
    _save(model, out)
    return row


def _save(model: Qwen2ForCausalLM, out: Path) -> None:
    """Write the weights in bf16; the model that goes on training keeps its own."""
    state = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    model.save_pretrained(out, state_dict=state)
    # transformers writes the live model's type into the configuration, not that of the state it saved.
    path = out / "config.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"dtype": "float32"', '"dtype": "bfloat16"'))
    (out / "model.safetensors").chmod(0o644)


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=Recipe().tokens)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(json.dumps(pretrain(arguments.out, Recipe(tokens=arguments.tokens))))


if __name__ == "__main__":
    main()
