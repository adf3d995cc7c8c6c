"""How Python programs are laid out.

One decision: a definition at the margin is what counts, or a method of a class there; what else is indented
belongs to something.
"""

import ast
import re
from collections.abc import Iterator, Sequence

from evaluators.languages.python import needs
from evaluators.languages.python.reading import Broken, read

_DEFINED = re.compile(r"^(?:async\s+)?def\s+(\w+)", re.MULTILINE)
_FUTURE = re.compile(r"^from __future__ import .*\n", re.MULTILINE)
_FIRST_LINE = re.compile(r"^(?:from\s+[\w.]+\s+import\b|import\s|(?:async\s+)?def\s|class\s|@)", re.MULTILINE)
_CODE_LINE = re.compile(
    r"(?:from\s+[\w.]+\s+import\b|import\s+\w+(?:\.\w+)*\s*(?:$|,|as\b)|def\s|class\s+\w+\s*[:(]|@\w"
    r"|\w+(?:[.\[][\w.\[\]]*)?(?:\s*,\s*\w+)*\s*[-+*/|&^%]?=[^=])"
)
_LABELS = re.compile(r"(?:\s*[A-Z]\w*(?::[ \t]*\w+)?[ \t]*\n)+")
"""Headings that Python reads as a name or an annotation: `Solution`, `Language: Python`."""
_TAG_LINE = re.compile(r"\s*(?:python3?|py)[ \t]*\n(?=\s*\S)", re.IGNORECASE)
_ANOTHER = re.compile(r"(?:(?:async\s+)?def|class)\s+(?P<name>\w+)|if\s+__name__\b|assert\b|print\s*\(")
_TRIALS = 20
"""Parses that are spent on finding where code begins or ends; endless prose has endless lines."""


