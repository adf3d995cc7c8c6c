"""Stubs that stand for a program when its problem's tests run apart, written from the problem's own signature.

One decision: a stub is the completion that calls the candidate. It follows on from the problem's preamble
as a model's answer does, and the tests follow on from it, so that whatever a data set's tests rely on
(helpers of the preamble, a class that the tests close) is there as it is in the data set's own harness.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from evaluators.languages.braced.wrapping import Wrapping, blank
from evaluators.languages.runtimes import Rejected

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


@dataclass(frozen=True, slots=True, kw_only=True)
class StubRules:
    """What stubs must know of a language: the names in types whose values cross, and a body's wording."""

    wrapping: Wrapping
    types: frozenset[str]
    body: Callable[[Signature], str]


def closing_braces(tests: str, *, rules: Wrapping) -> int:
    """How many braces the tests close that the program before them opened."""
    depth = lowest = 0
    for char in blank(tests, rules=rules):
        depth += (char == "{") - (char == "}")
        lowest = min(lowest, depth)
    return -lowest


def stub_source(preamble: str, tests: str, *, rules: StubRules) -> str | Rejected:
    """The preamble, a body that calls the candidate, and the tests; or why the tests cannot run apart."""
    masked = blank(preamble, rules=rules.wrapping)
    headers = _open_headers(masked)
    signature = _signature(headers, types=rules.types)
    if isinstance(signature, Rejected):
        return signature
    braces = len(headers) - closing_braces(tests, rules=rules.wrapping)
    if braces < 0:
        return Rejected(message="the tests close more than the preamble opens")
    return f"{preamble}\n{rules.body(signature)}\n{'}' * braces}\n{tests}"


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


def _signature(headers: list[str], *, types: frozenset[str]) -> Signature | Rejected:
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
    return _unknown_type(signature, types=types) or signature


def _split(parameters: str) -> list[str]:
    """Split at the commas that are not within brackets."""
    parts, depth, start = list[str](), 0, 0
    for index, char in enumerate(parameters):
        depth += (char in "<([") - (char in ">)]")
        if char == "," and depth == 0:
            parts.append(parameters[start:index])
            start = index + 1
    return [part for part in (*parts, parameters[start:]) if part.strip()]


def _unknown_type(signature: Signature, *, types: frozenset[str]) -> Rejected | None:
    for declared in (signature.returns, *(kind for kind, _ in signature.parameters)):
        plain = _TUPLE_NAMES.sub("", declared) if "(" in declared else declared
        unknown = sorted(set(re.findall(r"[^\W\d]\w*", plain)) - types)
        if unknown or not declared:
            return Rejected(message=f"values of type {declared or 'unknown'} cannot cross")
    return None


def quoted(items: list[str]) -> str:
    """The items as string literals, for a list of them."""
    return ", ".join(f'"{item}"' for item in items)


def arguments_of(signature: Signature) -> str:
    """The parameters' names, as they are handed on."""
    return ", ".join(name for _, name in signature.parameters)


def simple_type(declared: str) -> str:
    """A declared type without its type arguments, `final` and package."""
    plain = re.sub(r"<.*>", "", declared).replace("...", "[]")
    return re.sub(r"\b(?:final|params)\s+|\s|[\w.]+\.", "", plain)


__all__ = ["Signature", "StubRules", "arguments_of", "closing_braces", "quoted", "simple_type", "stub_source"]
