"""Marks of chat templates and of thoughts: where the answer of one turn begins and ends.

One decision: a mark inside a string literal is a value of the program. Literals are found by a pattern over
the whole text, prose included, which is why a quote behind a letter (`don't`) opens none.
"""

import re
from collections.abc import Iterator, Sequence

# DeepSeek's marks are written with full-width bars, U+FF5C.
CHAT_MARK = re.compile(
    r"<\|(?:im_end|im_start|endoftext|eot_id|EOT|end_of_text|end_of_turn|end|start|return|channel|user|assistant|system"
    r"|start_header_id|fim_\w+|file_sep|(?:begin|end)_of_solution)\|>"
    r"|<\uff5c[^\uff5c\n]{1,40}\uff5c>|<(?:end|start)_of_turn>|</?s>(?=\s*(?:\Z|</?s>|\[INST\]|<\|))|<eos>\s*\Z"
    r"|<(?:file_sep|jupyter_\w+|empty_output)>|\[/?INST\]"
    r"|^\[(?:DONE|BEGIN|/?PYTHON|/?TESTS)\][ \t]*$"
    r"|^(?:###|@@) ?(?:Instruction|Response|Input|Human|User|Assistant)\b:?|^</?(?:answer|code)>"
    r"|</code>(?:</pre>)?[ \t]*$|^<pre>(?:<code[^>\n]*>)?|^END SOLUTION[ \t]*$"
    r"|^\\(?:begin|end)\{(?:lstlisting|verbatim|minted)\}.*$",
    re.MULTILINE,
)
"""What ends an answer, or stands before it: models trained without their stop token go on to play the user."""
# Each alternative opens with a letter of its own, which the engine finds fast; few answers have any of them.
_HINT = re.compile(r"<[|/\uff5caefjps]|\[[/A-Z]|###|@@|\\begin|\\end|END SOLUTION")

_OPENER = re.compile(
    r"<\|im_start\|>assistant\n|<\|assistant\|>\n?|<start_of_turn>model\n|\[/INST\]|<\uff5cAssistant\uff5c>"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>\n*|(?:###|@@) ?(?:Response|Assistant):?[ \t]*"
    r"|\[BEGIN\][ \t]*\n|\[PYTHON\][ \t]*\n|<\|begin_of_solution\|>\n?|<answer>\n?|<code>\n?"
    r"|<pre>(?:<code[^>\n]*>)?\n?|<jupyter_code>|\\begin\{(?:lstlisting|verbatim|minted)\}.*\n"
)
_THOUGHT_END = re.compile(
    r"</think(?:ing)?>|<\|end_of_thought\|>|<\|channel\|>final<\|message\|>|(?<=[.!?\s])assistantfinal"
)
_THOUGHT_START = re.compile(
    r"\s*(?:<think(?:ing)?>|<\|begin_of_thought\|>|(?:<\|start\|>assistant)?<\|channel\|>analysis)"
)
_TURNS = 8
"""Marks at which an answer may end; an endless chat has endless ones."""


def without_thoughts(text: str, *, literals: re.Pattern[str]) -> str:
    """What follows the last thought; empty where a thought is all there is.

    A mark that ends a thought, with nothing behind it and no thought begun, is a stray one.
    """
    ends = list(_THOUGHT_END.finditer(text))
    if ends:
        hidden = [match.span() for match in literals.finditer(text)]
        ends = [mark for mark in ends if not _is_inside(mark.start(), hidden)]
    begun = _THOUGHT_START.match(text) is not None
    if ends and (begun or text[ends[-1].end() :].strip()):
        return text[ends[-1].end() :]
    if begun:
        return ""
    return text[: ends[-1].start()] if ends else text


def _is_inside(place: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start < place < end for start, end in spans)


def turns(text: str, *, literals: re.Pattern[str]) -> Iterator[str]:
    """What may be one turn's answer, in the order in which they are tried; the whole text last.

    A turn ends at each mark, since a mark may stand in a comment; it begins behind the last mark that opens
    an answer, or with the text.
    """
    starts = [0]
    for turn, _ in ended_turns(text, literals=literals, starts=starts):
        yield turn
    for start in reversed(starts):
        yield text[start:]


def ended_turns(text: str, *, literals: re.Pattern[str], starts: list[int] | None = None) -> Iterator[tuple[str, int]]:
    """The turns that a mark ends, each with the mark's place; `starts` is filled with where turns begin."""
    marks = list(CHAT_MARK.finditer(text)) if _HINT.search(text) else []
    if marks:
        hidden = [match.span() for match in literals.finditer(text) if match.lastgroup == "literal"]
        marks = [mark for mark in marks if not _is_inside(mark.start(), hidden)]
    starts = [0] if starts is None else starts
    for mark in marks[:_TURNS]:
        for start in reversed(starts):
            if text[start : mark.start()].strip():
                yield text[start : mark.start()], mark.start()
        opener = _OPENER.match(text, mark.start())
        if opener:
            starts.append(opener.end())


def has_thoughts(text: str) -> bool:
    """Whether a text begins with a thought, or has a mark that ends one."""
    return bool(_THOUGHT_START.match(text) or _THOUGHT_END.search(text))


def first_turn(text: str) -> str:
    """The text up to the first mark behind it, without what opens the answer."""
    opener = _OPENER.match(text.lstrip())
    text = text.lstrip()[opener.end() :] if opener else text
    mark = CHAT_MARK.search(text)
    return text[: mark.start()] if mark else text


__all__ = ["CHAT_MARK", "ended_turns", "first_turn", "has_thoughts", "turns", "without_thoughts"]
