"""The one renderer of prompts: training and generation both come through here.

One decision: a chat is split into the prompt, up to where the model starts to write, and the answer
that follows it; the two are tokenised apart. So the tokens that a model is prompted with are, to
the last one, those that it was trained behind. (In the founding study the two differed, and most of
one configuration's outputs lost their first letter.)
"""

from dataclasses import dataclass
from typing import Any, Protocol

from tasks.records import Task, Track

VERSION = 1


class ChatTokenizer(Protocol):
    """What is asked of a tokenizer: a chat template, plain encoding and an end-of-text token."""

    chat_template: Any
    name_or_path: str
    eos_token_id: int

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """Render a conversation through the model's own template."""

    def __call__(self, text: str, **options: Any) -> Any:
        """Encode text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A prompt, or a prompt with its answer, as text and as token ids."""

    prompt: str
    answer: str
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]


def system_line(track: Track) -> str:
    """The role that a model is given: one line, the same for every example of a track."""
    if track.task is Task.GENERATION:
        assert track.target is not None
        return f"Write the function in {track.target.title}."
    assert track.source is not None
    if track.task is Task.TRANSLATION:
        assert track.target is not None
        return f"Convert the function from {track.source.title} to {track.target.title}."
    return f"Say what the {track.source.title} function is for."


def conversation(track: Track, text: str) -> list[dict[str, str]]:
    """The turns before the model's own."""
    return [{"role": "system", "content": system_line(track)}, {"role": "user", "content": text}]


def render_prompt(tokenizer: ChatTokenizer, *, track: Track, text: str) -> Rendered:
    """What a model is shown when it is asked; the answer is left empty."""
    prompt = _template(tokenizer, conversation(track, text), add_generation_prompt=True)
    return Rendered(prompt=prompt, answer="", prompt_ids=_ids(tokenizer, prompt), answer_ids=())


def render_example(tokenizer: ChatTokenizer, *, track: Track, text: str, answer: str) -> Rendered:
    """What a model is trained on: the same prompt, then the answer and the end of the turn.

    Raises:
        ValueError: if the template renders the prompt differently once an answer follows it; then
            no split into prompt and answer is true for generation.
    """
    turns = conversation(track, text)
    prompt = _template(tokenizer, turns, add_generation_prompt=True)
    whole = _template(tokenizer, [*turns, {"role": "assistant", "content": answer}], add_generation_prompt=False)
    if not whole.startswith(prompt):
        raise ValueError(
            f"the chat template of {tokenizer.name_or_path} renders a prompt differently once an answer "
            "follows it; training and generation would not see the same tokens. Use a template whose "
            "generation prompt is a prefix of the whole conversation"
        )
    tail = whole[len(prompt) :].rstrip("\n")
    answer_ids = _ids(tokenizer, tail)
    if answer_ids[-1:] != (tokenizer.eos_token_id,):
        answer_ids = (*answer_ids, tokenizer.eos_token_id)
    return Rendered(prompt=prompt, answer=tail, prompt_ids=_ids(tokenizer, prompt), answer_ids=answer_ids)


def _template(tokenizer: ChatTokenizer, turns: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
    if tokenizer.chat_template is None:
        raise ValueError(
            f"{tokenizer.name_or_path} has no chat template; use an instruction-tuned model, or save a "
            "tokenizer with a chat_template beside the weights"
        )
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt))


def _ids(tokenizer: ChatTokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False).input_ids)
