"""From what a model wrote to the program that is run and parsed, or the summary that is scored.

One decision: nothing is repaired. What is cut is not the answer: fences, chat marks, prose around a
program, and what a model went on to write after a complete answer but did not finish. What is added is the
problem's own preamble, the braces that this preamble opened, and in a fenced block, which begins at its own
margin, the indentation that a body has. A program that the model broke stays broken, and is counted as such.
"""

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from evaluators.languages import LANGUAGES
from evaluators.languages.support import LanguageSupport
from tasks.records import Problem

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?:```|~~~)(?P<tag>[^`\n]*)$", re.MULTILINE)

# Marks of chat templates end an answer; models that were trained without their stop token go on to
# play the user. DeepSeek's marks are written with full-width bars, U+FF5C.
CHAT_MARK = re.compile(
    r"<\|(?:im_end|im_start|endoftext|eot_id|EOT|end_of_text|end_of_turn|end|user|assistant|system|fim_\w+|file_sep)\|>"
    r"|<\uff5c[^\uff5c\n]{1,40}\uff5c>|<(?:end|start)_of_turn>|</s>\s*\Z|<eos>\s*\Z|\[/?INST\]|^\[DONE\]\s*$"
    r"|^### (?:Instruction|Response):",
    re.MULTILINE,
)
_ANSWER_HEADER = re.compile(
    r"\A\s*(?:<\|im_start\|>assistant\n|<\|assistant\|>\n?|<start_of_turn>model\n|\[/INST\]"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>\n*|### Response:[ \t]*\n|\[BEGIN\][ \t]*\n)"
)
_THOUGHTS = re.compile(r"\A.*</think>", re.DOTALL)

_TRIALS = 20
"""Lines at which a program's end is looked for; each takes a parse, and endless prose has endless lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """Code as the model gave it; `fenced` code begins on a line of its own."""

    code: str
    fenced: bool


def extract_program(text: str, *, problem: Problem) -> str:
    """The program to run and parse, from a raw completion.

    Chat marks and what follows them are cut. Of fenced blocks the first that defines the problem's entry
    point is taken, else the first, whatever its tag; one that is never closed reaches to the end. A
    completion that defines the entry point is preceded by what the preamble has before it (imports,
    helpers, the head of a class); any other follows on from the whole preamble. If the result does not
    parse, prose before and after it is cut, and an unfinished tail, provided that what remains parses and
    defines the entry point; a program that breaks off within it stays as it is.

    Raises:
        ValueError: if the problem's track writes no code.
    """
    language = problem.parsed_track.target
    if language is None:
        raise ValueError(f"track {problem.track!r} writes prose, not code; use extract_summary for it")
    support = LANGUAGES[language]
    name = _entry_point(problem, support)
    candidates = [
        candidate
        for answer in _code_answers(_cut_chat(text), name, support)
        for candidate in _joined(answer, problem, support)
    ]
    for candidate in candidates:
        if support.parses(candidate):
            return candidate
    cut = (_cut_end(candidate, problem, support) for candidate in candidates)
    return next((kept for kept in cut if kept is not None), candidates[0])


def extract_summary(text: str) -> str:
    """The summary, from a raw completion: without chat marks, white space around it, or a fence around the whole."""
    text = _cut_chat(text).strip()
    if _FENCE.match(text):
        text = _answers(text)[0].code
    return text.strip()


def _cut_chat(text: str) -> str:
    text = _ANSWER_HEADER.sub("", _THOUGHTS.sub("", text))
    mark = CHAT_MARK.search(text)
    return text[: mark.start()] if mark else text


def _code_answers(text: str, name: str | None, support: LanguageSupport) -> list[_Answer]:
    """What may be the code, the likelier reading first; a bare answer may open with prose."""
    answers = _answers(text, defines=None if name is None else lambda code: _defines(code, name, support))
    if answers[0].fenced:
        return answers
    code = answers[0].code
    first = next((match for match in support.dialect.first_line.finditer(code) if code[: match.start()].strip()), None)
    if first is None:
        return answers
    return [*answers, _Answer(code=code[first.start() :], fenced=True)]


def _defines(code: str, name: str, support: LanguageSupport) -> bool:
    return support.dialect.definition(code, name) is not None


def _answers(text: str, *, defines: Callable[[str], bool] | None = None) -> list[_Answer]:
    """What may be the answer, the likelier reading first; there are two only around a lone bare fence.

    Of several blocks the first that `defines` is preferred.
    """
    fences = list(_FENCE.finditer(text))
    if not fences:
        return [_Answer(code=text, fenced=False)]
    if defines is not None and len(fences) > 2:
        fences = _defining(text, fences, defines)
    opening = fences[0]
    end = fences[1].start() if len(fences) > 1 else len(text)
    inside = _Answer(code=_dedent(text[opening.end() + 1 : end], opening["indent"]), fenced=True)
    before = text[: opening.start()]
    if len(fences) > 1 or opening["tag"].strip() or not before.strip():
        return [inside]
    # A lone bare fence opens a block that is never closed, or closes one that the prompt opened.
    return [_Answer(code=before, fenced=False), inside]


def _defining(text: str, fences: list[re.Match[str]], defines: Callable[[str], bool]) -> list[re.Match[str]]:
    """The fences from the first block on that defines the entry point; all of them where none does."""
    for index in range(0, len(fences), 2):
        end = fences[index + 1].start() if index + 1 < len(fences) else len(text)
        if defines(_dedent(text[fences[index].end() + 1 : end], fences[index]["indent"])):
            return fences[index:]
    return fences


def _dedent(code: str, indent: str) -> str:
    """Take off the fence's own indentation, which a block in a list has."""
    return re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) if indent else code