class PythonDialect:
    """What the extraction of a program asks of Python; see `Dialect`."""

    literals = re.compile(
        r"(?P<remark>#[^\n]*)|(?P<literal>(?<!\w)(?:[rRbBfFuU]{1,2})?"
        r"(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'))",
        re.DOTALL,
    )

    def last_defined(self, code: str) -> str | None:
        """The last function at the margin."""
        names = _DEFINED.findall(code)
        return str(names[-1]) if names else None

    def first_defined(self, code: str) -> str | None:
        """The first function at the margin, or method."""
        found = _DEFINED.search(code) or re.search(r"^\s+def\s+(\w+)", code, re.MULTILINE)
        return found[1] if found else None

    def definition(self, code: str, name: str) -> re.Match[str] | None:
        """A function, class or assignment at the margin, or else the class that has such a method."""
        name = re.escape(name)
        at_margin = rf"^(?:(?:async\s+)?def\s+{name}\s*\(|class\s+{name}\b|{name}\s*(?::[^=\n]+)?=)"
        found = re.search(at_margin, code, re.MULTILINE)
        if found is not None or not re.search(rf"^[ \t]+(?:async\s+)?def\s+{name}\s*\(", code, re.MULTILINE):
            return found
        return re.search(rf"^class\s(?:.*\n(?![^\s#)\]}}]))*?[ \t]+(?:async\s+)?def\s+{name}\s*\(", code, re.MULTILINE)

    def is_body(self, code: str) -> bool:
        """Whether the code returns where there is no function."""
        tree = read(code)
        waiting: list[ast.AST] = [] if isinstance(tree, Broken) else [tree]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Return | ast.Yield):
                return True
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
                waiting += ast.iter_child_nodes(node)
        return False

    def continues(self, code: str, name: str | None) -> bool:
        """Whether the code opens with an indented line, or defines nothing of that name."""
        first = re.search(r"^(?=[ \t]*[^\s#])", code, re.MULTILINE)
        if first is not None and code[first.end()] in " \t":
            return True
        return name is None or self.definition(code, name) is None

    def put_before(self, head: str, code: str) -> str:
        """The head goes first, but for `from __future__`, which must stay on top of the file."""
        future = list(_FUTURE.finditer(code))
        top = future[-1].end() if future else 0
        return code[:top] + head + code[top:]

    def follow_on(self, preamble: str, code: str) -> str:
        """Nothing needs closing."""
        return preamble + code

    def completes(self, program: str, name: str | None, given: int) -> bool:
        """Whether the program parses, and defines `name` in statements that do not end with what was given."""
        tree = read(program)
        if isinstance(tree, Broken):
            return False
        if name is None:
            return bool(tree.body)
        places = needs.definitions(tree, name)
        if not given:
            return bool(places)
        line, column = program.count("\n", 0, given) + 1, given - program.rfind("\n", 0, given) - 1
        return bool(places) and needs.ends_after(tree.body[places[0]], name, line, column)

    def cut(self, program: str, name: str, given: int) -> str | None:
        """The program before a line, not deeper than the definition, at or before which it stops parsing."""
        definition = self._head(program, name, given)
        if definition is None:
            return None
        line = program[program.rfind("\n", 0, definition.end() - 1) + 1 : definition.end()]  # a method's own
        depth = len(line) - len(line.lstrip(" \t"))
        floor = program.count("\n", 0, max(definition.end() - 1, given)) + 1
        lines = program.split("\n")
        for _ in range(_TRIALS):
            tree = read("\n".join(lines))
            if not isinstance(tree, Broken):
                kept = "\n".join(lines).rstrip() + "\n"
                return kept if self.completes(kept, name, given) else None
            end = min(tree.line, len(lines))
            while end > floor and not _begins_at(lines[end - 1], depth):
                end -= 1
            if end <= floor:
                return None
            lines = lines[: end - 1]
        return None

    def _head(self, program: str, name: str, given: int) -> re.Match[str] | None:
        """The line that begins the definition: of what was given the last, a method's own line."""
        if not given:
            return self.definition(program, name)
        heads = re.finditer(rf"^[ \t]*(?:async\s+)?(?:def|class)\s+{re.escape(name)}\b", program[:given], re.MULTILINE)
        return next(reversed(list(heads)), None)

    def code_in(self, text: str, name: str) -> Iterator[str]:
        """The text without the lines of prose before its code; then from each line on that surely is code."""
        definition = self.definition(text, name)
        if definition is None:
            return
        labels = _LABELS.match(text, 0, definition.start())
        code = text[labels.end() :] if labels else text
        for _ in range(_TRIALS):
            tree = read(code)
            before = len(text) - definition.start()  # how far the definition is from the end
            head = code[: len(code) - before]
            if not isinstance(tree, Broken) or tree.line > head.count("\n"):
                yield _without_tag(code)
                break
            lines = code.split("\n")
            if _CODE_LINE.match(lines[tree.line - 1]):
                break
            code = "\n".join(lines[tree.line :])
        for line in list(_FIRST_LINE.finditer(text, 0, definition.end()))[:_TRIALS]:
            yield text[line.start() :]

    def answer(self, program: str, name: str | None, given: int) -> str:
        """The program up to its definition, and of what follows that what it needs."""
        if name is None:
            return program
        return needs.without_test_tools(needs.only_needed(_without_tag(program), name, is_body=given > 0))

    def begins_another(self, line: str) -> str | None:
        """A definition at the margin, a main guard, an assert or a print."""
        found = _ANOTHER.match(line)
        return None if found is None else found["name"] or ""

    def goes_on_alone(self, preamble: str, code: str) -> bool:
        """Whether its first line of code is indented."""
        first = re.search(r"^(?=[ \t]*[^\s#])", code, re.MULTILINE)
        return first is not None and code[first.end()] in " \t"

    def needs_no_more(self, program: str, name: str, *, begun: str) -> bool:
        """Whether every name is there, and nothing that is there can be changed by a statement below."""
        return begun != name and needs.is_settled(program, name, begun=begun)

    def supply(self, program: str, others: Sequence[str]) -> str:
        """What other programs define and import of the names that this one lacks, in front of it."""
        found = needs.supplies(program, others)
        return self.put_before("\n".join(found) + "\n\n", program) if found else program


def _begins_at(line: str, depth: int) -> bool:
    """Whether a line, no deeper than `depth`, can begin something: a closing bracket ends what stands above."""
    code = line.lstrip(" \t")
    return bool(code) and code[0] not in ")]}" and len(line) - len(code) <= depth


def _without_tag(code: str) -> str:
    """Code without a first line that names the language, which is a name that nobody defines."""
    tag = _TAG_LINE.match(code)
    return code[tag.end() :] if tag else code


__all__ = ["PythonDialect"]
