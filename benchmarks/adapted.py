"""What our function for adapted projections keeps for the backward pass and takes, beside peft's own layers.

    python -m benchmarks.adapted

One decision: both run on one model with the same adapters, and bytes are counted by storages that autograd keeps, so
views of one tensor count once. Times are of this process alone, on one thread.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM

from trainers.methods.adapted import adapt
from trainers.methods.dropout import DropoutKey

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SIZES: dict[str, dict[str, int]] = {
    "4 layers of 256": {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4, "num_attention_heads": 4},
    "8 layers of 896": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 8,
        "num_attention_heads": 14,
    },
}


def kept_bytes(run: Callable[[], Tensor], model: torch.nn.Module) -> int:
    """Bytes that autograd keeps for a backward pass beyond the model's own tensors."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(storage.nbytes() for storage in kept.values())


def seconds(run: Callable[[], Tensor]) -> float:
    """Processor time of a forward and a backward pass, the better of two."""
    found = []
    for _ in range(2):
        begin = time.process_time()
        run().backward()  # type: ignore[no-untyped-call]
        found.append(time.process_time() - begin)
    return min(found)


def measure(size: str, *, dropout: float, precision: torch.dtype, tokens: int) -> None:
    """Print a line for peft and one for ours."""
    torch.manual_seed(0)
    config = Qwen2Config(vocab_size=1024, num_key_value_heads=2, **SIZES[size])  # type: ignore[arg-type]
    base = Qwen2ForCausalLM(config).to(precision).requires_grad_(False)
    model = get_peft_model(base, LoraConfig(r=16, lora_dropout=dropout, target_modules=TARGETS)).train()
    ids = torch.randint(0, 1024, (1, tokens))

    def run() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
            hidden = model.base_model.model.model(input_ids=ids, use_cache=False).last_hidden_state
        return hidden.float().square().mean()  # type: ignore[no-any-return]

    for who in ("peft", "ours"):
        if who == "ours":
            key = DropoutKey(seed=0)
            key.example_keys_T, key.positions_T = torch.zeros(tokens, dtype=torch.int64), torch.arange(tokens)
            adapt(model, key)
        kept = kept_bytes(run, model) / tokens / 1e3
        took = seconds(run)
        kind = str(precision).removeprefix("torch.")
        print(f"{size}, {kind}, dropout {dropout}: {who} keeps {kept:7.1f} kB a token, {took:6.2f} s a pass")


def main() -> None:
    """Measure all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=512)
    tokens = parser.parse_args().tokens
    torch.set_num_threads(1)
    for size in SIZES:
        for precision in (torch.bfloat16, torch.float32):
            for dropout in (0.1, 0.0):
                measure(size, dropout=dropout, precision=precision, tokens=tokens)


if __name__ == "__main__":
    main()
