r"""The closed encoding in which values cross between judge and candidate: lines of ASCII JSON.

One decision: JSON's own values for what JSON can say, and objects of one short key for the rest, so
that parsing is the standard library's and nothing in a line could be executed. Only exact built-in
types are made on the other side, and the plain data of `composed`; any other subclass crosses as its base
type's content, read through the base type's own methods, whatever the subclass overrides.

    null true false 12 1.5 NaN "text" [V, ...]     as JSON has them; an int past 64 bits is {"i": "0x..."}
    {"t": [V, ...]}    tuple                       {"d": [[K, V], ...]}   dict, in its order
    {"s": [V, ...]}    set                         {"f": [V, ...]}        frozenset
    {"b": "hex"}       bytes                       {"c": [re, im]}        complex
    {"r": [a, b, c]}   range                       {"k": [K, ...]}        dict keys
    {"it": [V, ...]}   iterator, drained           {"y": "int"}           one of the types named here
    {"x": ...}  {"N": ...}  {"D": ...}  {"E": ...}   the standard library's values, and plain data: `composed`
    {"o": "Name"}      a value outside the contract
"""

import json
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from types import GeneratorType
from typing import Any

from evaluators.isolation import composed

LONGEST_ITERATOR = 100_000
DEEPEST = 200
MUTABLE = (list, dict, set, deque, bytearray, Counter, OrderedDict)
"""Types of arguments that a call may leave with other content."""
_BATCH = 1000
_WORD = range(-(2**63), 2**63)

Encoded = None | bool | int | float | str | list["Encoded"] | dict[str, "Encoded"]


class Alien:
    """A value outside the contract: equal to nothing, not even to itself."""

    __slots__ = ("type_name",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def __eq__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return f"a value of type {self.type_name}"


class UnsayableError(ValueError):
    """A value that a test passes cannot cross."""


def alien(name: str) -> Encoded:
    """The encoding of a value outside the contract."""
    return {"o": name[:100]}


def _integer(value: int) -> Encoded:
    plain = int.__int__(value)
    return plain if plain in _WORD else {"i": hex(plain)}


def _items(tag: str, items: Iterator[Any], depth: int) -> Encoded:
    return {tag: [encode(item, depth=depth) for item in items]}


def _dict(value: dict[Any, Any], depth: int) -> Encoded:
    return {"d": [[encode(k, depth=depth), encode(v, depth=depth)] for k, v in dict.items(value)]}


def _complex(value: complex) -> Encoded:
    real, imag = complex.real, complex.imag
    return {"c": [real.__get__(value), imag.__get__(value)]}


def _range(value: range) -> Encoded:
    return {"r": [encode(part) for part in (value.start, value.stop, value.step)]}


def _drained(value: Iterator[Any], depth: int) -> Encoded:
    drained: list[Encoded] = []
    for item in value:
        if len(drained) >= LONGEST_ITERATOR:
            return alien(f"iterator of more than {LONGEST_ITERATOR} items")
        drained.append(encode(item, depth=depth))
    return {"it": drained}


_BY_TYPE: dict[type, Callable[[Any, int], Encoded]] = {
    bool: lambda value, depth: value,
    int: lambda value, depth: _integer(value),
    float: lambda value, depth: float.__float__(value),
    str: lambda value, depth: str.__str__(value),
    list: lambda value, depth: [encode(item, depth=depth) for item in list.__iter__(value)],
    tuple: lambda value, depth: _items("t", tuple.__iter__(value), depth),
    dict: _dict,
    set: lambda value, depth: _items("s", set.__iter__(value), depth),
    frozenset: lambda value, depth: _items("f", frozenset.__iter__(value), depth),
    bytes: lambda value, depth: {"b": bytes.hex(value)},
    complex: lambda value, depth: _complex(value),
    range: lambda value, depth: _range(value),
    type({}.keys()): lambda value, depth: _items("k", iter(value), depth),
}
_EMPTY: tuple[Any, ...] = ([], (), {}, set(), "", b"", range(0), {}.items(), {}.values())
_ITERATORS: frozenset[type] = frozenset(
    {GeneratorType, map, filter, zip, enumerate, reversed, type(reversed([])), *(type(iter(empty)) for empty in _EMPTY)}
)
_NAMED_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, range, object, type(None))
}
_TYPE_NAMES = {kind: name for name, kind in _NAMED_TYPES.items()}
_IDENTICAL = frozenset({str, float, bool, type(None)})


def encode(value: object, *, depth: int = 0) -> Encoded:
    """Make plain JSON data of a value; never raises for a value's own fault, except from an iterator of its own."""
    kind = type(value)
    if kind in _IDENTICAL:
        return value  # type: ignore[return-value]
    if depth >= DEEPEST:
        return alien(f"nesting deeper than {DEEPEST}")
    writer = _BY_TYPE.get(kind)
    if writer is None:
        if (data := _composed(kind, value, depth)) is not None:
            return data
        writer = _writer_of_base(kind)
    if writer is not None:
        return writer(value, depth + 1)
    if kind in _ITERATORS:
        return _drained(value, depth + 1)  # type: ignore[arg-type]
    if kind is type and value in _TYPE_NAMES:
        return {"y": _TYPE_NAMES[value]}
    return alien(type.__getattribute__(kind, "__name__"))


