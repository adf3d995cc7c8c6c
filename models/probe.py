"""Whether a family computes the same for examples in a row, or one by one, as for each of them alone.

One decision: a family is believed only where all positions of all examples agree in 32 bits with its own forward pass,
behind its windows too, on a small copy of its architecture. Loss tokens alone would let recurrent families pass by
luck, and in 16 bits rounding hides a scale that is wrong by a hundredth.

    echo '{"name": "builtin:micro"}' | python -m models.probe     probe a model, in a process of its own
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.flat import flat_forward, flat_rows, hidden_states, own_logits, segments_of
from models.folders import context_of
from models.loading import load_tokenizer
from models.locations import ModelError, location_of, template_text
from models.shrunken import WINDOW, CannotShrink, hollow, said, shrunken
from models.spec import ModelSpec
from models.verdicts import Prompting, RowsPath, Verdict
from tasks.prompt_checks import faults_of_prompts
from tasks.prompts import render_example
from tasks.records import BUILTIN_TRACKS, Record
from tasks.templates import PLAIN

# In standard deviations of the logits. Honest sums in another order differ by 1e-6; the least of the broken kernels
# that this was tried on, a scale wrong by a hundredth, by 4e-2.
_ALLOWED = 1e-4


def probe(config: Any) -> Verdict:
    """How models of a configuration may be trained; no weights are read."""
    family = str(config.model_type)
    known: dict[str, Any] = {"family": family, "context": context_of(config.get_text_config().to_dict())}
    text = config.get_text_config()
    known["vocabulary"] = getattr(text, "vocab_size", None)
    try:
        known["linear"] = linear_layers(hollow(config))
        model = shrunken(config)
    except CannotShrink as error:
        return Verdict(path="refused", reasons=(str(error),), **known)
    except Exception as error:  # a family's own code, or transformers' word on a class that is none
        return Verdict(path="refused", reasons=(_said(error, config),), **known)
    return _compared(model, known)


def _compared(model: nn.Module, known: dict[str, Any]) -> Verdict:
    """The better of two paths that gives what the model gives for each document alone."""
    documents = _documents(model)
    with torch.no_grad():
        own = [_alone(model, document) for document in documents]
        scale = float(torch.cat(own).std())
        figures: dict[str, float] = {}
        reasons: list[str] = []
        known = {**known, "windows": _widest_window(model)}
        paths: tuple[tuple[RowsPath, _Run], ...] = (("flat", _in_a_row), ("single", _one_by_one))
        for path, run in paths:
            worst = _worst(run, model, documents, own, reasons, path)
            if worst is not None:
                figures[path] = worst / scale
                if figures[path] <= _ALLOWED:
                    return Verdict(path=path, reasons=tuple(reasons), figures=figures, **known)
                reasons.append(f"{_WORDS[path]} give logits {figures[path]:.1e} standard deviations off")
    return Verdict(path="refused", reasons=tuple(reasons), figures=figures, **known)


_WORDS = {"flat": "flat rows", "single": "single examples"}
_Run = Callable[[Any, Sequence[tuple[int, ...]]], list[Tensor]]


def _worst(
    run: _Run, model: Any, documents: Sequence[tuple[int, ...]], own: Sequence[Tensor], reasons: list[str], path: str
) -> float | None:
    """The largest difference of a path's logits from the model's own; None if it cannot be gone, which is noted."""
    try:
        found = run(model, documents)
        if path == "flat":
            _trains_in_a_row(model, documents)
    except Exception as error:  # a family's own code: whatever it raises, the path is none
        reasons.append(str(error).splitlines()[0][:160] if str(error) else type(error).__name__)
        return None
    worst = max(float((a - b).abs().max()) for a, b in zip(own, found, strict=True))
    return worst if worst == worst else float("inf")


def _alone(model: Any, document: Sequence[int]) -> Tensor:
    logits: Tensor = model(input_ids=torch.tensor([document]), use_cache=False).logits[0]
    return logits.float()


def _in_a_row(model: Any, documents: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """As training goes over a row, and as whoever asks for logits at positions does; the worse of the two counts."""
    lengths = [len(document) for document in documents]
    ids_1T, segments = torch.tensor([[i for document in documents for i in document]]), segments_of(lengths)
    with flat_rows(model):
        logits_TV = own_logits(model, hidden_states(model, ids_1T, segments))
        asked_TV = flat_forward(model, ids_1T, segments, torch.arange(sum(lengths)))
    if not torch.allclose(logits_TV, asked_TV, rtol=0.0, atol=1e-4 * float(asked_TV.std())):
        raise ValueError("its head gives other logits for states than for tokens")
    return list(torch.split(logits_TV.float(), lengths))


def _trains_in_a_row(model: Any, documents: Sequence[tuple[int, ...]]) -> None:
    """Go over a row in training mode: a family's own dropout may be what flat rows refuse."""
    ids_1T, segments = torch.tensor([documents[0]]), segments_of([len(documents[0])])
    model.train()
    try:
        with flat_rows(model):
            hidden_states(model, ids_1T, segments)
    finally:
        model.eval()


