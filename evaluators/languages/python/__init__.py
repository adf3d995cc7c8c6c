"""Python: read by the interpreter's own parser, run as forks of a warm interpreter.

One decision: its tools are the interpreter that this program runs on, so they are always there.
"""

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evaluators.languages.python.dialect import PythonDialect
from evaluators.languages.python.reading import parses
from evaluators.languages.support import LanguageSupport, Toolchain
from evaluators.languages.syntax import GrammarSource
from tasks.records import Language

if TYPE_CHECKING:
    from evaluators.languages.flows import Rule
    from evaluators.languages.runtimes import RuntimeSupport

_KEYWORDS = """
False None True and as assert async await break class continue def del elif else except finally for from global
if import in is lambda nonlocal not or pass raise return try while with yield
"""


def _flows() -> "Mapping[str, Rule]":
    from evaluators.languages.python.flows import RULES

    return RULES


def _runtime() -> "RuntimeSupport":
    from evaluators.languages.python.runtime import RUNTIME

    return RUNTIME


SUPPORT = LanguageSupport(
    language=Language.PYTHON,
    suffix=".py",
    keywords=frozenset(_KEYWORDS.split()),
    grammar=GrammarSource(
        package="tree-sitter-python",
        comments=frozenset({"comment", "line_continuation"}),
        literals=frozenset({"string"}),
    ),
    parses=parses,
    dialect=PythonDialect(),
    int_bits=None,
    analyzers=("pylint", "radon", "complexipy", "bandit", "lizard"),
    toolchain=Toolchain(
        title="candidates in Python",
        absent="no Python",
        advice="install it with",
        remedy="apt-get install python3",
        is_present=lambda: True,
        version=platform.python_version,
    ),
    flows=_flows,
    runtime=_runtime,
)

__all__ = ["SUPPORT"]
