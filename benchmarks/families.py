"""Forty families of models through the probe, a training and a generation: which are trained how, and whether rightly.

    python benchmarks/families.py [FAMILY ...]

Each is a small copy of its architecture with random weights and the built-in model's tokenizer, in 32 bits on one
core; some seconds a family. The columns:

- `path`: what the probe of the whole architecture, by its configuration alone, says: rows are flat, single or refused;
- `loss`: the largest difference of a token's loss, over all positions of 12 examples, between the path and the model's
  own forward pass of each example alone; at most 2e-5;
- `gradient`: the largest difference of a gradient between the path and the model's own forward pass, over the largest
  gradient; at most 1e-5;
- `leak`: how much any other example's loss changes when one of a row is replaced;
- `targets`: how many kinds of linear projections an adapter lies on;
- `train`: loss of the first and the last of ten steps of LoRA on all of them;
- `asked`: whether greedy answers to eight prompts are the same in batches of one and of four.

One decision: what is compared with is always the model's own code, one example a call, with nothing of ours around it.
"""

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from models.flat import flat_rows, hidden_states, own_logits, segments_of
from models.loading import load_tokenizer
from models.locations import location_of
from models.probe import probe
from models.shrunken import shrunken
from models.spec import ModelSpec
from models.verdicts import Verdict
from tasks.micro import examples, problems
from tasks.prompts import render_example
from tasks.records import Example, Track

LOSS_ALLOWED, GRADIENT_ALLOWED = 2e-5, 1e-5
_TRACK = Track.parse("generation/python")
_VOCABULARY = 1024
_MOE = {"num_experts_per_tok": 2}
_MAMBA_LAYERS = [*["mamba"] * 5, "attention"] * 6
# Settings beside transformers' own defaults: windows, scales and kinds of layers as published models have them.
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 4096},
    "qwen2": {},
    "qwen2 window": {"use_sliding_window": True, "sliding_window": 4096, "max_window_layers": 0},
    "qwen3": {},
    "qwen3_moe": {},
    "gemma2": {},
    "gemma3_text": {},
    "gemma3n_text": {},
    "starcoder2": {"sliding_window": 4096},
    "gpt_bigcode": {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0},
    "phi3": {"sliding_window": 2047},
    "phi": {},
    "gpt_neox": {},
    "codegen": {},
    "gptj": {},
    "gpt_neo": {},
    "bloom": {},
    "mpt": {},
    "falcon": {"alibi": True},
    "deepseek_v2": _MOE,
    "deepseek_v3": {},
    "granite": {"logits_scaling": 8.0},
    "granitemoe": {"logits_scaling": 8.0},
    "granitemoehybrid": {"logits_scaling": 8.0, "layer_types": _MAMBA_LAYERS, "num_hidden_layers": 36},
    "cohere": {"logit_scale": 0.0625},
    "cohere2": {"logit_scale": 0.25},
    "olmo2": {},
    "smollm3": {},
    "stablelm": {},
    "gpt_oss": {},
    "mamba": {},
    "mamba2": {},
    "qwen3_next": {},
    "falcon_h1": {},
    "lfm2": {"layer_types": [*["conv"] * 2, "full_attention"] * 4, "num_hidden_layers": 12},
    "jamba": {},
    "recurrent_gemma": {},
    "minicpm3": {"dim_model_base": 256},
    "seed_oss": {"attention_dropout": 0.1, "residual_dropout": 0.1},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A family's line; None stands for what its path left nothing to measure of."""

    family: str
    verdict: Verdict
    loss: float | None = None
    gradient: float | None = None
    leak: float | None = None
    first_loss: float | None = None
    last_loss: float | None = None
    same_answers: bool | None = None
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether it is refused, or trained as its own code would be."""
        if self.verdict.path == "refused":
            return True
        assert self.loss is not None and self.gradient is not None and self.leak is not None
        exact = self.loss <= LOSS_ALLOWED and self.gradient <= GRADIENT_ALLOWED and self.leak <= LOSS_ALLOWED
        falls = self.first_loss is None or (self.last_loss or 0.0) < self.first_loss
        return exact and falls and self.same_answers is not False


def config_of(family: str) -> Any:
    """A family's whole configuration."""
    from transformers import AutoConfig

    return AutoConfig.for_model(family.split()[0], **FAMILIES[family])


