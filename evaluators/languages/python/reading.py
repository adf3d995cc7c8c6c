"""Whether a text is a Python program.

One decision: the interpreter's own parser decides, not a grammar that accepts what no interpreter runs.
"""

import ast
import warnings


def parses(code: str) -> bool:
    """Whether Python's parser accepts a text, and there is code in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(ast.parse(code).body)
        # ValueError: a NUL byte; MemoryError and RecursionError: nesting beyond the parser's stack.
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return False


__all__ = ["parses"]