def _one_by_one(model: Any, documents: Sequence[tuple[int, ...]]) -> list[Tensor]:
    return [own_logits(model, hidden_states(model, torch.tensor([d]), None)).float() for d in documents]


def _documents(model: Any) -> list[tuple[int, ...]]:
    """Three documents of random tokens, of which one is longer than any window."""
    vocabulary = model.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(1)
    reach = max(_widest_window(model) or 0, WINDOW)
    lengths = (19, 2 * reach + 9, 26)
    return [tuple(torch.randint(3, vocabulary, (n,), generator=generator).tolist()) for n in lengths]


def _widest_window(model: Any) -> int | None:
    """The widest window that any layer attends within, as far as layers or settings say so."""
    found = [
        value
        for place in (model.config.get_text_config(), *model.modules())
        for name in ("sliding_window", "window_size", "attention_window_size", "attention_chunk_size")
        if isinstance(value := getattr(place, name, None), int) and not isinstance(value, bool) and 0 < value < 4096
    ]
    return max(found, default=None)


def linear_layers(model: nn.Module) -> dict[str, tuple[tuple[int, int], ...]]:
    """Names of the linear projections below the head, each with the inputs and outputs that it has, in some layer."""
    whole: Any = model
    head = whole.get_output_embeddings() if hasattr(whole, "get_output_embeddings") else None
    found: dict[str, set[tuple[int, int]]] = {}
    for name, module in model.named_modules():
        sizes = _sizes(module)
        if sizes is not None and module is not head:
            found.setdefault(name.rsplit(".", 1)[-1], set()).add(sizes)
    return {name: tuple(sorted(sizes)) for name, sizes in sorted(found.items())}


def _sizes(module: Any) -> tuple[int, int] | None:
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if type(module).__name__ == "Conv1D" and hasattr(module, "nf"):
        return int(module.weight.shape[0]), int(module.nf)
    return None


def _said(error: Exception, config: Any) -> str:
    """Why no model could be made of a configuration, in one line."""
    text = str(error)
    if "Unrecognized configuration class" in text or "AutoModelForCausalLM" in text:
        return f"{type(config).__name__} is no class of causal language models in transformers"
    return said(error)


def read_config(model: ModelSpec) -> Any:
    """A model's configuration.

    Raises:
        ModelError: if it cannot be read.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            location_of(model), revision=model.revision, trust_remote_code=model.trust_remote_code
        )
    except (OSError, ValueError, KeyError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"the configuration of {model.name!r} cannot be read: {text[:200]}") from error


def look_at_prompts(model: ModelSpec) -> Prompting:
    """What a model's tokenizer with its template does to prompts and answers.

    Raises:
        ModelError: if it cannot be read.
    """
    given, tokenizer = template_text(model), load_tokenizer(model)
    rendered = render_example(tokenizer, track=BUILTIN_TRACKS[0], text="text", answer="answer")
    plain = given is None and tokenizer.chat_template.endswith(PLAIN)
    return Prompting(
        template="study's" if given is not None else "plain" if plain else "own",
        system=rendered.system,
        lead=rendered.lead,
        opens=rendered.prompt[-40:],
        faults=faults_of_prompts(tokenizer),
    )


def main() -> None:
    """Look at the family and the prompts of the model that standard input describes; print what was found as JSON."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    model = ModelSpec.model_validate_json(sys.stdin.read())
    looks: dict[str, Callable[[], Record]] = {
        "family": lambda: probe(read_config(model)),
        "prompts": lambda: look_at_prompts(model),
    }
    answers = {}
    for look, run in looks.items():
        try:
            answers[look] = run().model_dump_json()
        except ModelError as error:
            answers[f"no {look}"] = str(error)
        except Exception as error:  # what a tokenizer's or a family's own code says is this model's fault alone
            answers[f"no {look}"] = f"{model.name!r} cannot be used: {said(error)}"
    print(json.dumps(answers))


__all__ = ["linear_layers", "look_at_prompts", "probe", "read_config"]

if __name__ == "__main__":
    main()
