"""Whether a text is a Python program, and its tree.

One decision: the interpreter's own parser decides, not a grammar that accepts what no interpreter runs.
"""

import ast
import warnings
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A text that does not parse, and the line, from 1, at which the parser says so."""

    line: int


@lru_cache(maxsize=16)
def read(code: str) -> ast.Module | Broken:
    """The tree of a text, to be looked at alone: whoever reads a text again gets the same one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code)
        except SyntaxError as error:
            return Broken(line=max(1, error.lineno or 1))
        # ValueError: a NUL byte; MemoryError and RecursionError: nesting beyond the parser's stack.
        except (ValueError, MemoryError, RecursionError):
            return Broken(line=1)


def parses(code: str) -> bool:
    """Whether Python's parser accepts a text, and there is code in it."""
    tree = read(code)
    return not isinstance(tree, Broken) and bool(tree.body)


__all__ = ["Broken", "parses", "read"]