def _joined(answer: _Answer, problem: Problem, support: LanguageSupport) -> list[str]:
    """The answer as a program; a body that begins at the margin of its own block is indented first."""
    program = _join(answer, problem, support)
    depth = re.findall(r"^([ \t]+)\S", problem.preamble, re.MULTILINE)
    if not answer.fenced or not depth or not support.dialect.is_body(answer.code):
        return [program]
    return [_join(_Answer(code=textwrap.indent(answer.code, depth[-1]), fenced=True), problem, support), program]


def _join(answer: _Answer, problem: Problem, support: LanguageSupport) -> str:
    code, preamble, dialect = answer.code, problem.preamble, support.dialect
    if not preamble.strip() or not code.strip():
        return code
    name = _entry_point(problem, support)
    if name and dialect.definition(code, name):
        definition = dialect.definition(preamble, name)
        return dialect.put_before(preamble[: definition.start()] if definition else preamble + "\n", code)
    gap = "\n" if answer.fenced and not preamble.endswith("\n") else ""
    return dialect.follow_on(preamble + gap, code)


def _entry_point(problem: Problem, support: LanguageSupport) -> str | None:
    """The name that the tests call, or else the last that the preamble defines."""
    if problem.tests is not None and problem.tests.entry_point:
        return problem.tests.entry_point
    return support.dialect.last_defined(problem.preamble)


def _cut_end(program: str, problem: Problem, support: LanguageSupport) -> str | None:
    """A program without the prose or the unfinished tail after it; None if nothing of the answer remains."""
    name = _entry_point(problem, support)
    given = len(problem.preamble.rstrip()) if program.startswith(problem.preamble) else 0
    definition = support.dialect.definition(program, name) if name else None
    if name and definition is None:
        return None
    if definition is not None:
        whole = support.dialect.whole(program, definition)
        if whole is not None and support.parses(whole):
            return whole
    for place in _ends(program, definition.end() if definition else 0, support, defined=definition is not None):
        kept = program[:place].rstrip()
        if len(kept) > given and support.parses(kept):
            return kept + "\n"
    return None


def _ends(program: str, start: int, support: LanguageSupport, *, defined: bool) -> list[int]:
    """Where a program may end: before prose, and after its definition wherever the dialect lets it."""
    lines = [match for match in re.finditer(r"^.+$", program[start:], re.MULTILINE) if match.start() > 0]
    prose = (line.start() for line in lines if _reads_as_prose(line[0], support.keywords))
    places = list(islice(prose, _TRIALS))
    if defined:
        places += support.dialect.ends(lines)[:_TRIALS]
    return [start + place for place in places]


def _reads_as_prose(line: str, keywords: frozenset[str]) -> bool:
    """Whether a line at the margin is a sentence: words in a row or a colon, none of code's marks."""
    words = re.match(r"(?:[-*>]\s+|\d+[.)]\s+)?[*_]*([A-Za-z][\w'-]*)[*_]*(:\s*$|[,:]?\s+[\w(\"'`*]|[.!]\s*$)", line)
    if words is None or words[1] in keywords or words[1] == "print":
        return False
    # A statement's marks, or a type or a misplaced word before a call.
    return not re.search(r"[;{}=]|^\w+\s+\w+\(", line)
