"""The program, from a raw completion: candidates, which of them is the answer, and what goes before it.

One decision: the candidate wins that parses and defines what the problem asks for, the last of several, since
models correct themselves. Readings are tried from the strictest on, and a looser one only where no stricter
one gives a whole answer: fences as CommonMark has them, then with their ends cut, then whatever lies between
two fences, then code in a sentence. What is taken is left without all that the answer does not need.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from evaluators.extraction.fences import Block, loose_blocks, read_blocks
from evaluators.extraction.marks import turns, without_thoughts
from evaluators.languages import LANGUAGES
from evaluators.languages.support import Dialect, LanguageSupport
from tasks.records import CodeTests, Problem

_SPAN = re.compile(r"(?<!`)(`{1,3})(?!`)([^`\n]+)\1(?!`)")
_TAIL_FENCE = re.compile(r"(?:```+|~~~+)[ \t]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a program must define, and what goes before it; a name that is not `known` was read off the answer."""

    name: str | None
    known: bool
    preamble: str
    dialect: Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """A program as it may be meant; the first `given` characters are the preamble's."""

    program: str
    given: int = 0


def extract_program(text: str, *, problem: Problem) -> str:
    """The program to run and parse, from a raw completion.

    Thoughts, chat marks and further turns are no part of it, unless they stand in a string literal. Of the
    fenced blocks and the bare text around them the last is taken that parses and defines the problem's entry
    point; where none does, the last block that begins such a definition, else the first block, else the text.
    A completion that defines the entry point is preceded by what the preamble has before it (imports, helpers,
    the head of a class); any other follows on from the whole preamble. What follows the definition stays as
    far as the definition needs it; an unfinished tail is cut, but a program that breaks off within the
    definition stays as it is.

    Raises:
        ValueError: if the problem's track writes no code.
    """
    language = problem.parsed_track.target
    if language is None:
        raise ValueError(f"track {problem.track!r} writes prose, not code; use extract_summary for it")
    support = LANGUAGES[language]
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    text = without_thoughts(text, literals=support.dialect.literals)
    if not problem.preamble.strip() and re.match(r"\n*[ \t]+\S", text):
        text = textwrap.dedent(text)  # there is nothing that it could be the body of
    asked, first = _asked(problem, support, text), None
    for turn in turns(text, literals=support.dialect.literals):
        reading = _whole_answer(turn, asked)
        if reading is not None:
            return support.dialect.answer(reading.program, asked.name if asked.known else None, reading.given)
        first = turn if first is None else first
    return _broken(text if first is None else first, asked)


def is_whole_turn(turn: str, text: str, *, problem: Problem) -> bool:
    """Whether a turn of a text holds a whole answer, which is then taken whatever follows the turn."""
    asked = _asked_for_certain(text, problem)
    return asked is not None and _whole_answer(turn, asked) is not None


def is_whole_alone(text: str, *, problem: Problem, begun: str) -> bool:
    """Whether a text without marks and thoughts is code alone, and a whole answer that needs nothing else.

    `begun` is the name of what the line behind it begins to define, empty if that is a statement.
    """
    asked = _asked_for_certain(text, problem)
    if asked is None or asked.name is None or "```" in text or "~~~" in text:
        return False
    reading = next(_bare_readings(text, asked))
    if reading.given and not asked.dialect.goes_on_alone(asked.preamble, text):
        return False
    complete = asked.dialect.completes(reading.program, asked.name, reading.given)
    return complete and asked.dialect.needs_no_more(reading.program, asked.name, begun=begun)


def _asked_for_certain(text: str, problem: Problem) -> _Asked | None:
    """What a program must define; None where that, or how the text is read, may change with what follows it."""
    language = problem.parsed_track.target
    if language is None or "\r" in text or text.startswith("\ufeff"):
        return None
    if not problem.preamble.strip() and re.match(r"\n*[ \t]+\S", text):
        return None
    asked = _asked(problem, LANGUAGES[language], text)
    return asked if asked.known else None


