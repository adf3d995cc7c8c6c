"""Where an answer is over while a model still writes: behind that, nothing that it may write is taken.

One decision: an answer is over only where the extraction takes the same program or summary whatever follows. It takes
the last of several answers, so a fence, a sentence or a thought ends nothing: a corrected answer may come behind each
of them. Two cases are left:

- A mark of a chat behind a whole answer, since no further turn is read.
- Code alone from the first line on, whole, with all names that it uses, behind which the model begins a definition
  that nothing in it uses, a main guard, an assert or a call of `print` (Python), or another method or type (Java, C#).

What the second gives up is a model that goes on so and then writes the asked function once more.
"""

import re
from itertools import pairwise

from evaluators.extraction.marks import CHAT_MARK, ended_turns, first_turn, has_thoughts
from evaluators.extraction.programs import extract_program, is_whole_alone, is_whole_turn
from evaluators.languages import LANGUAGES
from evaluators.languages.support import LanguageSupport
from tasks.records import Problem

_LINE_END = re.compile(r"\n")
# Stands for what is not written yet: some marks count at the end of a text alone.
_MORE = "x"


def answer_end(text: str, *, problem: Problem) -> int | None:
    """Where the answer in a text is over, in characters; None if it may go on.

    Whole lines are looked at from the first on, so the place does not depend on how far the text goes behind it.
    """
    support = _support(problem)
    starts = [0, *(found.end() for found in _LINE_END.finditer(text))]
    for start, end in pairwise(starts):
        found = _end_at(text[:end], start, problem, support)
        if found is not None:
            return found
    return None


def ends_at_last_line(text: str, *, problem: Problem) -> bool:
    """Whether the last whole line shows that the answer is over; for a text that is looked at after each line."""
    end = text.rfind("\n") + 1
    start = text.rfind("\n", 0, max(0, end - 1)) + 1
    return end > 0 and _end_at(text[:end], start, problem, _support(problem)) is not None


def _support(problem: Problem) -> LanguageSupport | None:
    language = problem.parsed_track.target
    return None if language is None else LANGUAGES[language]


def _end_at(text: str, start: int, problem: Problem, support: LanguageSupport | None) -> int | None:
    """Where the answer is over, by the last line of a text of whole lines, which begins at `start`."""
    line = text[start:]
    if CHAT_MARK.search(line + _MORE):
        return _summary_end(text) if support is None else _turn_end(text, problem, support)
    if support is None or (begun := support.dialect.begins_another(line)) is None:
        return None
    head = text[:start]
    if has_thoughts(head) or CHAT_MARK.search(head):
        return None
    return start if is_whole_alone(head, problem=problem, begun=begun) else None


def _summary_end(text: str) -> int | None:
    """Where the mark stands that ends a summary."""
    summary = first_turn(text + _MORE)
    place = text.find(summary)
    if has_thoughts(text) or not summary.strip() or place + len(summary) >= len(text):
        return None
    return place + len(summary)


def _turn_end(text: str, problem: Problem, support: LanguageSupport) -> int | None:
    """Where the mark stands that ends the turn with a whole answer."""
    if has_thoughts(text):
        return None
    ended = ended_turns(text + _MORE, literals=support.dialect.literals)
    end = next((place for turn, place in ended if is_whole_turn(turn, text, problem=problem)), None)
    if end is None or extract_program(text[:end], problem=problem) != extract_program(text, problem=problem):
        return None  # The mark is needed to read the answer before it.
    return end


__all__ = ["answer_end", "ends_at_last_line"]
