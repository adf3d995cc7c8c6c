"""A cell that holds a conversation: what the model reads, and what it should write.

One decision: a conversation of more than one question is refused, since a track asks one thing; what a
system turn says goes before the question, because the study has a system line of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

_ASKS, _ANSWERS, _SYSTEM = ("user", "human"), ("assistant", "gpt", "model"), ("system", "developer")


def is_chat(value: Any) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    """Whether a cell is a list of turns, each with who speaks and what is said."""
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(turn, Mapping) and _who(turn) for turn in value)
    )


def two_sides(turns: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What is asked and what is answered.

    Raises:
        ValueError: if it is anything but one question and one answer, after system turns or none.
    """
    said = [(_who(turn), turn.get("content", turn.get("value"))) for turn in turns]
    if not all(isinstance(text, str) for _, text in said):
        raise ValueError("a conversation's turn is not text")
    head = [text for who, text in said if who in _SYSTEM]
    rest = [(who, text) for who, text in said if who not in _SYSTEM]
    if len(rest) != 2 or rest[0][0] not in _ASKS or rest[1][0] not in _ANSWERS:
        speakers = ", ".join(who for who, _ in said)
        raise ValueError(f"a conversation must be one question and one answer, this one is: {speakers}")
    return "\n\n".join([*head, rest[0][1]]), rest[1][1]


def _who(turn: Mapping[str, Any]) -> str:
    who = turn.get("role", turn.get("from"))
    return who if isinstance(who, str) else ""


__all__ = ["is_chat", "two_sides"]