def _composed(kind: type, value: object, depth: int) -> Encoded:
    """The encoding of what is more than a built-in value and yet plain data; None if it is not."""
    try:
        found = composed.describe(kind, value)
    except Exception:  # a class that only looks like one of these
        return None
    if found is None:
        return None
    return {found.tag: [*found.before, [encode(part, depth=depth + 1) for part in found.held], *found.after]}


def _writer_of_base(kind: type) -> Callable[[Any, int], Encoded] | None:
    for base in type.__dict__["__mro__"].__get__(kind):  # what a metaclass says of itself does not count
        if base in _BY_TYPE:
            return _BY_TYPE[base]
        if type.__dict__["__module__"].__get__(base) == "itertools":
            return _drained
    return None


_IN_PIECES: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ('{"t":[', "]}"),
    set: ('{"s":[', "]}"),
    frozenset: ('{"f":[', "]}"),
}


def pieces(value: object, *, depth: int = 0) -> Iterator[str]:
    """The encoding as text in parts, so that a large value is never held as JSON data as well, many times its size."""
    if not _is_large(value) or depth >= DEEPEST:
        yield json.dumps(encode(value, depth=depth), separators=(",", ":"))
        return
    opened, closed = _IN_PIECES[type(value)]
    items = list(value)  # type: ignore[call-overload]
    yield opened
    for start in range(0, len(items), _BATCH):
        batch = items[start : start + _BATCH]
        yield "," if start else ""
        if any(map(_is_large, batch)):
            for index, item in enumerate(batch):
                yield "," if index else ""
                yield from pieces(item, depth=depth + 1)
        else:
            yield json.dumps([encode(item, depth=depth + 1) for item in batch], separators=(",", ":"))[1:-1]
    yield closed


def _is_large(value: object) -> bool:
    return type(value) in _IN_PIECES and len(value) > _BATCH  # type: ignore[arg-type]


def decode(encoded: Encoded) -> Any:
    """Make the value again.

    Raises:
        ValueError: if it is not in the encoding.
    """
    if isinstance(encoded, list):
        return [decode(item) for item in encoded]
    if isinstance(encoded, dict):
        return _decode_tagged(encoded)
    return encoded


def _decode_tagged(encoded: dict[str, Encoded]) -> Any:
    if len(encoded) != 1:
        raise ValueError("an object of the encoding has one key")
    ((tag, content),) = encoded.items()
    reader = _READERS.get(tag)
    if reader is None:
        raise ValueError(f"no value has the tag {tag[:20]!r}")
    try:
        return reader(content)
    except (TypeError, AttributeError, LookupError, RecursionError, ArithmeticError) as fault:
        raise ValueError(f"malformed content of tag {tag}: {fault}") from None


def _decode_dict(pairs: Any) -> dict[Any, Any]:
    return {decode(key): decode(value) for key, value in pairs}


_READERS: dict[str, Callable[[Any], Any]] = {
    "i": lambda text: int(text, 16),
    "t": lambda items: tuple([decode(item) for item in items]),
    "d": _decode_dict,
    "s": lambda items: {decode(item) for item in items},
    "f": lambda items: frozenset([decode(item) for item in items]),
    "b": bytes.fromhex,
    "c": lambda parts: complex(float(parts[0]), float(parts[1])),
    "r": lambda parts: range(*[int(decode(part)) for part in parts]),
    "k": lambda items: dict.fromkeys([decode(item) for item in items]).keys(),
    "it": lambda items: iter([decode(item) for item in items]),
    "y": lambda name: _NAMED_TYPES[str(name)],
    "x": lambda content: composed.read_library(content, decode),
    "N": lambda content: composed.read_named_tuple(content, decode),
    "D": lambda content: composed.read_dataclass(content, decode),
    "E": lambda content: composed.read_member(content, decode),
    "o": lambda name: Alien(str(name)),
}


def pack(message: Encoded) -> bytes:
    """One message as a line."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def unpack(line: bytes | str) -> Any:
    """The message of a line.

    Raises:
        ValueError: if the line is no JSON, or nested too deeply.
    """
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def unsayable(encoded: Encoded) -> str | None:
    """The type's name of a value outside the contract within an encoded one; None if there is none."""
    if isinstance(encoded, list):
        return next((name for item in encoded if (name := unsayable(item)) is not None), None)
    if isinstance(encoded, dict):
        ((tag, content),) = encoded.items()
        return str(content) if tag == "o" else unsayable(content)
    return None


def same(expected: object, actual: object) -> bool:
    """Equality that tells types apart: `True` is not 1, nor 1 the same as 1.0; NaN is NaN."""
    if isinstance(expected, float) and isinstance(actual, float):
        return expected == actual or (math.isnan(expected) and math.isnan(actual))
    return type(expected) is type(actual) and expected == actual
