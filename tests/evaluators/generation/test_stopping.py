"""A model that runs on behind its answer is stopped there, in slots and by its own `generate`, and the answer is whole.

One decision: the model is one that was taught three texts by heart, since no untrained one writes a whole function.
"""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from evaluators.extraction import extract_program
from evaluators.generation import transformers_engine
from evaluators.generation.answers import Stopper, questions
from evaluators.generation.protocol import Prompt
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.transformers_engine import generate
from models.loading import load_base
from models.spec import ModelSpec
from tasks.micro import problems
from tasks.prompts import render_example
from tasks.records import Completion, Problem, Track

SETTINGS = GenerationSettings(max_new_tokens=64)
STOPPING = SETTINGS.model_copy(update={"stop_at_answer": True})
ANSWER = "def solve(n):\n    return n + {}\n\n"
RUN_ON = "print(solve(1))\n# 2\nprint(solve(2))\n# 3\nprint(solve(3))\n"
TEXTS = (ANSWER.format(1) + RUN_ON, ANSWER.format(2), ANSWER.format(3) + "# More\n" + RUN_ON)


@pytest.fixture(scope="module")
def asked() -> tuple[Problem, ...]:
    return problems(Track.parse("generation/python"), split="test")[:3]


@pytest.fixture(scope="module")
def taught(model_spec: ModelSpec, tokenizer: Any, asked: tuple[Problem, ...]) -> Any:
    """A model that writes `TEXTS`, of which it ends the second by itself alone."""
    model: Any = load_base(model_spec, precision="fp32", device=torch.device("cpu"))
    rows = []
    for problem, text in zip(asked, TEXTS, strict=True):
        whole = render_example(tokenizer, track=problem.parsed_track, text=problem.input, answer=text)
        ids = (*whole.prompt_ids, *whole.answer_ids)
        labels = (*[-100] * len(whole.prompt_ids), *whole.answer_ids)
        rows.append((torch.tensor([ids]), torch.tensor([labels])))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(60):
        for ids_1T, labels_1T in rows:
            model(input_ids=ids_1T, labels=labels_1T).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def written(model: Any, tokenizer: Any, asked: Sequence[Problem], settings: GenerationSettings) -> list[Completion]:
    by_slots = [generate(model, tokenizer, asked, settings=settings, slots=slots) for slots in (1, 2, 3)]
    assert by_slots[0] == by_slots[1] == by_slots[2]
    return list(by_slots[0])


def programs(found: Sequence[Completion], asked: Sequence[Problem]) -> list[str]:
    return [extract_program(c.text, problem=p).strip() for c, p in zip(found, asked, strict=True)]


def test_answers_end_behind_their_function_and_are_what_they_were(
    taught: Any, tokenizer: Any, asked: tuple[Problem, ...]
) -> None:
    whole, ended = (written(taught, tokenizer, asked, settings) for settings in (SETTINGS, STOPPING))
    assert [c.text for c in whole] == list(TEXTS)
    assert [c.text for c in ended] == [ANSWER.format(1), ANSWER.format(2), ANSWER.format(3) + "# More\n"]
    assert [c.finish for c in whole] == ["stop", "stop", "stop"]
    assert [c.finish for c in ended] == ["answered", "stop", "answered"]
    assert [a.new_tokens < b.new_tokens for a, b in zip(ended, whole, strict=True)] == [True, False, True]
    assert programs(ended, asked) == programs(whole, asked)


def test_own_generate_of_a_model_ends_the_same_answers_at_the_same_tokens(
    taught: Any, tokenizer: Any, asked: tuple[Problem, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_slots = written(taught, tokenizer, asked, STOPPING)
    monkeypatch.setattr(transformers_engine, "slotted", lambda model: None)
    steps: list[int] = []
    forward = taught.forward
    monkeypatch.setattr(taught, "forward", lambda *args, **also: steps.append(1) or forward(*args, **also))
    assert written(taught, tokenizer, asked, STOPPING) == by_slots
    stopping = len(steps)
    written(taught, tokenizer, asked, SETTINGS)
    assert stopping < len(steps) - stopping


def test_text_is_looked_at_behind_line_ends_alone(tokenizer: Any, asked: tuple[Problem, ...]) -> None:
    (question,) = questions(tokenizer, [Prompt(problem=asked[0])], STOPPING)
    ids = tokenizer(TEXTS[0], add_special_tokens=False).input_ids
    read: list[int] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        def decode(self, ids: Sequence[int], **options: Any) -> str:
            read.append(len(ids))
            return str(tokenizer.decode(ids, **options))

    over = Stopper(Watched(), STOPPING).of(question)
    assert over is not None
    places = [place for place in range(1, len(ids) + 1) if over(ids[:place])]
    assert tokenizer.decode(ids[: places[0]]).startswith(ANSWER.format(1) + "print(solve(1))\n")
    long = [length for length in read if length > 1]
    assert len(long) <= TEXTS[0].count("\n")


def test_nothing_is_looked_at_where_nothing_is_to_be_stopped(tokenizer: Any, asked: tuple[Problem, ...]) -> None:
    (question,) = questions(tokenizer, [Prompt(problem=asked[0])], SETTINGS)
    assert Stopper(tokenizer, SETTINGS).of(question) is None
