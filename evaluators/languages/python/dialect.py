"""How Python programs are laid out.

One decision: a definition at the margin is what counts; what is indented belongs to something.
"""

import ast
import re

_DEFINED = re.compile(r"^(?:async\s+)?def\s+(\w+)", re.MULTILINE)
_FUTURE = re.compile(r"^from __future__ import .*\n", re.MULTILINE)


class PythonDialect:
    """What the extraction of a program asks of Python; see `Dialect`."""

    first_line = re.compile(r"^(?:from\s+[\w.]+\s+import\b|import\s|(?:async\s+)?def\s|class\s|@)", re.MULTILINE)

    def last_defined(self, code: str) -> str | None:
        """The last function at the margin."""
        names = _DEFINED.findall(code)
        return str(names[-1]) if names else None

    def definition(self, code: str, name: str) -> re.Match[str] | None:
        """A function, class or assignment at the margin."""
        name = re.escape(name)
        return re.search(rf"^(?:(?:async\s+)?def\s+{name}\s*\(|class\s+{name}\b|{name}\s*=)", code, re.MULTILINE)

    def is_body(self, code: str) -> bool:
        """Whether the code returns where there is no function."""
        try:
            waiting: list[ast.AST] = [ast.parse(code)]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Return | ast.Yield):
                return True
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
                waiting += ast.iter_child_nodes(node)
        return False

    def put_before(self, head: str, code: str) -> str:
        """The head goes first, but for `from __future__`, which must stay on top of the file."""
        future = list(_FUTURE.finditer(code))
        top = future[-1].end() if future else 0
        return code[:top] + head + code[top:]

    def follow_on(self, preamble: str, code: str) -> str:
        """Nothing needs closing."""
        return preamble + code

    def whole(self, program: str, definition: re.Match[str]) -> str | None:
        """Where a body ends is seen by parsing alone."""
        return None

    def ends(self, lines: list[re.Match[str]]) -> list[int]:
        """Lines at the margin, unless they close a bracket."""
        margin = [line.start() for line in lines if not line[0][0].isspace() and line[0][0] not in ")]}"]
        return margin[::-1]


__all__ = ["PythonDialect"]
