"""The one table of languages.

One decision: a dict literal. A new language is a folder beside this file, a line here, and its name in
`tasks.records.Language`; whoever asks the table needs no change.
"""

from collections.abc import Mapping

from evaluators.languages import csharp, java, python
from evaluators.languages.support import LanguageSupport
from tasks.records import Language

LANGUAGES: Mapping[Language, LanguageSupport] = {
    Language.PYTHON: python.SUPPORT,
    Language.JAVA: java.SUPPORT,
    Language.CSHARP: csharp.SUPPORT,
}

__all__ = ["LANGUAGES"]
