"""How programs are laid out where braces hold blocks and functions are methods of classes.

One decision: what may be broken is read from a copy of the text in which comments and literals are blanked;
what parses is read by its grammar (`members`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from evaluators.languages.braced import members
from evaluators.languages.braced.reading import parses_as_members
from evaluators.languages.syntax import GrammarSource

_TYPE_DECLARATION = re.compile(r"\b(?:class|interface|enum|record|struct)\s+\w+")
_NOT_CODE = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.DOTALL)
_METHOD = re.compile(r"(\w+)\s*\([^()]*\)[^;{}()]*\{")
_HEADS = (
    r"^[ \t]*(?:[\w.<>\[\],?@]+\s+){{0,8}}?(?!return\b|new\b|else\b)[\w.<>\[\],?]+\s+"
    r"{name}(?:\s*<[\w\s,]+>)?\s*\([^;{{}}]{{0,2000}}?(?:\{{|=>)",
    r"^[ \t]*(?:\w+\s+){{0,5}}?[\w.<>\[\],?]+\s+{name}\s*\{{(?=\s*(?:get|set|init)\b)",
    r"^[ \t]*(?:\w+\s+){{0,5}}?(?:class|interface|enum|record|struct)\s+{name}\b[^;{{}}]*\{{",
)
"""How methods, properties and types begin."""
_LABEL = re.compile(r"\s*\w+:[ \t]*\n")
"""A heading that reads as a label of the statement below."""
_ANOTHER = re.compile(
    r"[ \t]*(?:(?:public|private|protected|internal|static|final|abstract|sealed|partial)\s+)+"
    r"(?:(?:class|interface|enum|record|struct)\s+(?P<type>\w+)|[\w<>\[\],.?]+(?:\s+[\w<>\[\],.?]+)*\s+(?P<method>\w+)\s*\()"
)
"""How another member begins, which has a modifier: a statement has none."""
_TRIALS = 20
"""Parses that are spent on finding where code begins, and as many on where it ends."""
# Imports of frameworks that an answer names for the tests that it shows; they are not there where it runs.
_OF_TESTS = re.compile(
    r"^[ \t]*(?:import|using)\s+(?:static\s+)?(?:org\.(?:junit|testng|hamcrest|assertj|mockito)\b|junit\.|NUnit\."
    r"|Xunit\b|Microsoft\.VisualStudio\.TestTools\b|FluentAssertions\b|Moq\b)[^;]*;[ \t]*\n?",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BracedDialect:
    """What the extraction of a program asks of Java and C#; see `Dialect`.

    `first_line` is where code begins in an answer that opens with prose, `imports` are whole import lines.
    `usual` are the words that programs use without declaring them: keywords, and names of the standard library that
    nobody gives to something of their own.
    """

    grammar: GrammarSource
    literals: re.Pattern[str]
    first_line: re.Pattern[str]
    imports: re.Pattern[str]
    usual: frozenset[str]

    def last_defined(self, code: str) -> str | None:
        """The last method that a brace opens."""
        names = _METHOD.findall(_mask(code))
        return str(names[-1]) if names else None

    def first_defined(self, code: str) -> str | None:
        """The first method or property."""
        heads = (re.search(head.format(name=r"(?P<name>\w+)"), _mask(code), re.MULTILINE) for head in _HEADS[:2])
        return min((found for found in heads if found), key=lambda found: found.start(), default={"name": None})["name"]

    def definition(self, code: str, name: str) -> re.Match[str] | None:
        """A method of that name, a property or a type: it follows its type, a call's an operator, dot or keyword."""
        name = re.escape(name)
        return re.search("|".join(_HEADS).format(name=name), _mask(code), re.MULTILINE)

    def is_body(self, code: str) -> bool:
        """Indentation says nothing here."""
        return False

    def continues(self, code: str, name: str | None) -> bool:
        """Whether the code closes a brace that it did not open before it defines `name`, or never does."""
        definition = self.definition(code, name) if name else None
        if definition is None:
            return True
        depth = 0
        for brace in re.finditer(r"[{}]", _mask(code)[: definition.start()]):
            depth += 1 if brace[0] == "{" else -1
            if depth < 0:
                return True
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

    def completes(self, program: str, name: str | None, given: int) -> bool:
        """Whether the program parses, and defines `name` beyond what was given."""
        if name is None:
            return parses_as_members(program, grammar=self.grammar)
        return members.defines(program, name, grammar=self.grammar, given=given)

    def cut(self, program: str, name: str, given: int) -> str | None:
        """The program up to the end of the definition or of what follows it, and what closes around that."""
        definition = self.definition(program, name)
        if definition is None:
            return None
        ends = _ends(_mask(program), definition.end(), definition[0].endswith("=>"))
        for end in [*reversed(ends[1:][-_TRIALS:]), *ends[:1]]:
            kept = program[:end]
            kept += "\n" + "}" * _open_braces(kept)
            if self.completes(kept, name, given):
                return kept
        return None

    def code_in(self, text: str, name: str) -> Iterator[str]:
        """The text as it stands; then from each line on that may be code, up to the definition."""
        definition = self.definition(text, name)
        if definition is None:
            return
        if not _LABEL.match(text):
            yield text
        starts = [line.start() for line in self.first_line.finditer(text, 0, definition.end())]
        for start in dict.fromkeys([*starts[:_TRIALS], definition.start()]):
            if text[:start].strip():
                yield text[start:]

    def answer(self, program: str, name: str | None, given: int) -> str:
        """The definition, and what it needs; statements and types that only show it go wherever they stand."""
        if name is None:
            return program
        return _OF_TESTS.sub("", members.only_needed(program, name, grammar=self.grammar))

    def begins_another(self, line: str) -> str | None:
        """Another method or type."""
        found = _ANOTHER.match(line)
        return None if found is None else found["type"] or found["method"]

    def goes_on_alone(self, preamble: str, code: str) -> bool:
        """Whether it has closed every brace that the preamble opened: a class is taken whole, whatever is in it."""
        return _open_braces(preamble) > 0 and _open_braces(preamble + code) == 0

    def needs_no_more(self, program: str, name: str, *, begun: str) -> bool:
        """Whether every word is declared or usual, and none is `begun`; all that follows a namespace is kept."""
        missing = members.undeclared(program, grammar=self.grammar) - self.usual
        return not missing and not {begun, "namespace"} & {name, *re.findall(r"\w+", _mask(program))}

    def supply(self, program: str, others: Sequence[str]) -> str:
        """What other programs declare and import of the names that this one lacks, behind its own imports."""
        found = members.supplies(program, others, grammar=self.grammar)
        if not found:
            return program
        imports = list(self.imports.finditer(program))
        top = imports[-1].end() if imports else 0
        return program[:top] + "\n" * bool(top) + "\n".join(found) + "\n\n" + program[top:].lstrip("\n")


def _ends(masked: str, start: int, is_expression: bool) -> list[int]:
    """Where a program may end: at the end of the definition that is open at `start`, and of what follows that."""
    found, depth = list[int](), 0 if is_expression else 1
    for mark in re.compile(r"[{};]").finditer(masked, start):
        if mark[0] != ";":
            depth += 1 if mark[0] == "{" else -1
        if depth <= 0 and mark[0] == (";" if is_expression and not found else "}"):
            found.append(mark.end())
    return found


def _closing_braces(preamble: str, code: str, *, own: int) -> str:
    """The braces that close what the preamble opened, as far as the code does not; `own` are the code's business."""
    opened, balance = _open_braces(preamble), _open_braces(code)
    missing = opened + balance
    return "\n" + "}" * missing if 0 < missing <= opened - own else ""


def _open_braces(code: str) -> int:
    code = _mask(code)
    return code.count("{") - code.count("}")


@lru_cache(maxsize=8)
def _mask(code: str) -> str:
    """Code with comments and literals blanked out, every place kept."""
    return _NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), code)


__all__ = ["BracedDialect"]
