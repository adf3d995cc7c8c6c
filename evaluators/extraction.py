"""From what a model wrote to the program that is run and parsed, or the summary that is scored.

One decision: nothing is repaired. What is cut is not code (fences, chat marks, prose after a program
that is complete without it); what is added is the problem's own preamble and the braces that this
preamble opened. A program that the model broke stays broken, and is counted as such.
"""

import re
from dataclasses import dataclass
from itertools import islice

from evaluators.similarity.keywords import KEYWORDS
from evaluators.similarity.syntax import parses
from tasks.records import Language, Problem

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?:```|~~~)(?P<tag>[^`\n]*)$", re.MULTILINE)

# Marks of chat templates end an answer; models that were trained without their stop token go on to
# play the user. DeepSeek's marks are written with full-width bars, U+FF5C.
CHAT_MARK = re.compile(
    r"<\|(?:im_end|im_start|endoftext|eot_id|end_of_text|end|user|assistant|system|fim_\w+|file_sep)\|>"
    r"|<\uff5c[^\uff5c\n]{1,40}\uff5c>|<(?:end|start)_of_turn>|</s>\s*\Z"
)
_ANSWER_HEADER = re.compile(r"\A\s*(?:<\|im_start\|>assistant\n|<\|assistant\|>\n?)")
_THOUGHTS = re.compile(r"\A.*</think>", re.DOTALL)

_IMPORT = {
    Language.JAVA: re.compile(r"^\s*import\s[^;]*;", re.MULTILINE),
    Language.CSHARP: re.compile(r"^\s*using\s[^;(]*;", re.MULTILINE),
}
_TYPE_DECLARATION = re.compile(r"\b(?:class|interface|enum|record|struct)\s+\w+")
_NOT_CODE = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.DOTALL)


_PROSE_TRIALS = 20
"""Lines at which a program's end is looked for; each takes a parse, and endless prose has endless lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """Code as the model gave it; `fenced` code begins on a line of its own."""

    code: str
    fenced: bool


def extract_program(text: str, *, problem: Problem) -> str:
    """The program to run and parse, from a raw completion.

    Chat marks and what follows them are cut. The first fenced block is taken, whatever its tag; one
    that is never closed reaches to the end. A completion that defines the problem's entry point is
    preceded by what the preamble has before it (imports, helpers, the head of a class); any other
    follows on from the whole preamble. If the result does not parse, prose at its end is cut,
    provided that what is before it parses and defines the entry point.

    Raises:
        ValueError: if the problem's track writes no code.
    """
    language = problem.parsed_track.target
    if language is None:
        raise ValueError(f"track {problem.track!r} writes prose, not code; use extract_summary for it")
    text = _cut_chat(text)
    candidates = [_join(answer, problem, language) for answer in _answers(text)]
    program = next((candidate for candidate in candidates if parses(candidate, language=language)), candidates[0])
    return _cut_prose(program, problem, language)


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


def _answers(text: str) -> list[_Answer]:
    """What may be the code, the likelier reading first; there are two only around a lone bare fence."""
    fences = list(_FENCE.finditer(text))
    if not fences:
        return [_Answer(code=text, fenced=False)]
    opening = fences[0]
    end = fences[1].start() if len(fences) > 1 else len(text)
    inside = _Answer(code=_dedent(text[opening.end() + 1 : end], opening["indent"]), fenced=True)
    before = text[: opening.start()]
    if len(fences) > 1 or opening["tag"].strip() or not before.strip():
        return [inside]
    # A lone bare fence opens a block that is never closed, or closes one that the prompt opened.
    return [_Answer(code=before, fenced=False), inside]


def _dedent(code: str, indent: str) -> str:
    """Take off the fence's own indentation, which a block in a list has."""
    return re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) if indent else code


def _join(answer: _Answer, problem: Problem, language: Language) -> str:
    code, preamble = answer.code, problem.preamble
    if not preamble.strip() or not code.strip():
        return code
    name = _entry_point(problem, language)
    definition = _definition(preamble, name, language) if name else None
    if name and _definition(code, name, language):
        return _put_before(preamble[: definition.start()] if definition else preamble + "\n", code, language)
    gap = "\n" if answer.fenced and not preamble.endswith("\n") else ""
    program = preamble + gap + code
    return program if language is Language.PYTHON else program + _closing_braces(preamble, code, own=1)