def _asked(problem: Problem, support: LanguageSupport, text: str) -> _Asked:
    """What the tests call, or else the preamble begins, or else the answer defines first."""
    tests, dialect = problem.tests, support.dialect
    name = (tests.entry_point if tests is not None else "") or dialect.last_defined(problem.preamble)
    if name:
        return _Asked(name=name, known=True, preamble=problem.preamble, dialect=dialect)
    own = (support.language.value, support.language.title.lower(), support.suffix.removeprefix("."))
    blocks = read_blocks(text)
    tagged = [block for block in blocks if block.info.partition(" ")[0].lower() in own]
    codes = [block.code for block in [*tagged, *(block for block in blocks if block not in tagged)]]
    called = re.findall(r"\b([A-Za-z_]\w*)\s*\(", tests.code) if isinstance(tests, CodeTests) else []
    found = {called: None for called in called if any(dialect.definition(code, called) for code in [*codes, text])}
    name = next(iter(found), None) or next(filter(None, map(dialect.first_defined, [*codes, text])), None)
    return _Asked(name=name, known=len(found) == 1, preamble=problem.preamble, dialect=dialect)


def _whole_answer(text: str, asked: _Asked) -> _Reading | None:
    """The last complete answer of a text by the strictest reading that finds one; None if there is none."""
    if "```" not in text and "~~~" not in text:
        return _bare(text, asked) or _in_a_sentence(text, asked)
    hidden = [match.span() for match in asked.dialect.literals.finditer(text)]
    for blocks in (read_blocks(text, hidden=hidden), read_blocks(text)):
        found = _last_of(text, blocks, asked)
        if found is not None:
            return found
    for blocks in (read_blocks(text), loose_blocks(text)):
        for block in reversed(blocks):
            found = _fenced(block.code, asked, cut=True)
            if found is not None:
                return _joined(found, block, blocks, asked)
    return _in_a_sentence(text, asked)


def _last_of(text: str, blocks: list[Block], asked: _Asked) -> _Reading | None:
    """The last complete answer among blocks and the bare text around them.

    A block that is never closed was cut by the limit more often than forgotten, and a cut program may parse:
    it is taken only where there is no other.
    """
    if len(blocks) > 1 and not blocks[-1].closed:
        found = _last_of(text[: blocks[-1].start], blocks[:-1], asked)
        if found is not None:
            return found
    ends = [0, *(block.end for block in blocks)]
    starts = [*(block.start for block in blocks), len(text)]
    for place in range(len(blocks), -1, -1):
        found = _bare(text[ends[place] : starts[place]], asked, first=place == 0)
        if found is not None:
            return _opened_by_prompt(text, blocks, asked) or found if place == 0 else found
        if place and (found := _fenced(blocks[place - 1].code, asked, cut=False)):
            return _joined(found, blocks[place - 1], blocks, asked)
    return None


def _opened_by_prompt(text: str, blocks: list[Block], asked: _Asked) -> _Reading | None:
    """A better answer behind a fence that closes what the prompt opened."""
    if not blocks or blocks[0].info:
        return None
    line_end = text.find("\n", blocks[0].start)
    rest = text[line_end + 1 :] if line_end >= 0 else ""
    return _last_of(rest, read_blocks(rest), asked) if "```" in rest or "~~~" in rest else None


def _bare(text: str, asked: _Asked, *, first: bool = True) -> _Reading | None:
    """The answer in text without fences; only the `first` text can be a body."""
    if not text.strip():
        return None
    if first and asked.preamble.strip() and asked.dialect.continues(text, asked.name):
        return _complete(_follow_on(text, asked, fenced=False), asked, cut=True)
    if asked.name is None:
        reading = _Reading(program=text)
        return reading if asked.dialect.completes(text, None, 0) else None
    for code in asked.dialect.code_in(text, asked.name):
        whole = _put_before(code, asked)
        found = _complete(whole, asked, cut=True)
        if found is not None:
            return found if found is whole else _with_what_follows(found, code, asked)
    return None


def _with_what_follows(reading: _Reading, code: str, asked: _Asked) -> _Reading:
    """The reading, which was cut at prose, with what it uses of the paragraphs of code behind that."""
    if not asked.known:
        return reading
    return _Reading(program=asked.dialect.supply(reading.program, re.split(r"\n[ \t]*\n(?=\S)", code)))


