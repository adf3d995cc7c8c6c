"""C#: a program is a class or bare static methods, compiled by a warm mono compiler and run by a fresh mono.

One decision: mono, the C# that Linux distributions package themselves.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from evaluators.languages.braced.dialect import BracedDialect
from evaluators.languages.braced.reading import parses_as_members
from evaluators.languages.csharp.newer import GRAMMAR
from evaluators.languages.csharp.toolchain import TOOLCHAIN
from evaluators.languages.support import LanguageSupport
from tasks.records import Language

if TYPE_CHECKING:
    from evaluators.languages.flows import Rule
    from evaluators.languages.runtimes import RuntimeSupport

# C# language specification, section 6.4.4: keywords, then contextual keywords, as CodeBLEU's reference
# implementation has it.
_KEYWORDS = """
abstract as base bool break byte case catch char checked class const continue decimal default delegate do double
else enum event explicit extern false finally fixed float for foreach goto if implicit in int interface internal is
lock long namespace new null object operator out override params private protected public readonly ref return sbyte
sealed short sizeof stackalloc static string struct switch this throw true try typeof uint ulong unchecked unsafe
ushort using virtual void volatile while
add alias ascending async await by descending dynamic equals from get global group into join let nameof notnull on
orderby partial remove select set unmanaged value var when where yield
"""
# What besides is never a program's own.
_USUAL = """
true false null nameof String Math Console Convert Array Char List Dictionary HashSet IEnumerable Enumerable
StringBuilder Tuple
"""


def _flows() -> "Mapping[str, Rule]":
    from evaluators.languages.csharp.flows import RULES

    return RULES


def _runtime() -> "RuntimeSupport":
    from evaluators.languages.csharp.runtime import RUNTIME

    return RUNTIME


SUPPORT = LanguageSupport(
    language=Language.CSHARP,
    suffix=".cs",
    keywords=frozenset(_KEYWORDS.split()),
    grammar=GRAMMAR,
    parses=partial(parses_as_members, grammar=GRAMMAR),
    dialect=BracedDialect(
        grammar=GRAMMAR,
        literals=re.compile(
            r"(?P<remark>//[^\n]*|/\*.*?\*/)|(?P<literal>\"\"\".*?\"\"\"|(?:@\$?|\$@)\"(?:\"\"|[^\"])*\""
            r"|\$?(?<!\w)(?:\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'))",
            re.DOTALL,
        ),
        first_line=re.compile(
            r"^[ \t]*(?:using|namespace|public|private|protected|internal|static|class|\[)", re.MULTILINE
        ),
        imports=re.compile(r"^\s*using\s[^;(]*;", re.MULTILINE),
        usual=frozenset([*_KEYWORDS.split(), *_USUAL.split()]),
    ),
    int_bits=32,
    analyzers=("mcs", "lizard"),
    toolchain=TOOLCHAIN,
    flows=_flows,
    runtime=_runtime,
)

__all__ = ["SUPPORT"]
