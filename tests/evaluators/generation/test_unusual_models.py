"""What few models or data have: other names for a context or none, empty prompts, tokens that begin with a space.

Each row that cannot be asked is skipped, and the others are answered.
"""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from evaluators.generation.answers import Stopper, completed, context_tokens, questions
from evaluators.generation.protocol import Prompt
from evaluators.generation.settings import GenerationSettings
from evaluators.generation.transformers_engine import generate
from models.loading import load_base
from models.shrunken import shrunken
from models.spec import ModelSpec
from tasks.micro import problems
from tasks.prompts import render_example
from tasks.records import Problem, Track

SETTINGS = GenerationSettings(max_new_tokens=6)
# Families that bound their context by another name than most, or by none.
BOUNDED = {"gpt2": "n_positions", "mpt": "max_seq_len", "gpt_neo": "max_position_embeddings"}
UNBOUNDED = ("bloom", "mamba2")


@pytest.fixture(scope="module")
def asked() -> tuple[Problem, ...]:
    return problems(Track.parse("generation/python"), split="test")[:3]


def model_of(family: str, tokenizer: Any, **settings: Any) -> Any:
    return shrunken(AutoConfig.for_model(family, **settings), vocabulary=len(tokenizer))


def lengths(tokenizer: Any, asked: Sequence[Problem]) -> list[int]:
    return [len(q.ids) for q in questions(tokenizer, [Prompt(problem=problem) for problem in asked], SETTINGS)]


@pytest.mark.parametrize("family", BOUNDED)
def test_context_is_found_by_every_familys_own_name_and_what_is_longer_is_skipped(
    family: str, tokenizer: Any, asked: tuple[Problem, ...]
) -> None:
    room = max(lengths(tokenizer, asked)) + SETTINGS.max_new_tokens
    model = model_of(family, tokenizer, **{BOUNDED[family]: room})
    assert context_tokens(model) == room
    longer = asked[0].model_copy(update={"input": asked[0].input + "\n# one line more" * 20})
    found = generate(model, tokenizer, [longer, *asked[1:]], settings=SETTINGS)
    assert [c.finish == "skipped" for c in found] == [True, False, False]


@pytest.mark.parametrize("family", UNBOUNDED)
def test_model_without_any_bound_is_asked_whatever_the_length(
    family: str, tokenizer: Any, asked: tuple[Problem, ...]
) -> None:
    model = model_of(family, tokenizer)
    assert context_tokens(model) is None
    longer = asked[0].model_copy(update={"input": asked[0].input + "\n# one line more" * 200})
    found = generate(model, tokenizer, [longer, *asked[1:]], settings=SETTINGS)
    assert all(c.finish in ("stop", "length") for c in found)
    assert found[0].prompt_tokens > 1000


def test_empty_prompt_is_skipped_and_the_others_are_answered(
    model_spec: ModelSpec, asked: tuple[Problem, ...], tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = load_base(model_spec, precision="fp32", device=torch.device("cpu"))
    nothing_else = (
        "{% if 'solve' in messages[-1].content %}{% for m in messages %}{{ m.content }}{% endfor %}{% endif %}"
    )
    monkeypatch.setattr(tokenizer, "chat_template", nothing_else)
    empty = asked[0].model_copy(update={"input": ""})
    found = generate(model, tokenizer, [empty, *asked[1:]], settings=SETTINGS)
    assert (found[0].finish, found[0].prompt_tokens, found[0].text) == ("skipped", 0, "")
    assert all(c.finish != "skipped" for c in found[1:])


def test_problem_without_a_text_is_asked_by_its_system_line(
    model_spec: ModelSpec, asked: tuple[Problem, ...], tokenizer: Any
) -> None:
    model: Any = load_base(model_spec, precision="fp32", device=torch.device("cpu"))
    empty = asked[0].model_copy(update={"input": ""})
    assert [c.finish != "skipped" for c in generate(model, tokenizer, [empty, *asked[1:]], settings=SETTINGS)] == [
        True
    ] * 3


@pytest.mark.parametrize("kind", ["legacy", "metaspace"])
def test_indentation_that_an_answer_begins_with_is_kept_under_tokenizers_that_mark_words(
    kind: str, asked: tuple[Problem, ...]
) -> None:
    """Such tokenizers read an answer's tokens without the space that they begin with (Llama 2's, for one)."""
    from tests.tasks.test_templates import spaced, with_template

    tokenizer = with_template(spaced(kind), None)
    body = asked[0].model_copy(update={"preamble": "def solve(n):\n"})
    text = "    return n\n\nprint(solve(1))\n"
    rendered = render_example(tokenizer, track=body.parsed_track, text=body.input, answer=text)
    ids = rendered.answer_ids[: -rendered.end_tokens]
    assert tokenizer.decode(ids) != text
    settings = GenerationSettings(stop_at_answer=True)
    (question,) = questions(tokenizer, [Prompt(problem=body)], settings)
    plain = completed(question, ids, stopped=True, tokenizer=tokenizer, settings=GenerationSettings())
    assert plain.text == text
    ended = completed(question, ids, stopped=False, tokenizer=tokenizer, settings=settings)
    assert (ended.text, ended.finish) == ("    return n\n\n", "answered")
    over = Stopper(tokenizer, settings).of(question)
    assert over is not None
    assert any(over(ids[:count]) for count in range(1, len(ids) + 1))
