"""The reserved words of each language, which CodeBLEU's weighted n-gram match counts in full.

One decision: the words are written out from the language's specification, not read off a grammar or
the running interpreter, so that an upgrade of either changes no score.
"""

from tasks.records import Language

_PYTHON = """
False None True and as assert async await break class continue def del elif else except finally for from global
if import in is lambda nonlocal not or pass raise return try while with yield
"""

# Java SE 17 Language Specification, section 3.9; true, false and null are literals there.
_JAVA = """
abstract assert boolean break byte case catch char class const continue default do double else enum extends final
finally float for goto if implements import instanceof int interface long native new package private protected
public return short static strictfp super switch synchronized this throw throws transient try void volatile while
"""

# C# language specification, section 6.4.4: keywords, then contextual keywords, as the reference implementation has it.
_CSHARP = """
abstract as base bool break byte case catch char checked class const continue decimal default delegate do double
else enum event explicit extern false finally fixed float for foreach goto if implicit in int interface internal is
lock long namespace new null object operator out override params private protected public readonly ref return sbyte
sealed short sizeof stackalloc static string struct switch this throw true try typeof uint ulong unchecked unsafe
ushort using virtual void volatile while
add alias ascending async await by descending dynamic equals from get global group into join let nameof notnull on
orderby partial remove select set unmanaged value var when where yield
"""

KEYWORDS: dict[Language, frozenset[str]] = {
    Language.PYTHON: frozenset(_PYTHON.split()),
    Language.JAVA: frozenset(_JAVA.split()),
    Language.CSHARP: frozenset(_CSHARP.split()),
}
