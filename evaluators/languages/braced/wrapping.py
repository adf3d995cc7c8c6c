"""Makes a compilable file of what a model writes in a braced language: bare methods, or a whole class.

One decision: structure is read from a copy of the source in which comments and literals are blanked,
and nothing is moved to another line, so that a compiler's line numbers are the program's own.
"""

import re
from dataclasses import dataclass

CLASS_NAME = "Candidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapping:
    """What wrapping must know of a language.

    `provided` are imports that every program gets; `blanked` comments and literals; `imported` an import of a
    program's own, `dropped` what names the file's package. `directives` says that lines may be directives, which
    stand alone on their line; `blanked` has them too.
    """

    provided: tuple[str, ...]
    blanked: re.Pattern[str]
    imported: re.Pattern[str]
    dropped: re.Pattern[str]
    directives: bool
    nested_classes_need_static: bool


COMMENT = r"//[^\n]*|/\*.*?\*/"
PLAIN_LITERALS = r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
"""Patterns of what every braced language blanks, for their `Wrapping`s."""
_CONDITIONS = frozenset({"if", "elif", "else", "endif", "error", "warning"})
_TYPE = re.compile(r"\b(?:class|interface|enum|struct|record|namespace)\s+\w")
_CLASS = re.compile(r"(?:\b(?:public|private|protected|abstract|final|static)\s+)*\bclass\s+\w")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A stretch of top-level text up to a `;` or the end of a block, and where it starts."""

    start: int
    header: str


def wrap(source: str, *, rules: Wrapping) -> str:
    """Give a program the language's usual imports, and a class around it if it is bare methods.

    Classes that stand beside bare methods become nested ones. Imports of the program's own go to the
    head of the file, once each; a `package` line, or a namespace for the whole file, is dropped.
    """
    source = source.removeprefix("\ufeff")
    first, source = _take_directives(source, rules=rules) if rules.directives else ("", source)
    # A directive is alone on its line, so what is put before the program then has a line of its own, uncounted.
    start = "\n#line 1\n" if rules.directives else " "
    body, imports = _take_imports(source, rules=rules)
    head = " ".join(dict.fromkeys((*rules.provided, *imports)))
    pieces = _pieces(blank(body, rules=rules))
    if pieces and all(_TYPE.search(piece.header) for piece in pieces):
        return f"{first}{head}{start}{body}\n"
    if rules.nested_classes_need_static:
        body = _nested_static(body, pieces)
    return f"{first}{head} public class {CLASS_NAME} {{{start}{body}\n}}\n"


def _spaces(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def blank(source: str, *, rules: Wrapping) -> str:
    """The source with comments and literals blanked, every character at its place."""
    return rules.blanked.sub(_spaces, source)


def _take_directives(source: str, *, rules: Wrapping) -> tuple[str, str]:
    """The definitions, which must be first in a file, and the source without them or what says nothing to a compiler.

    What is left are conditions. `#nullable` is one for a compiler that knows references which may be null.
    """
    found = [match for match in rules.blanked.finditer(source) if match[0].lstrip().startswith("#")]
    definitions, body = [], source
    for match in found:
        word = match[0].lstrip()[1:].split()[:1]
        if word and word[0] in _CONDITIONS:
            continue
        if word and word[0] in ("define", "undef"):
            definitions.append(f"{match[0].strip()}\n")
        body = body[: match.start()] + _spaces(match) + body[match.end() :]
    return "".join(definitions), body


def _take_imports(source: str, *, rules: Wrapping) -> tuple[str, list[str]]:
    """Blank the imports before the first block in place, and return them with normalised spaces."""
    masked = blank(source, rules=rules)
    first_block = masked.find("{")
    limit = len(masked) if first_block < 0 else first_block
    imports, body = [], source
    for pattern, kept in ((rules.imported, True), (rules.dropped, False)):
        for match in pattern.finditer(masked, 0, limit):
            if kept:
                imports.append(" ".join(source[match.start() : match.end()].split()).removeprefix("global "))
            body = body[: match.start()] + _spaces(match) + body[match.end() :]
    return body, imports


def _pieces(masked: str) -> list[_Piece]:
    pieces, depth, start, header_end = list[_Piece](), 0, 0, -1
    for index, char in enumerate(masked):
        if char == "{":
            header_end = index if depth == 0 else header_end
            depth += 1
        elif char == "}":
            depth = max(0, depth - 1)
        if depth == 0 and char in ";}":
            _add_piece(pieces, start, masked[start : header_end if header_end >= start else index])
            start = index + 1
    _add_piece(pieces, start, masked[start:])
    return pieces


def _add_piece(pieces: list[_Piece], start: int, header: str) -> None:
    if header.strip():
        pieces.append(_Piece(start=start, header=header))


def _nested_static(body: str, pieces: list[_Piece]) -> str:
    """Make top-level classes static, as the methods beside which they will be nested are."""
    for piece in reversed(pieces):
        match = _CLASS.search(piece.header)
        if match is not None and "static" not in match[0].split():
            at = piece.start + match.start()
            body = f"{body[:at]}static {body[at:]}"
    return body


__all__ = ["CLASS_NAME", "COMMENT", "PLAIN_LITERALS", "Wrapping", "blank", "wrap"]