def compared(family: str) -> Outcome:
    """The probe's verdict, and losses, gradients and leaks of real examples on a small copy."""
    config = config_of(family)
    verdict = probe(config)
    if verdict.path == "refused":
        return Outcome(family=family, verdict=verdict)
    model = shrunken(config, vocabulary=_VOCABULARY)
    documents = _documents(12)
    flat = verdict.path == "flat"
    with torch.no_grad():
        own, ours = _own_losses(model, documents), _losses(model, documents, flat=flat)
        leak = _leak(model, documents[:3], ours[:3]) if flat else 0.0
    return Outcome(
        family=family,
        verdict=verdict,
        loss=max(float((a - b).abs().max()) for a, b in zip(own, ours, strict=True)),
        gradient=_gradient_off(model, documents[:4], flat=flat),
        leak=leak,
    )


def trained(outcome: Outcome) -> Outcome:
    """Ten steps of LoRA on all linear projections, and greedy answers, by the code that studies run."""
    with tempfile.TemporaryDirectory(prefix="polytune-family-") as place:
        folder = Path(place) / "base"
        _save(shrunken(config_of(outcome.family), vocabulary=_VOCABULARY), folder)
        first, last = _ten_steps(folder, _targets(outcome), out=Path(place) / "out")
        same = _same_answers(folder)
    return replace(outcome, first_loss=first, last_loss=last, same_answers=same)


def _documents(count: int) -> list[tuple[int, ...]]:
    tokenizer = load_tokenizer(ModelSpec(name="builtin:micro"))
    rendered = [
        render_example(tokenizer, track=_TRACK, text=example.input, answer=example.output) for example in _some(count)
    ]
    return [(*one.prompt_ids, *one.answer_ids) for one in rendered]


def _some(count: int) -> tuple[Example, ...]:
    return examples(_TRACK, split="validation")[:count]


def _own_losses(model: Any, documents: Sequence[Sequence[int]]) -> list[Tensor]:
    """Each next token's loss by the model's own forward pass of each document alone."""
    found = []
    for document in documents:
        ids_1T = torch.tensor([list(document)])
        logits_TV = model(input_ids=ids_1T, use_cache=False).logits[0, :-1].float()
        found.append(cross_entropy(logits_TV, ids_1T[0, 1:], reduction="none"))
    return found


def _losses(model: Any, documents: Sequence[Sequence[int]], *, flat: bool) -> list[Tensor]:
    """The same by the path that training goes: all documents in one row, or a row each."""
    if not flat:
        return [
            _next_losses(own_logits(model, hidden_states(model, torch.tensor([list(d)]), None)), d) for d in documents
        ]
    lengths = [len(document) for document in documents]
    ids_1T = torch.tensor([[i for document in documents for i in document]])
    with flat_rows(model):
        logits_TV = own_logits(model, hidden_states(model, ids_1T, segments_of(lengths)))
    parts = torch.split(logits_TV, lengths)
    return [_next_losses(part, document) for part, document in zip(parts, documents, strict=True)]


def _next_losses(logits_TV: Tensor, document: Sequence[int]) -> Tensor:
    return cross_entropy(logits_TV[:-1].float(), torch.tensor(list(document[1:])), reduction="none")


def _leak(model: Any, documents: Sequence[tuple[int, ...]], before: Sequence[Tensor]) -> float:
    """The most that the other documents' losses move when the middle one is replaced by another of its length."""
    first, middle, last = documents
    other = tuple((token + 7) % _VOCABULARY for token in middle)
    after = _losses(model, (first, other, last), flat=True)
    together = _losses(model, documents, flat=True)
    return max(float((together[i] - after[i]).abs().max()) for i in (0, 2))


