"""The one renderer of prompts: training and generation both come through here.

One decision: a template renders the prompt, up to where the model starts to write; the answer's tokens are appended
to it by us, with the end mark that the template would write. So the tokens that a model is prompted with are, to the
last one, those that it was trained behind, and no template trims or rewrites an answer. (In the founding study the
two differed, and most of one configuration's outputs lost their first letter.)

What a person wrote is text: an end-of-text mark inside an input or an answer is spelled out, and is no mark.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from tasks.records import Task, Track
from tasks.templates import SystemRole

VERSION = 1
# Stands for an answer while a template is asked what it writes around one.
_STAND_IN = "AnswerStandsHere"


class ChatTokenizer(Protocol):
    """What is asked of a tokenizer: a chat template, plain encoding and decoding, and an end-of-text token."""

    chat_template: Any
    name_or_path: str
    eos_token_id: int
    all_special_ids: list[int]
    added_tokens_decoder: dict[int, Any]

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """Render a conversation through the model's own template."""

    def __call__(self, text: str, **options: Any) -> Any:
        """Encode text."""

    def decode(self, ids: Sequence[int], **options: Any) -> Any:
        """Text of token ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A prompt, or a prompt with its answer, as text and as token ids.

    `lead` is what the template writes between the prompt and an answer (a space, an empty thought): trained with the
    answer and taken off what a model wrote. The last `end_tokens` of the answer end its turn. `system` tells where the
    system line stands.
    """

    prompt: str
    answer: str
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    lead: str = ""
    end_tokens: int = 0
    system: SystemRole = "own"


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


def conversation(track: Track, text: str, *, system: SystemRole = "own") -> list[dict[str, str]]:
    """The turns before the model's own."""
    line = system_line(track)
    if system == "own":
        return [{"role": "system", "content": line}, {"role": "user", "content": text}]
    return [{"role": "user", "content": f"{line}\n\n{text}"}]


def render_prompt(tokenizer: ChatTokenizer, *, track: Track, text: str) -> Rendered:
    """What a model is shown when it is asked; the answer is left empty."""
    asked = _asked(tokenizer, track, text)
    return Rendered(
        prompt=asked.prompt,
        answer="",
        prompt_ids=_prompt_ids(tokenizer, asked.prompt, text),
        answer_ids=(),
        lead=asked.lead,
        system=asked.system,
    )


def render_example(tokenizer: ChatTokenizer, *, track: Track, text: str, answer: str) -> Rendered:
    """What a model is trained on: the same prompt, then the answer and the end of the turn."""
    asked = _asked(tokenizer, track, text)
    prompt_ids = _prompt_ids(tokenizer, asked.prompt, text)
    ends = _ids(tokenizer, asked.end)
    if ends[-1:] != (tokenizer.eos_token_id,):
        ends = (*ends, tokenizer.eos_token_id)
    lead_ids = _ids_behind(tokenizer, asked.lead, behind=prompt_ids, spelled_out=False) if asked.lead.strip() else ()
    written = answer if lead_ids else asked.lead + answer
    return Rendered(
        prompt=asked.prompt,
        answer=asked.lead + answer + asked.end,
        prompt_ids=prompt_ids,
        answer_ids=(*lead_ids, *_ids_behind(tokenizer, written, behind=(*prompt_ids, *lead_ids)), *ends),
        lead=asked.lead,
        end_tokens=len(ends),
        system=asked.system,
    )


def written_behind(tokenizer: ChatTokenizer, prompt_ids: Sequence[int], new_ids: Sequence[int]) -> str:
    """The text of what was written behind a prompt, without special tokens.

    Tokens decoded alone lose a leading space under tokenizers that mark the beginnings of words (Llama 2's, for one),
    and with it the indentation of code. So they are decoded behind the prompt's last token.
    """
    special = _special_ids(tokenizer)
    return _text_behind(tokenizer, prompt_ids, [token for token in new_ids if token not in special])


