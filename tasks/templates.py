"""Chat templates made fit for training: on every day, in anyone's hands, the same text for the same conversation.

One decision: whatever a template depends on is written into the template itself (a fixed date, the study's own
arguments), so that the tokenizer saved beside trained weights renders the very prompts that they were trained behind.

A base model that comes without a template gets a plain one: the system line, the text, `Answer:`, the answer.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, Protocol

# Llama 3.1's own fallback; any day does, as long as it stays.
FIXED_DATE = "26 Jul 2024"
_DIRECTIVES = {
    "%d": "26",
    "%e": "26",
    "%m": "07",
    "%b": "Jul",
    "%B": "July",
    "%Y": "2024",
    "%y": "24",
    "%a": "Fri",
    "%A": "Friday",
    "%H": "00",
    "%M": "00",
    "%S": "00",
}
PLAIN = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}{{ 'Answer:\\n' + message['content'] + "
    "eos_token }}{% else %}{{ message['content'] + '\\n\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Answer:\\n' }}{% endif %}"
)
_BEGINNING = "{{ bos_token }}"

SystemRole = Literal["own", "in the user's turn"]
"""Where the system line stands: where a template puts it, or, where that refuses or drops it, before the text."""


class Templated(Protocol):
    """What is asked of a tokenizer to fit its template."""

    chat_template: Any
    bos_token: Any
    bos_token_id: Any

    def __call__(self, text: str, **options: Any) -> Any:
        """Encode text."""


def fitted(tokenizer: Templated, *, template: str | None, arguments: Mapping[str, Any]) -> str:
    """The template that a tokenizer is to have: the study's or its own or the plain one, fixed.

    Args:
        tokenizer: As its model ships it.
        template: The study's own template, in place of the tokenizer's.
        arguments: What the template is told besides the conversation, such as `enable_thinking`.
    """
    own = tokenizer.chat_template
    if isinstance(own, dict):
        own = own.get("default")
    text = template or own or _plain(tokenizer)
    return f"{_told({**_date(text), **arguments})}{_clock(text)}{text}"


def is_text(template: str) -> bool:
    """Whether a template's setting is the template itself, and no path."""
    return "{{" in template or "{%" in template


def _plain(tokenizer: Templated) -> str:
    """The plain template, begun as the tokenizer begins its own texts."""
    begins = tokenizer.bos_token_id is not None and list(tokenizer("x").input_ids)[:1] == [tokenizer.bos_token_id]
    return f"{_BEGINNING}{PLAIN}" if begins else PLAIN


def _told(arguments: Mapping[str, Any]) -> str:
    return "".join(f"{{% set {name} = {_literal(value)} %}}" for name, value in arguments.items())


def _date(text: str) -> dict[str, str]:
    return {"date_string": FIXED_DATE} if "date_string" in text else {}


def _clock(text: str) -> str:
    """A clock that stands still, under the name by which templates ask for today's date."""
    if "strftime_now" not in text:
        return ""
    replaced = "".join(f" | replace('{directive}', '{value}')" for directive, value in _DIRECTIVES.items())
    return f"{{% macro strftime_now(format) %}}{{{{ format{replaced} }}}}{{% endmacro %}}"


def _literal(value: Any) -> str:
    """A JSON value as Jinja writes it; only none is spelled otherwise."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)}: {_literal(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(inner) for inner in value) + "]"
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


__all__ = ["FIXED_DATE", "PLAIN", "SystemRole", "fitted", "is_text"]
