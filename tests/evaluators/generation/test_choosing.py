"""The next token: by one number for each, which depends on the problem, the sample and the place alone."""

from collections import Counter

import pytest
import torch

from evaluators.generation.choosing import choose, draws
from evaluators.generation.settings import GenerationSettings

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0, -torch.inf]])


def settings(**given: float) -> GenerationSettings:
    return GenerationSettings.model_validate({"temperature": 1.0, **given})


def shares(**given: float) -> dict[int, float]:
    """How often each token is chosen when the numbers run evenly from 0 to 1."""
    numbers = (torch.arange(1000) + 0.5) / 1000
    chosen = choose(LOGITS.expand(1000, -1), settings(**given), draw_S=numbers, seen_SV=None)
    return {token: count / 1000 for token, count in Counter(chosen.tolist()).items()}


def test_greedy_takes_the_likeliest() -> None:
    assert choose(LOGITS, GenerationSettings(), draw_S=None, seen_SV=None).tolist() == [0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_by_the_softmax_at_a_temperature(temperature: float) -> None:
    expected = (LOGITS[0] / temperature).softmax(0).tolist()
    found = shares(temperature=temperature)
    assert {token: found.get(token, 0.0) for token in range(5)} == pytest.approx(dict(enumerate(expected)), abs=2e-3)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"top_k": 2}, {0, 1}),
        ({"top_k": 50}, {0, 1, 2, 3}),
        # softmax of 2, 1, 0, -1 is .644, .237, .087, .032
        ({"top_p": 0.6}, {0}),
        ({"top_p": 0.7}, {0, 1}),
        ({"top_p": 0.95}, {0, 1, 2}),
        ({"min_p": 0.1}, {0, 1, 2}),
        ({"min_p": 0.2}, {0, 1}),
        # Of two tokens the first has .731 of the probability.
        ({"top_k": 2, "top_p": 0.7}, {0}),
    ],
)
def test_what_is_left_out_is_never_drawn_and_the_rest_keeps_its_proportions(
    given: dict[str, float], kept: set[int]
) -> None:
    found = shares(**given)
    assert set(found) == kept
    plain = shares()
    total = sum(plain[token] for token in kept)
    assert found == pytest.approx({token: plain[token] / total for token in kept}, abs=3e-3)


def test_the_largest_number_and_zero_draw_tokens_that_may_be_drawn() -> None:
    for number in (0.0, 1.0 - 2**-24):
        chosen = choose(LOGITS, settings(top_p=0.7), draw_S=torch.tensor([number]), seen_SV=None)
        assert chosen.tolist()[0] in (0, 1)


def test_repetition_penalty_is_transformers_own() -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    torch.manual_seed(0)
    logits, ids = torch.randn(4, 50), torch.randint(0, 50, (4, 12))
    own = RepetitionPenaltyLogitsProcessor(penalty=1.7)(ids, logits.clone()).argmax(-1)
    seen = torch.zeros((4, 50), dtype=torch.bool).scatter(1, ids, True)
    chosen = choose(logits, GenerationSettings(repetition_penalty=1.7), draw_S=None, seen_SV=seen)
    assert chosen.tolist() == own.tolist()


def test_numbers_depend_on_seed_problem_and_sample_and_not_on_how_many_are_drawn() -> None:
    numbers = draws(0, "a/1", 0, count=40)
    assert draws(0, "a/1", 0, count=10) == numbers[:10]
    others = [draws(1, "a/1", 0, count=40), draws(0, "a/2", 0, count=40), draws(0, "a/1", 1, count=40)]
    assert len({numbers, *others}) == 4
    assert all(0 <= number < 1 for number in numbers)
