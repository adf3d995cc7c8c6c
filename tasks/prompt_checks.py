"""Whether a tokenizer with its template can be trained behind: what it does to answers, to prompts, and to dates.

One decision: this is found out with texts of our own before a study's data is read, so that a template that rewrites
what it is given is named before anything is trained, with how many texts of how many suffer and the first of them.
"""

from collections.abc import Iterator, Sequence

from tasks.prompts import ChatTokenizer, conversation, render_example, render_prompt, written_behind
from tasks.records import BUILTIN_TRACKS, Track

_TEXT = "Reverse a string — größer? — and return it.\n\ndef solve(text):\n    '''keep\tall'''"
_ANSWERS = (
    "def solve(text):\n    return text[::-1]",
    "    total = 0\n    for x in xs:\n        total += x\n    return total",
    "  two", " one", "\ttab", "return a != b ; x ,y", "größer → ☃", "line\r\nline", "two\n\nparagraphs", "ends\n", "x",
)  # fmt: skip
_ANOTHER_DAY = "29 Feb 2000"


def faults_of_prompts(tokenizer: ChatTokenizer, *, tracks: Sequence[Track] = BUILTIN_TRACKS) -> tuple[str, ...]:
    """What is wrong with training behind a tokenizer's template, a sentence each; nothing if all is well."""
    return tuple(fault for track in tracks[:1] for fault in _faults(tokenizer, track))


def _faults(tokenizer: ChatTokenizer, track: Track) -> Iterator[str]:
    marks = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special and str(token).strip()]
    marked = [f"print('{mark}') # {mark}" for mark in marks[:4]]
    yield from _changed_answers(tokenizer, track, [*_ANSWERS, *marked])
    yield from _changed_prompts(tokenizer, track, [_TEXT, *marked])
    if _on_another_day(tokenizer, track) != render_prompt(tokenizer, track=track, text=_TEXT).prompt:
        yield f"its prompts differ from day to day: {_ANOTHER_DAY} as today's date gives another prompt"


def _changed_answers(tokenizer: ChatTokenizer, track: Track, answers: Sequence[str]) -> Iterator[str]:
    """Answers that their own tokens do not say."""
    changed = []
    for answer in answers:
        rendered = render_example(tokenizer, track=track, text=_TEXT, answer=answer)
        said = rendered.answer_ids[: -rendered.end_tokens]
        read = written_behind(tokenizer, rendered.prompt_ids, said).removeprefix(rendered.lead)
        if read != answer:
            changed.append((answer, read))
    if changed:
        answer, read = changed[0]
        yield f"{len(changed)} of {len(answers)} answers are not what their tokens say: {answer!r} becomes {read!r}"


def _changed_prompts(tokenizer: ChatTokenizer, track: Track, texts: Sequence[str]) -> Iterator[str]:
    """Prompts that training and generation see differently, or that do not hold the text that they are about."""
    differ = lost = 0
    for text in texts:
        asked = render_prompt(tokenizer, track=track, text=text)
        trained = render_example(tokenizer, track=track, text=text, answer=_ANSWERS[0])
        differ += asked.prompt_ids != trained.prompt_ids
        lost += text.strip() not in str(tokenizer.decode(asked.prompt_ids))
    if differ:
        yield f"{differ} of {len(texts)} prompts have other tokens in training than in generation"
    if lost:
        yield f"{lost} of {len(texts)} prompts do not hold the text that they are about, read back from their tokens"


def _on_another_day(tokenizer: ChatTokenizer, track: Track) -> str:
    """The prompt as it would be with the clock at another day."""
    system = render_prompt(tokenizer, track=track, text=_TEXT).system
    turns = conversation(track, _TEXT, system=system)
    # A clock that a template brings along comes after this one and hides it.
    clock = f"{{% macro strftime_now(format) %}}{_ANOTHER_DAY}{{% endmacro %}}"
    template = clock + str(tokenizer.chat_template)
    return str(tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=True))


__all__ = ["faults_of_prompts"]
