"""How programs are laid out where braces hold blocks and functions are methods of classes.

One decision: structure is read from a copy of the text in which comments and literals are blanked.
"""

import re
from dataclasses import dataclass

_TYPE_DECLARATION = re.compile(r"\b(?:class|interface|enum|record|struct)\s+\w+")
_NOT_CODE = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.DOTALL)
_METHOD = re.compile(r"(\w+)\s*\([^()]*\)[^;{}()]*\{")


@dataclass(frozen=True, slots=True, kw_only=True)
class BracedDialect:
    """What the extraction of a program asks of Java and C#; see `Dialect`. `imports` are whole import lines."""

    first_line: re.Pattern[str]
    imports: re.Pattern[str]

    def last_defined(self, code: str) -> str | None:
        """The last method that a brace opens."""
        names = _METHOD.findall(_mask(code))
        return str(names[-1]) if names else None

    def definition(self, code: str, name: str) -> re.Match[str] | None:
        """A method of that name: it follows its type; a call's follows an operator, a dot or a keyword."""
        head = r"^[ \t]*(?:[\w.<>\[\],?@]+\s+){0,8}?(?!return\b|new\b|else\b)[\w.<>\[\],?]+\s+"
        return re.search(rf"{head}{re.escape(name)}\s*\([^;{{}}]*\{{", _mask(code), re.MULTILINE)

    def is_body(self, code: str) -> bool:
        """Indentation says nothing here."""
        return False

    def put_before(self, head: str, code: str) -> str:
        """A whole class needs only the imports of the one that the preamble began; a method what holds it."""
        if _TYPE_DECLARATION.search(_mask(code)):
            imports = [line.strip() for line in self.imports.findall(head) if line.strip() not in code]
            return "\n".join([*imports, code])
        return head + code + _closing_braces(head, code, own=0)

    def follow_on(self, preamble: str, code: str) -> str:
        """The preamble's braces are closed; a body that does not close its own method was cut off, and stays so."""
        return preamble + code + _closing_braces(preamble, code, own=1)

    def whole(self, program: str, definition: re.Match[str]) -> str | None:
        """The program up to the end of the method, and what closes around it; None if the method has no end."""
        masked, depth = _mask(program), 1
        for brace in re.finditer(r"[{}]", masked[definition.end() :]):
            depth += 1 if brace[0] == "{" else -1
            if depth == 0:
                kept = program[: definition.end() + brace.end()]
                return kept + "\n" + "}" * _open_braces(kept)
        return None

    def ends(self, lines: list[re.Match[str]]) -> list[int]:
        """A block's end is its brace, so no line ends a program by its place."""
        return []


def _closing_braces(preamble: str, code: str, *, own: int) -> str:
    """The braces that close what the preamble opened, as far as the code does not; `own` are the code's business."""
    opened, balance = _open_braces(preamble), _open_braces(code)
    missing = opened + balance
    return "\n" + "}" * missing if 0 < missing <= opened - own else ""


def _open_braces(code: str) -> int:
    code = _mask(code)
    return code.count("{") - code.count("}")


def _mask(code: str) -> str:
    """Code with comments and literals blanked out, every place kept."""
    return _NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), code)


__all__ = ["BracedDialect"]
