"""The one renderer: what a model is trained behind is, token by token, what it is asked with."""

import hashlib
import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from models.loading import load_tokenizer
from models.spec import ModelSpec
from tasks.prompts import conversation, render_example, render_prompt, system_line, written_behind
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

RECORDED = "490d8073152ad67555cf79ad4cb9cab4f1d5b179b5d662dffa61c65d8983c196"
RECORDED_CHAT_ML = "390db5491dd64db2fcbd5b007fbc7d86f8006a2da57062c419520c1301bada50"


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


def test_prompts_of_the_built_in_model_are_the_tokens_that_they_always_were() -> None:
    # Recorded from the renderer as it was before templates could be set: `builtin:micro`'s keys rest on it.
    tokenizer = load_tokenizer(ModelSpec(name="builtin:micro"))
    answers = [ANSWER, "    total = 0\n    for", "", "two\n\nparagraphs\n", "\tx\r\n"]
    for template, recorded in ((None, RECORDED), (CHAT_ML, RECORDED_CHAT_ML)):
        tokenizer.chat_template = template or tokenizer.chat_template
        rows: list[Any] = []
        for track in BUILTIN_TRACKS:
            rows.append(render_prompt(tokenizer, track=track, text=TEXT).prompt_ids)
            for answer in answers:
                rendered = render_example(tokenizer, track=track, text=TEXT, answer=answer)
                rows.append((rendered.prompt_ids, rendered.answer_ids))
        assert hashlib.sha256(json.dumps(rows).encode()).hexdigest() == recorded


def test_answer_is_trained_behind_a_thought_that_the_template_opens(tokenizer: Any) -> None:
    tokenizer.chat_template = THINKING
    asked = render_prompt(tokenizer, track=BUILTIN_TRACKS[0], text=TEXT)
    trained = render_example(tokenizer, track=BUILTIN_TRACKS[0], text=TEXT, answer=ANSWER)
    assert asked.prompt.endswith("<think>\n")
    assert trained.prompt_ids == asked.prompt_ids
    assert written_behind(tokenizer, asked.prompt_ids, trained.answer_ids) == ANSWER


def test_missing_template_is_refused_with_the_remedy(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="has no chat template; load it by"):
        render_prompt(tokenizer, track=BUILTIN_TRACKS[0], text=TEXT)


def test_marks_in_what_a_person_wrote_are_letters(tokenizer: Any) -> None:
    text, answer = "say <|endoftext|> and <|pad|> twice", "print('<|endoftext|>')"
    rendered = render_example(tokenizer, track=BUILTIN_TRACKS[0], text=text, answer=answer)
    assert not set(tokenizer.all_special_ids) & set(rendered.prompt_ids)
    assert tokenizer.decode(rendered.prompt_ids) == rendered.prompt
    assert rendered.answer_ids.count(tokenizer.eos_token_id) == 1
    assert written_behind(tokenizer, rendered.prompt_ids, rendered.answer_ids) == answer


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
