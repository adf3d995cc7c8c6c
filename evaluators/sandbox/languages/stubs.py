"""Stubs that stand for a program when its problem's tests run apart, written from the problem's own signature.

One decision: a stub is the completion that calls the candidate. It follows on from the problem's preamble
as a model's answer does, and the tests follow on from it, so that whatever a data set's tests rely on
(helpers of the preamble, a class that the tests close) is there as it is in the data set's own harness.
"""

import re
from dataclasses import dataclass

from evaluators.sandbox.languages.outcomes import Rejected
from evaluators.sandbox.languages.wrapping import blank
from tasks.records import Language

_JAVA_TYPES = (
    "void boolean byte short int long float double char Boolean Byte Short Integer Long Float Double Character Number "
    "String Object Comparable List ArrayList LinkedList Collection Iterable Map HashMap LinkedHashMap TreeMap "
    "SortedMap NavigableMap Entry Set HashSet LinkedHashSet TreeSet SortedSet Queue Deque ArrayDeque PriorityQueue "
    "Stack Vector Optional BigInteger BigDecimal Unit Pair Triplet Quartet Quintet java util math lang org javatuples "
    "extends super final"
)
_CSHARP_TYPES = (
    "void bool byte sbyte short ushort int uint long ulong float double decimal char string object dynamic Boolean "
    "Byte Int16 Int32 Int64 Single Double Decimal Char String Object List IList ICollection IEnumerable "
    "IReadOnlyList Dictionary IDictionary HashSet ISet Tuple KeyValuePair BigInteger Nullable System Collections "
    "Generic Numerics params"
)
_TYPES = {Language.JAVA: frozenset(_JAVA_TYPES.split()), Language.CSHARP: frozenset(_CSHARP_TYPES.split())}
_MODIFIERS = r"(?:(?:public|private|protected|internal|static|final|abstract|virtual|override|synchronized|async)\s+)*"
_METHOD = re.compile(rf"^\s*{_MODIFIERS}(?P<returns>[\w.<>\[\],?\s()]+?)\s+(?P<name>\w+)\s*\((?P<rest>.*)$", re.DOTALL)
_CLASS = re.compile(r"\b(?:class|struct|record|interface|enum)\s+(\w+)")
_TUPLE_NAMES = re.compile(r"(?<=[\w>\]?])\s+\w+(?=\s*[,)])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The method that a preamble ends in: its class, its name and the declared types, as texts."""

    owner: str
    name: str
    returns: str
    parameters: tuple[tuple[str, str], ...]


def closing_braces(tests: str, *, language: Language) -> int:
    """How many braces the tests close that the program before them opened."""
    depth = lowest = 0
    for char in blank(tests, language=language):
        depth += (char == "{") - (char == "}")
        lowest = min(lowest, depth)
    return -lowest


def stub_source(preamble: str, tests: str, *, language: Language) -> str | Rejected:
    """The preamble, a body that calls the candidate, and the tests; or why the tests cannot run apart."""
    masked = blank(preamble, language=language)
    headers = _open_headers(masked)
    signature = _signature(headers, language=language)
    if isinstance(signature, Rejected):
        return signature
    braces = len(headers) - closing_braces(tests, language=language)
    if braces < 0:
        return Rejected(message="the tests close more than the preamble opens")
    body = _java_body(signature) if language is Language.JAVA else _csharp_body(signature)
    return f"{preamble}\n{body}\n{'}' * braces}\n{tests}"


def _open_headers(masked: str) -> list[str]:
    """What stands before each brace that is open at the end, the outermost first."""
    headers, start = list[str](), 0
    for index, char in enumerate(masked):
        if char == "{":
            headers.append(masked[start:index])
        elif char == "}" and headers:
            headers.pop()
        if char in "{};":
            start = index + 1
    return headers


def _signature(headers: list[str], *, language: Language) -> Signature | Rejected:
    owner = _CLASS.search(headers[-2]) if len(headers) > 1 else None
    method = _METHOD.match(headers[-1]) if headers else None
    if owner is None or method is None or _CLASS.search(headers[-1]):
        return Rejected(message="the problem's preamble does not end in a method of a class")
    listed = method["rest"].rpartition(")")[0]
    parameters = []
    for text in _split(listed):
        declared, _, name = text.partition("=")[0].strip().rpartition(" ")
        parameters.append((declared.strip(), name.strip()))
    signature = Signature(
        owner=owner[1], name=method["name"], returns=method["returns"].strip(), parameters=tuple(parameters)
    )
    return _unknown_type(signature, language=language) or signature


def _split(parameters: str) -> list[str]:
    """Split at the commas that are not within brackets."""
    parts, depth, start = list[str](), 0, 0
    for index, char in enumerate(parameters):
        depth += (char in "<([") - (char in ">)]")
        if char == "," and depth == 0:
            parts.append(parameters[start:index])
            start = index + 1
    return [part for part in (*parts, parameters[start:]) if part.strip()]


def _unknown_type(signature: Signature, *, language: Language) -> Rejected | None:
    for declared in (signature.returns, *(kind for kind, _ in signature.parameters)):
        plain = _TUPLE_NAMES.sub("", declared) if "(" in declared else declared
        unknown = sorted(set(re.findall(r"[^\W\d]\w*", plain)) - _TYPES[language])
        if unknown or not declared:
            return Rejected(message=f"values of type {declared or 'unknown'} cannot cross")
    return None


def _texts(items: list[str]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def _arguments(signature: Signature) -> str:
    return ", ".join(name for _, name in signature.parameters)


def _simple(declared: str) -> str:
    """A declared type without its type arguments, `final` and package."""
    plain = re.sub(r"<.*>", "", declared).replace("...", "[]")
    return re.sub(r"\b(?:final|params)\s+|\s|[\w.]+\.", "", plain)


def _java_body(signature: Signature) -> str:
    types = _texts([_simple(kind) for kind, _ in signature.parameters])
    called = (
        f'PolytuneBridge.call("{signature.owner}", "{signature.name}", new String[] {{{types}}}, '
        f"new Object[] {{{_arguments(signature)}}})"
    )
    if signature.returns == "void":
        return f"{called};"
    boxed = {"int": "Integer", "char": "Character"}.get(signature.returns, signature.returns)
    if re.fullmatch(r"[a-z]+", boxed):
        boxed = boxed.capitalize()
    return f'return ({boxed}) PolytuneBridge.widened({called}, "{signature.returns}");'


def _csharp_body(signature: Signature) -> str:
    types = _texts([_simple(kind) for kind, _ in signature.parameters])
    returns = "object" if signature.returns == "void" else signature.returns
    called = (
        f'PolytuneBridge.Call<{returns}>("{signature.owner}", "{signature.name}", new string[] {{{types}}}, '
        f"new object[] {{{_arguments(signature)}}});"
    )
    return called if signature.returns == "void" else f"return {called}"


__all__ = ["Signature", "closing_braces", "stub_source"]