def _fenced(code: str, asked: _Asked, *, cut: bool) -> _Reading | None:
    """The answer in a block, which may be a body at its own margin."""
    if not code.strip():
        return None
    if cut:
        code = _TAIL_FENCE.sub("", code.rstrip())
    for reading in _block_readings(code, asked):
        found = _complete(reading, asked, cut=cut)
        if found is not None:
            return found
    return None


def _block_readings(code: str, asked: _Asked) -> Iterator[_Reading]:
    if not asked.preamble.strip() or not code.strip():
        yield _Reading(program=code)
    elif not asked.dialect.continues(code, asked.name):
        yield _put_before(code, asked)
    else:
        depth = re.findall(r"^([ \t]+)\S", asked.preamble, re.MULTILINE)
        if depth and asked.dialect.is_body(code):
            yield _follow_on(textwrap.indent(code, depth[-1]), asked, fenced=True)
        yield _follow_on(code, asked, fenced=True)


def _follow_on(code: str, asked: _Asked, *, fenced: bool) -> _Reading:
    gap = "\n" if fenced and not asked.preamble.endswith("\n") else ""
    return _Reading(program=asked.dialect.follow_on(asked.preamble + gap, code), given=len(asked.preamble.rstrip()))


def _put_before(code: str, asked: _Asked) -> _Reading:
    """A whole definition behind what the preamble has before its own."""
    if not asked.preamble.strip():
        return _Reading(program=code)
    definition = asked.dialect.definition(asked.preamble, asked.name) if asked.name else None
    head = asked.preamble[: definition.start()] if definition else asked.preamble + "\n"
    return _Reading(program=asked.dialect.put_before(head, code))


def _complete(reading: _Reading, asked: _Asked, *, cut: bool) -> _Reading | None:
    """The reading, or what it is without its end, if that parses and defines what is asked for."""
    if asked.dialect.completes(reading.program, asked.name, reading.given):
        return reading
    if not cut or asked.name is None:
        return None
    kept = asked.dialect.cut(reading.program, asked.name, reading.given)
    return None if kept is None else _Reading(program=kept, given=reading.given)


def _joined(reading: _Reading, block: Block, blocks: list[Block], asked: _Asked) -> _Reading:
    """The reading with what only another block of the same kind defines or imports."""
    others = [other.code for other in blocks if other is not block and other.info == block.info]
    if not others or reading.given:
        return reading
    return _Reading(program=asked.dialect.supply(reading.program, others))


def _in_a_sentence(text: str, asked: _Asked) -> _Reading | None:
    """The answer in a code span, perhaps behind the name of its language."""
    if asked.name is None or asked.name not in text:
        return None
    for span in reversed(list(_SPAN.finditer(text))):
        for code in (span[2].strip(), span[2].strip().partition(" ")[2]):
            if asked.dialect.definition(code, asked.name) and (found := _fenced(code, asked, cut=False)):
                return found
    return None


def _broken(text: str, asked: _Asked) -> str:
    """What comes nearest to an answer, where none is complete."""
    hidden = [match.span() for match in asked.dialect.literals.finditer(text)]
    fenced = read_blocks(text, hidden=hidden)
    before = text[: fenced[0].start] if fenced else text
    blocks = [block for block in fenced if block.code.strip()]
    if fenced and not blocks and (fenced[0].info or fenced[0].closed):
        return ""
    if not blocks or (before.strip() and not (blocks[0].info or blocks[0].closed)):
        return next(_bare_readings(before, asked)).program
    defining = [block for block in blocks if asked.name and asked.dialect.definition(block.code, asked.name)]
    return next(_block_readings((defining[-1] if defining else blocks[0]).code, asked)).program


def _bare_readings(text: str, asked: _Asked) -> Iterator[_Reading]:
    if not asked.preamble.strip() or not text.strip():
        yield _Reading(program=text)
    elif asked.dialect.continues(text, asked.name):
        yield _follow_on(text, asked, fenced=False)
    else:
        yield _put_before(text, asked)


__all__ = ["extract_program", "is_whole_alone", "is_whole_turn"]