def _text_behind(tokenizer: ChatTokenizer, behind: Sequence[int], ids: Sequence[int]) -> str:
    last = list(behind[-1:])
    before, whole = str(tokenizer.decode(last)), str(tokenizer.decode([*last, *ids]))
    return whole[len(before) :] if whole.startswith(before) else str(tokenizer.decode(list(ids)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A rendered prompt with what the template would write around an answer to it."""

    prompt: str
    lead: str
    end: str
    system: SystemRole


def _asked(tokenizer: ChatTokenizer, track: Track, text: str) -> _Asked:
    """Render a prompt; a system line that the template refuses or drops goes before the text."""
    from jinja2 import TemplateError

    system: SystemRole = "own"
    try:
        prompt = _template(tokenizer, conversation(track, text), add_generation_prompt=True)
    except TemplateError:
        prompt = ""
    if system_line(track) not in prompt:
        system = "in the user's turn"
        prompt = _template(tokenizer, conversation(track, text, system=system), add_generation_prompt=True)
    turns = [*conversation(track, text, system=system), {"role": "assistant", "content": _STAND_IN}]
    try:
        whole = _template(tokenizer, turns, add_generation_prompt=False)
    except TemplateError:
        whole = ""
    before, found, after = whole.rpartition(_STAND_IN)
    # A generation prompt that the conversation lacks (an opened thought) is what the model is asked with all the same.
    lead = before.removeprefix(prompt) if found and before.startswith(prompt) else ""
    return _Asked(prompt=prompt, lead=lead, end=after.rstrip("\n") if found else "", system=system)


def _template(tokenizer: ChatTokenizer, turns: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
    if tokenizer.chat_template is None:
        raise ValueError(
            f"{tokenizer.name_or_path} has no chat template; load it by models.loading.load_tokenizer, which gives a "
            "base model a plain one"
        )
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt))


def _prompt_ids(tokenizer: ChatTokenizer, prompt: str, text: str) -> tuple[int, ...]:
    """Tokens of a rendered prompt in which the marks of a person's text are spelled out."""
    shown = text if text in prompt else text.strip()
    start = prompt.rfind(shown)
    marks = [mark for mark in _marks(tokenizer) if mark in shown]
    if not marks or start < 0:
        return _ids(tokenizer, prompt)
    # A mark parts the text before and after it in any case, so its own tokens are all that changes.
    end = start + len(shown)
    parts = list(_parted(prompt[start:end], marks))
    parts[0] = (prompt[:start] + parts[0][0], False) if not parts[0][1] else parts[0]
    parts[-1] = (parts[-1][0] + prompt[end:], False) if not parts[-1][1] else parts[-1]
    ids: tuple[int, ...] = ()
    for part, is_mark in parts:
        ids += _ids_behind(tokenizer, part, behind=ids, spelled_out=is_mark)
    return ids


def _parted(text: str, marks: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Text cut at its marks, each part with whether it is one; first and last are none."""
    while found := [(text.find(mark), -len(mark), mark) for mark in marks if mark in text]:
        at, _, mark = min(found)
        yield text[:at], False
        yield mark, True
        text = text[at + len(mark) :]
    yield text, False


def _ids_behind(
    tokenizer: ChatTokenizer, text: str, *, behind: Sequence[int], spelled_out: bool = True
) -> tuple[int, ...]:
    """Tokens that say a text behind others.

    A tokenizer that marks the beginnings of words puts a space before whatever it is given; such a text is encoded
    behind a line's end, whose tokens are then left out.
    """
    ids = _ids(tokenizer, text, spelled_out=spelled_out)
    if not behind or _text_behind(tokenizer, behind, ids) == text:
        return ids
    line = _ids(tokenizer, "\n", spelled_out=spelled_out)
    whole = _ids(tokenizer, "\n" + text, spelled_out=spelled_out)
    apart = whole[len(line) :]
    if whole[: len(line)] == line and _text_behind(tokenizer, behind, apart) == text:
        return apart
    return ids


def _ids(tokenizer: ChatTokenizer, text: str, *, spelled_out: bool = False) -> tuple[int, ...]:
    """Token ids of a text in which marks are marks, or letters like any other."""
    if not text:
        return ()
    return tuple(tokenizer(text, add_special_tokens=False, split_special_tokens=spelled_out).input_ids)


def _marks(tokenizer: ChatTokenizer) -> tuple[str, ...]:
    """How the special tokens are written, the longest first."""
    return _marks_of(tuple((i, str(t), bool(t.special)) for i, t in tokenizer.added_tokens_decoder.items()))[0]


def _special_ids(tokenizer: ChatTokenizer) -> frozenset[int]:
    added = tuple((i, str(t), bool(t.special)) for i, t in tokenizer.added_tokens_decoder.items())
    return _marks_of(added)[1] | frozenset(tokenizer.all_special_ids)


@lru_cache(maxsize=16)
def _marks_of(added: tuple[tuple[int, str, bool], ...]) -> tuple[tuple[str, ...], frozenset[int]]:
    marks = sorted((text for _, text, special in added if special and text), key=lambda mark: (-len(mark), mark))
    return tuple(marks), frozenset(i for i, _, special in added if special)
