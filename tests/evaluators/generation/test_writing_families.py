"""Families write in slots, or by their own `generate`, what each prompt gets alone: token for token in fp32."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import AutoConfig, GenerationConfig

from evaluators.generation.batches import write_in_batches
from evaluators.generation.proof import slotted
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.writer import Asked, SlotWriter
from models.shrunken import WINDOW, shrunken

pytestmark = pytest.mark.slow

LIMIT = 24
# Settings beside transformers' own defaults, and whether the family can be asked in slots.
FAMILIES: dict[str, tuple[dict[str, Any], bool]] = {
    "llama": ({}, True),
    "mistral": ({"sliding_window": 4096}, True),
    "qwen2": ({"use_sliding_window": True, "sliding_window": 4096, "max_window_layers": 0}, True),
    "qwen3": ({}, True),
    "granite": ({"logits_scaling": 8.0}, True),
    "starcoder2": ({"sliding_window": 4096}, True),
    "gpt_neox": ({}, True),
    "gpt_bigcode": ({}, True),
    "deepseek_v3": ({}, True),
    "gemma3_text": ({}, True),
    "phi3": ({"sliding_window": 2047}, True),
    "cohere2": ({"logit_scale": 0.25}, True),
    "gemma2": ({}, False),
    "mamba2": ({}, False),
    "granitemoehybrid": ({"layer_types": ["mamba", "attention"] * 16}, False),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_family_writes_what_each_prompt_gets_alone(family: str) -> None:
    settings, in_slots = FAMILIES[family]
    model: Any = shrunken(AutoConfig.for_model(family, **settings))
    model.generation_config.eos_token_id = None
    assert (slotted(model) is not None) is in_slots
    prompts = prompts_of(model)
    alone = [written_alone(model, ids, ends=frozenset()) for ids in prompts]
    # A token that some answers have in their middle, so that they end there and others take their slots.
    ends = frozenset({alone[0][LIMIT // 2], alone[3][LIMIT // 3]})
    expected = [before_end(answer, ends) for answer in alone]
    for slots in (1, 4, 32):
        assert written(model, prompts, ends=ends, slots=slots, in_slots=in_slots) == expected, slots


def prompts_of(model: Any) -> list[list[int]]:
    """Prompts shorter and longer than a window; some of the same length."""
    drawn = random.Random(0)
    vocabulary = model.config.get_text_config().vocab_size
    lengths = [3, 17, WINDOW, 40, 9, 17, 28, 5, 17, 33]
    return [[drawn.randrange(3, vocabulary) for _ in range(length)] for length in lengths]


def written_alone(model: Any, ids: Sequence[int], *, ends: frozenset[int]) -> list[int]:
    """What transformers gives for one prompt."""
    config = GenerationConfig(max_new_tokens=LIMIT, do_sample=False, eos_token_id=sorted(ends) or None, pad_token_id=0)
    ids_1T = torch.tensor([list(ids)])
    with torch.inference_mode():
        out_1T = model.generate(input_ids=ids_1T, attention_mask=torch.ones_like(ids_1T), generation_config=config)
    answer: list[int] = out_1T[0, len(ids) :].tolist()
    return answer


def before_end(answer: Sequence[int], ends: frozenset[int]) -> list[int]:
    place = next((i for i, token in enumerate(answer) if token in ends), len(answer))
    return list(answer[:place])


def written(
    model: Any, prompts: Sequence[Sequence[int]], *, ends: frozenset[int], slots: int, in_slots: bool
) -> list[list[int]]:
    asked = [Asked(ids=ids, limit=LIMIT) for ids in prompts]
    settings = GenerationSettings()
    if in_slots:
        found = SlotWriter(model, ends=ends, settings=settings, slots=slots).write(asked)
    else:
        found = write_in_batches(model, asked, ends=ends, settings=settings, size=slots)
    answers = {one.asked: list(one.ids) for one in found}
    return [answers[one] for one in asked]