def _gradient_off(model: Any, documents: Sequence[Sequence[int]], *, flat: bool) -> float:
    """The largest difference of gradients of all weights from the model's own, over its largest gradient."""
    own = _gradients(model, _own_losses(model, documents))
    ours = _gradients(model, _losses(model, documents, flat=flat))
    largest = max(float(gradient.abs().max()) for gradient in own.values())
    return max(float((own[name] - ours[name]).abs().max()) for name in own) / largest


def _gradients(model: Any, losses: Sequence[Tensor]) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    torch.cat(list(losses)).mean().backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _save(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    for path in Path(location_of(ModelSpec(name="builtin:micro"))).iterdir():
        if "token" in path.name or path.suffix == ".jinja":
            shutil.copy(path, folder)


def _targets(outcome: Outcome) -> tuple[str, ...]:
    """All linear projections but those that peft has no adapter for."""
    refused = {"mamba": ("out_proj",), "mamba2": ("out_proj",), "falcon_h1": ("out_proj",)}
    hybrid = {"jamba": ("out_proj",), "granitemoehybrid": ("out_proj",), "qwen3_next": ("conv1d",)}
    left_out = {**refused, **hybrid}.get(outcome.family, ())
    return tuple(name for name in outcome.verdict.linear if name not in left_out and not name.isdigit())


def _ten_steps(folder: Path, targets: tuple[str, ...], *, out: Path) -> tuple[float, float]:
    from trainers.loop.train import Hooks, TrainingData, train
    from trainers.spec import LoraSettings, Runtime, TrainingSettings, TrainingSpec

    spec = TrainingSpec.model_validate(
        {
            "model": ModelSpec(name=str(folder)),
            "kind": "lora",
            "lora": LoraSettings(rank=8, alpha=16, dropout=0.0, targets=targets),
            "settings": TrainingSettings(learning_rate=1e-2, batch_size=8, max_steps=10, precision="fp32"),
        }
    )
    out.mkdir()
    data = TrainingData(train=_some(80))
    summary = train(spec, data=data, out=out, runtime=Runtime(device="cpu"), hooks=Hooks())
    return summary.first_loss, summary.last_loss


def _same_answers(folder: Path) -> bool:
    from evaluators.generation.settings import GenerationSettings
    from evaluators.generation.transformers_engine import generate
    from models.loading import load_base

    model = ModelSpec(name=str(folder))
    base = load_base(model, precision="fp32", device=torch.device("cpu")).eval()
    settings = GenerationSettings(max_new_tokens=12)
    asked = problems(_TRACK, split="validation")[:8]
    one, four = (generate(base, load_tokenizer(model), asked, settings=settings, slots=size) for size in (1, 4))
    return [answer.text for answer in one] == [answer.text for answer in four]


def _line(outcome: Outcome) -> str:
    v = outcome.verdict
    cells = [
        outcome.family,
        v.path,
        *(("-" if value is None else f"{value:.0e}") for value in (outcome.loss, outcome.gradient, outcome.leak)),
        str(len(v.linear)),
        "-" if outcome.first_loss is None else f"{outcome.first_loss:.2f} > {outcome.last_loss:.2f}",
        {None: "-", True: "same", False: "DIFFER"}[outcome.same_answers],
        f"{outcome.seconds:.0f} s",
        "; ".join(v.reasons),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Print the table; 1 if any family is trained wrongly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("families", nargs="*", default=list(FAMILIES))
    chosen = parser.parse_args().families
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    print("| family | path | loss | gradient | leak | targets | train | asked | time | why |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    outcomes = []
    for outcome in _outcomes(chosen):
        outcomes.append(outcome)
        print(_line(outcome), flush=True)
    paths = [outcome.verdict.path for outcome in outcomes]
    wrong = [outcome.family for outcome in outcomes if not outcome.right]
    counts = ", ".join(f"{paths.count(path)} {path}" for path in ("flat", "single", "refused"))
    print(f"\n{len(outcomes)} families: {counts}; wrong: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


def _outcomes(families: Sequence[str]) -> Iterator[Outcome]:
    for family in families:
        began = time.monotonic()
        outcome = compared(family)
        if outcome.verdict.path != "refused":
            outcome = trained(outcome)
        yield replace(outcome, seconds=time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
