"""What Polytune knows of each language, behind one table, for all who read, run, score or measure code.

    support.py    what there is to know of a language (`LanguageSupport`)
    table.py      the table: a line for each language
    python/ java/ csharp/   a folder for each language: its line's content, and what it loads when asked
    braced/       what languages with braces and static methods share
    reading.py    syntax.py  flows.py    code as trees, and which values flow in it
    runtimes.py   warm.py                programs as commands, and processes that stay up

One decision: nobody asks which language it is. Whoever needs to tell languages apart asks the table for a
capability, None where a language lacks it, so no `else` stands for a language that was not thought of.
"""

from evaluators.languages.table import LANGUAGES

__all__ = ["LANGUAGES"]
