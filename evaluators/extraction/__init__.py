"""From what a model wrote to the program that is run and parsed, or the summary that is scored.

    programs.py   the program: candidates, which of them is the answer, and what goes before it
    fences.py     Markdown's code blocks, and the text between them
    marks.py      marks of chat templates and of thoughts: where one turn's answer begins and ends
    summaries.py  prose
    endings.py    where an answer is over while a model still writes

One decision: nothing is repaired. What is cut is not the answer: fences, marks of a chat, prose, and whatever
runs, tests or goes on after the answer. What is added is the problem's own preamble, the braces that this
preamble opened, and in a fenced block, which begins at its own margin, the indentation that a body has. A
program that the model broke stays broken, and is counted as such.
"""

from evaluators.extraction.endings import answer_end, ends_at_last_line
from evaluators.extraction.marks import CHAT_MARK
from evaluators.extraction.programs import extract_program
from evaluators.extraction.summaries import extract_summary

__all__ = ["CHAT_MARK", "answer_end", "ends_at_last_line", "extract_program", "extract_summary"]
