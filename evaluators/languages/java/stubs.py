"""How Java programs are made whole, and how a stub in Java calls the candidate.

One decision: the types whose values cross are listed by the names that may stand in them, so that a type that
nobody thought of is refused rather than sent.
"""

import re

from evaluators.languages.braced.stubs import Signature, StubRules, arguments_of, quoted, simple_type
from evaluators.languages.braced.wrapping import COMMENT, PLAIN_LITERALS, Wrapping

_TYPES = (
    "void boolean byte short int long float double char Boolean Byte Short Integer Long Float Double Character Number "
    "String Object Comparable List ArrayList LinkedList Collection Iterable Map HashMap LinkedHashMap TreeMap "
    "SortedMap NavigableMap Entry Set HashSet LinkedHashSet TreeSet SortedSet Queue Deque ArrayDeque PriorityQueue "
    "Stack Vector Optional BigInteger BigDecimal Unit Pair Triplet Quartet Quintet java util math lang org javatuples "
    "extends super final"
)
_WRAPPING = Wrapping(
    provided=("import java.util.*;", "import java.util.function.*;", "import java.util.stream.*;"),
    blanked=re.compile(rf"{COMMENT}|\"\"\".*?\"\"\"|{PLAIN_LITERALS}", re.DOTALL),
    imported=re.compile(r"\bimport\s+(?:static\s+)?[\w.]+(?:\s*\.\s*\*)?\s*;"),
    dropped=re.compile(r"\bpackage\s+[\w.]+\s*;"),
    directives=False,
    nested_classes_need_static=True,
)


def _body(signature: Signature) -> str:
    types = quoted([simple_type(kind) for kind, _ in signature.parameters])
    called = (
        f'PolytuneBridge.call("{signature.owner}", "{signature.name}", new String[] {{{types}}}, '
        f"new Object[] {{{arguments_of(signature)}}})"
    )
    if signature.returns == "void":
        return f"{called};"
    boxed = {"int": "Integer", "char": "Character"}.get(signature.returns, signature.returns)
    if re.fullmatch(r"[a-z]+", boxed):
        boxed = boxed.capitalize()
    return f'return ({boxed}) PolytuneBridge.widened({called}, "{signature.returns}");'


STUBS = StubRules(wrapping=_WRAPPING, types=frozenset(_TYPES.split()), body=_body)

__all__ = ["STUBS"]
