"""Parting programs from their documentation: what a summary is scored against must not stand in its own input.

One decision: programs are cut by tokens, not by a parse, since public code to be summarised holds
Python 2 and fragments that no current parser takes; what cannot be cut is left as it is.
"""

import io
import re
import tokenize
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from tasks.records import Language

_EXAMPLE_HEADING = re.compile(
    r"\W*(for\s+)?(input/output\W+)?(examples?|examble|samples?)(\s*\d+)?[\s:]*", re.IGNORECASE
)
# Whole lines of HumanEvalPack's docstrings: a heading, a Javadoc paragraph mark, a stray quotation mark.
_NOISE = re.compile(r"(Task|<p>|\W)*")
_LAYOUT = {tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.INDENT}
_STATEMENT_ENDS = {tokenize.NEWLINE, tokenize.COMMENT, tokenize.ENDMARKER}


def prose(docstring: str, *, entry_point: str) -> str:
    """A docstring's description on one line: all that comes before its first example.

    An example begins at a doctest (`>>>`), at a heading such as `For example:` or `Example 1:`, or,
    where there are neither, at a line that calls `entry_point`. A last line that only introduces the
    example (it ends in a colon) goes too. Notes that follow the examples are lost.
    """
    lines = [line.strip() for line in docstring.strip().splitlines()]
    call = re.compile(rf"(\W*|assert |for ){re.escape(entry_point)}\s*\(")
    starts = [index for index, line in enumerate(lines) if _begins_example(line)]
    starts = starts or [index for index, line in enumerate(lines) if call.match(line)]
    kept = lines[: starts[0]] if starts else lines
    if starts and len(kept) > 1 and kept[-1].endswith(":"):
        kept = kept[:-1]
    return _on_one_line(" ".join(line for line in kept if not _NOISE.fullmatch(line)))


def _begins_example(line: str) -> bool:
    return line.startswith(">>>") or bool(_EXAMPLE_HEADING.fullmatch(line))


def summary(docstring: str) -> str:
    """A docstring's first paragraph on one line, or what comes before its first `@` tag.

    This is CodeSearchNet's rule, `get_docstring_summary` in its function_parser, by which the
    references of CodeXGLUE's code-to-text were made. Where it leaves nothing, the whole is kept.
    """
    text = docstring.strip()
    head = text.split("\n\n")[0] if "\n\n" in text else text.split("@")[0]
    return _on_one_line(head) or _on_one_line(text)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def signature(code: str, *, language: Language) -> str:
    """A function's head: Python up to the colon, Java and C# up to the opening brace; "" if there is none."""
    return _HEADS[language](code)


def _before_body(code: str) -> str:
    parts = _function_parts(code)
    return code[: parts.head_end].strip() if parts else ""


def without_docstring(code: str) -> str:
    """A Python function without the lines of its docstring; unchanged if none can be made out."""
    parts = _function_parts(code)
    if parts is None or parts.docstring is None:
        return code
    start, end = parts.docstring
    line_start = code.rfind("\n", 0, start) + 1
    if code[line_start:start].strip():
        return code[:start] + code[end:]
    line_end = code.find("\n", end)
    return code[:line_start] + (code[line_end + 1 :] if line_end >= 0 else "")


def _before_brace(code: str) -> str:
    depth = 0
    for index, char in enumerate(code):
        # Braces inside an annotation's parentheses, @SuppressWarnings({"a"}), open no body.
        depth += (char == "(") - (char == ")")
        if depth == 0 and char in "{;":
            return code[:index].strip()
    return ""


_HEADS: Mapping[Language, Callable[[str], str]] = {
    Language.PYTHON: _before_body,
    Language.JAVA: _before_brace,
    Language.CSHARP: _before_brace,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _FunctionParts:
    """Offsets in a Python function's text: where its head ends, and what its docstring spans."""

    head_end: int
    docstring: tuple[int, int] | None


def _function_parts(code: str) -> _FunctionParts | None:
    """The parts of the first function in `code`, None if no head can be made out."""
    line_starts = (0, *accumulate(len(line) + 1 for line in code.split("\n")))
    tokens = _tokens(code)
    head_end = _end_of_head(tokens)
    if head_end is None:
        return None
    first = next((token for token in tokens if token.type not in _LAYOUT), None)
    after = next(tokens, None)
    docstring = None
    if first and first.type == tokenize.STRING and after and after.type in _STATEMENT_ENDS:
        docstring = (_offset(first.start, line_starts), _offset(first.end, line_starts))
    return _FunctionParts(head_end=_offset(head_end, line_starts), docstring=docstring)


def _offset(position: tuple[int, int], line_starts: tuple[int, ...]) -> int:
    return line_starts[position[0] - 1] + position[1]


def _tokens(code: str) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(code).readline)
    except (tokenize.TokenError, SyntaxError):
        return


def _end_of_head(tokens: Iterator[tokenize.TokenInfo]) -> tuple[int, int] | None:
    depth, inside = 0, False
    for token in tokens:
        if token.type == tokenize.NAME and token.string == "def":
            inside = True
        elif inside and token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
            if depth == 0 and token.string == ":":
                return token.end
    return None


__all__ = ["prose", "signature", "summary", "without_docstring"]
