"""Markdown's code blocks: fences of CommonMark 0.31, section 4.5, inside list items and quotes.

One decision: models indent as they like, so an opening fence may be indented by any depth, and that depth
stands for the list item that it lies in. All else is CommonMark's: a block is closed by the same mark, at
least as long, indented by at most three blanks more, with nothing behind it, or by the end of the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

FENCE = re.compile(
    r"^(?P<indent>(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*)(?P<marks>`{3,}|~{3,})(?P<info>[^\n]*)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: its content, the info string behind its opening fence, and where the whole stands."""

    code: str
    info: str
    start: int
    end: int
    closed: bool


def read_blocks(text: str, *, hidden: Sequence[tuple[int, int]] = ()) -> list[Block]:
    """The fenced blocks in order; fences that begin within a `hidden` stretch are text."""
    fences = [
        fence
        for fence in FENCE.finditer(text)
        if not (fence["marks"][0] == "`" and "`" in fence["info"]) and not is_hidden(fence.start("marks"), hidden)
    ]
    blocks, place = list[Block](), 0
    while place < len(fences):
        opening = fences[place]
        closing = next((at for at in range(place + 1, len(fences)) if _closes(fences[at], opening)), len(fences))
        blocks.append(_block(text, opening, fences[closing] if closing < len(fences) else None))
        place = closing + 1
    return blocks


def loose_blocks(text: str) -> list[Block]:
    """The stretches from each fence to the next, whatever either is: blocks of a text that mismatches its fences."""
    fences = list(FENCE.finditer(text))
    return [_block(text, fence, after) for fence, after in zip_longest(fences, fences[1:])]


def is_hidden(place: int, hidden: Sequence[tuple[int, int]]) -> bool:
    """Whether a place lies inside of one of the stretches."""
    return any(start < place < end for start, end in hidden)


def _closes(fence: re.Match[str], opening: re.Match[str]) -> bool:
    if fence["info"].strip() or fence["marks"][0] != opening["marks"][0]:
        return False
    return len(fence["marks"]) >= len(opening["marks"]) and len(fence["indent"]) <= len(opening["indent"]) + 3


def _block(text: str, opening: re.Match[str], closing: re.Match[str] | None) -> Block:
    end = closing.start() if closing else len(text)
    code, indent = text[opening.end() + 1 : end], opening["indent"]
    if indent:
        # What a list marker takes stands as blanks in the lines below it; a quote's mark is repeated.
        quotes = indent.count(">")
        taken = rf"(?:[ \t]*>[ \t]?){{1,{quotes}}}" if quotes else rf"[ \t]{{1,{len(indent)}}}"
        code = re.sub(rf"^{taken}", "", code, flags=re.MULTILINE)
    return Block(
        code=code,
        info=opening["info"].strip(),
        start=opening.start(),
        end=closing.end() if closing else len(text),
        closed=closing is not None,
    )


__all__ = ["FENCE", "Block", "is_hidden", "loose_blocks", "read_blocks"]
