"""Java: a program is a class or bare static methods, compiled by a warm JDK and run on a fresh virtual machine.

One decision: a JDK is taken, not a bare runtime, since everything here compiles.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from evaluators.languages.braced.dialect import BracedDialect
from evaluators.languages.braced.reading import parses_as_members
from evaluators.languages.java.toolchain import TOOLCHAIN
from evaluators.languages.support import LanguageSupport
from evaluators.languages.syntax import GrammarSource
from tasks.records import Language

if TYPE_CHECKING:
    from evaluators.languages.flows import Rule
    from evaluators.languages.runtimes import RuntimeSupport

# Java SE 17 Language Specification, section 3.9; true, false and null are literals there.
_KEYWORDS = """
abstract assert boolean break byte case catch char class const continue default do double else enum extends final
finally float for goto if implements import instanceof int interface long native new package private protected
public return short static strictfp super switch synchronized this throw throws transient try void volatile while
"""
# What besides is never a program's own.
_USUAL = """
boolean byte char double float int long short void var String Integer Long Double Boolean Character Math System Object
StringBuilder Override List ArrayList Map HashMap Set HashSet Arrays Collections true false null record
"""
_GRAMMAR = GrammarSource(
    package="tree-sitter-java",
    comments=frozenset({"line_comment", "block_comment"}),
    literals=frozenset({"string_literal", "character_literal"}),
)


def _flows() -> "Mapping[str, Rule]":
    from evaluators.languages.java.flows import RULES

    return RULES


def _runtime() -> "RuntimeSupport":
    from evaluators.languages.java.runtime import RUNTIME

    return RUNTIME


SUPPORT = LanguageSupport(
    language=Language.JAVA,
    suffix=".java",
    keywords=frozenset(_KEYWORDS.split()),
    grammar=_GRAMMAR,
    parses=partial(parses_as_members, grammar=_GRAMMAR),
    dialect=BracedDialect(
        grammar=_GRAMMAR,
        literals=re.compile(
            r"(?P<remark>//[^\n]*|/\*.*?\*/)"
            r"|(?P<literal>\"\"\"(?:\\.|[^\\])*?\"\"\"|(?<!\w)(?:\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'))",
            re.DOTALL,
        ),
        first_line=re.compile(
            r"^[ \t]*(?:import|package|public|private|protected|static|final|abstract|class|@)\b", re.MULTILINE
        ),
        imports=re.compile(r"^\s*import\s[^;]*;", re.MULTILINE),
        usual=frozenset([*_KEYWORDS.split(), *_USUAL.split()]),
    ),
    int_bits=32,
    analyzers=("pmd", "lizard"),
    toolchain=TOOLCHAIN,
    flows=_flows,
    runtime=_runtime,
)

__all__ = ["SUPPORT"]
