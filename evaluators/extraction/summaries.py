"""The summary, from a raw completion.

One decision: code that a summary quotes is part of it; only a fence around the whole is taken off.
"""

import re

from evaluators.extraction.fences import read_blocks
from evaluators.extraction.marks import first_turn, without_thoughts

_NOTHING = re.compile(r"(?!)")


def extract_summary(text: str) -> str:
    """The summary, from a raw completion: without chat marks, white space around it, or a fence around the whole."""
    text = first_turn(without_thoughts(text, literals=_NOTHING)).strip()
    blocks = read_blocks(text)
    return (blocks[0].code if blocks and blocks[0].start == 0 else text).strip()


__all__ = ["extract_summary"]
