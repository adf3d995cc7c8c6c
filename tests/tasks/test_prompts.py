"""The one renderer: what a model is trained behind is, token by token, what it is asked with."""

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from models.loading import load_tokenizer
from models.spec import ModelSpec
from tasks.prompts import conversation, render_example, render_prompt, system_line
from tasks.records import BUILTIN_TRACKS, Language, Task, Track

TEXT = "Given a string, reverse it — größer? — and return the text.\ndef solve(text):"
ANSWER = "def solve(text):\n    return text[::-1]"
# Qwen2.5's turns, without its tool calls; the end of a turn is the end of text here.
CHAT_ML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{{ message['content'] + eos_token + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
WITHOUT_END = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
# DeepSeek-R1's habit: an opened thought in the generation prompt that the conversation lacks.
THINKING = WITHOUT_END.replace("{{ 'assistant: ' }}", "{{ 'assistant: <think>\\n' }}")


@pytest.fixture
def tokenizer(tiny_base: Path) -> Any:
    return load_tokenizer(ModelSpec(name=str(tiny_base)))


@pytest.fixture(params=["builtin", CHAT_ML, WITHOUT_END], ids=["builtin", "chat-ml", "without-end"])
def templated(tokenizer: Any, request: pytest.FixtureRequest) -> Any:
    if request.param != "builtin":
        tokenizer.chat_template = request.param
    return tokenizer


@pytest.mark.parametrize("track", BUILTIN_TRACKS, ids=str)
def test_example_starts_with_the_very_tokens_of_its_prompt(templated: Any, track: Track) -> None:
    asked = render_prompt(templated, track=track, text=TEXT)
    trained = render_example(templated, track=track, text=TEXT, answer=ANSWER)
    assert asked.prompt_ids
    assert trained.prompt_ids == asked.prompt_ids
    assert trained.prompt == asked.prompt
    assert asked.answer_ids == ()
    assert templated.decode(trained.prompt_ids) == asked.prompt


@pytest.mark.parametrize(
    "answer", [ANSWER, "x", "", "two\n\nparagraphs"], ids=["code", "letter", "empty", "blank-line"]
)
def test_answer_ends_with_the_end_of_text_exactly_once(templated: Any, answer: str) -> None:
    ids = render_example(templated, track=BUILTIN_TRACKS[0], text=TEXT, answer=answer).answer_ids
    assert ids[-1] == templated.eos_token_id
    assert ids.count(templated.eos_token_id) == 1
    assert templated.decode(ids, skip_special_tokens=True) == answer


def test_template_that_renders_a_prompt_differently_with_an_answer_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = THINKING
    with pytest.raises(ValueError, match="renders a prompt differently once an answer follows"):
        render_example(tokenizer, track=BUILTIN_TRACKS[0], text=TEXT, answer=ANSWER)


def test_missing_template_is_refused_with_the_remedy(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="has no chat template; use an instruction-tuned model"):
        render_prompt(tokenizer, track=BUILTIN_TRACKS[0], text=TEXT)


def test_every_track_has_a_system_line_of_its_own() -> None:
    tracks = [
        *(Track(task=Task.GENERATION, target=language) for language in Language),
        *(Track(task=Task.SUMMARIZATION, source=language) for language in Language),
        *(Track(task=Task.TRANSLATION, source=a, target=b) for a, b in permutations(Language, 2)),
    ]
    lines = [system_line(track) for track in tracks]
    assert len(set(lines)) == len(tracks)
    assert not any("\n" in line or "None" in line for line in lines)


def test_text_of_the_user_is_shown_unchanged(tokenizer: Any) -> None:
    track = BUILTIN_TRACKS[2]
    assert [turn["content"] for turn in conversation(track, TEXT)] == [system_line(track), TEXT]
    assert TEXT in render_prompt(tokenizer, track=track, text=TEXT).prompt