def _put_before(head: str, code: str, language: Language) -> str:
    """Precede a completion that defines the entry point by what the preamble has before it."""
    if language is Language.PYTHON:
        # `from __future__` must stay on top of the file.
        future = list(re.finditer(r"^from __future__ import .*\n", code, re.MULTILINE))
        top = future[-1].end() if future else 0
        return code[:top] + head + code[top:]
    if _TYPE_DECLARATION.search(_mask(code)):
        # A whole class needs only the imports of the one that the preamble began.
        imports = [line.strip() for line in _IMPORT[language].findall(head) if line.strip() not in code]
        return "\n".join([*imports, code])
    return head + code + _closing_braces(head, code, own=0)


def _closing_braces(preamble: str, code: str, *, own: int) -> str:
    """The braces that close what the preamble opened, as far as the code does not.

    `own` of them are the code's business: a body that does not close its own method was cut off,
    and stays so.
    """
    opened, balance = _open_braces(preamble), _open_braces(code)
    missing = opened + balance
    return "\n" + "}" * missing if 0 < missing <= opened - own else ""


def _open_braces(code: str) -> int:
    code = _mask(code)
    return code.count("{") - code.count("}")


def _entry_point(problem: Problem, language: Language) -> str | None:
    """The name that the tests call, or else the last that the preamble defines."""
    if problem.tests is not None and problem.tests.entry_point:
        return problem.tests.entry_point
    if language is Language.PYTHON:
        names = re.findall(r"^(?:async\s+)?def\s+(\w+)", problem.preamble, re.MULTILINE)
    else:
        names = re.findall(r"(\w+)\s*\([^()]*\)[^;{}()]*\{", _mask(problem.preamble))
    return str(names[-1]) if names else None


def _definition(code: str, name: str, language: Language) -> re.Match[str] | None:
    """Where `code` defines `name`, from the start of the line."""
    name = re.escape(name)
    if language is Language.PYTHON:
        return re.search(rf"^(?:(?:async\s+)?def\s+{name}\s*\(|class\s+{name}\b|{name}\s*=)", code, re.MULTILINE)
    # A method's name follows its type; a call's follows an operator, a dot or a keyword.
    pattern = rf"^[ \t]*(?:[\w.<>\[\],?@]+\s+){{0,8}}?(?!return\b|new\b|else\b)[\w.<>\[\],?]+\s+{name}\s*\([^;{{}}]*\{{"
    return re.search(pattern, _mask(code), re.MULTILINE)


def _mask(code: str) -> str:
    """Java or C# with comments and literals blanked out, every place kept."""
    return _NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), code)


def _cut_prose(program: str, problem: Problem, language: Language) -> str:
    """Cut prose that follows a complete program; code that breaks off is not prose."""
    if parses(program, language=language):
        return program
    name = _entry_point(problem, language)
    definition = _definition(program, name, language) if name else None
    if name and definition is None:
        return program
    end = definition.end() if definition else 0
    starts = (match.start() for match in re.finditer(r"^.+$", program[end:], re.MULTILINE) if match.start() > 0)
    places = (end + start for start in starts if _reads_as_prose(program[end + start :].partition("\n")[0], language))
    for place in islice(places, _PROSE_TRIALS):
        kept = program[:place].rstrip()
        if parses(kept, language=language):
            return kept + "\n"
    return program


def _reads_as_prose(line: str, language: Language) -> bool:
    """Whether a line at the margin is a sentence: words in a row or a colon, none of code's marks."""
    words = re.match(r"(?:[-*>]\s+|\d+[.)]\s+)?[*_]*([A-Za-z][\w'-]*)[*_]*(:\s*$|[,:]?\s+[\w(\"'`*]|[.!]\s*$)", line)
    if words is None or words[1] in KEYWORDS[language] or words[1] == "print":
        return False
    # A statement's marks, or a type or a misplaced word before a call.
    return not re.search(r"[;{}=]|^\w+\s+\w+\(", line)
