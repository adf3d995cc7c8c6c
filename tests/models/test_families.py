"""Real examples through small copies of families: losses, gradients and leaks against the model's own code.

The table of forty, with trainings and answers, is made by `benchmarks/families.py`; this is its part that is quick.
"""

import pytest

from benchmarks.families import FAMILIES, GRADIENT_ALLOWED, LOSS_ALLOWED, compared

MAY_NOT_BE_REFUSED = (
    "llama",
    "mistral",
    "qwen2 window",
    "qwen3",
    "gemma2",
    "gemma3_text",
    "granite",
    "cohere2",
    "starcoder2",
    "phi3",
    "deepseek_v3",
)


@pytest.mark.parametrize("family", [*MAY_NOT_BE_REFUSED, "gptj", "bloom", "mamba2", "lfm2", "gpt_oss"])
def test_path_of_a_family_gives_its_own_losses_and_gradients_and_lets_nothing_leak(family: str) -> None:
    outcome = compared(family)
    assert outcome.verdict.path != "refused", outcome.verdict.reasons
    assert outcome.loss is not None
    assert outcome.loss <= LOSS_ALLOWED
    assert outcome.gradient is not None
    assert outcome.gradient <= GRADIENT_ALLOWED
    assert outcome.leak is not None
    assert outcome.leak <= LOSS_ALLOWED
    assert outcome.right


def test_forty_families_are_known() -> None:
    assert len(FAMILIES) == 40
