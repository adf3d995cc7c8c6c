"""Values of the standard library, and of classes that are nothing but data, in the closed encoding.

One decision: what is written is parts, never how to make them. The reader knows each class itself, or makes one
of its own out of checked names (a named tuple, a dataclass, an enumeration), so that nothing which a candidate
writes can be more than plain data; whatever its own class could do besides stays behind.

    {"x": [CLASS, [PART, ...]]}                     Decimal, Fraction, datetime and its kin, UUID, deque, ...
    {"N": [NAME, [FIELD, ...], [V, ...]]}           named tuple
    {"D": [NAME, [FIELD, ...], [V, ...], FLAGS]}    dataclass; flags are eq, order, frozen
    {"E": [NAME, KIND, [[MEMBER, V], ...], MEMBER]} member of an enumeration
"""

import dataclasses
import enum
import json
import keyword
import re
from collections import Counter, OrderedDict, deque, namedtuple
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}", re.ASCII)
_MOST_NAMES = 500
_LARGEST_EXPONENT = 10_000  # an int of the value is made in no time; 1E+999999999 would take the tests' memory
_FLAGS = ("eq", "order", "frozen")
_MIXED: dict[str, type | None] = {"Enum": None, "int": int, "str": str}
_ENUMS: dict[str, type[enum.Enum]] = {"IntEnum": enum.IntEnum, "StrEnum": enum.StrEnum}

own_classes: Mapping[str, Any] = {}
"""Where a candidate's process looks for a class of the program's own; the trusted process has none."""

_made: dict[str, Any] = {}


def forget_classes() -> None:
    """Drop the classes that were made for what a candidate returned."""
    _made.clear()


# ---- writing


def _moment(value: Any) -> list[Any] | None:
    return [value.isoformat(), value.fold] if value.tzinfo is None or type(value.tzinfo) is timezone else None


def _decimal(value: Decimal) -> list[Any] | None:
    return [str(value)] if not value.is_finite() or abs(value.adjusted()) <= _LARGEST_EXPONENT else None


_PARTS: dict[type, Callable[[Any], list[Any] | None]] = {
    Decimal: _decimal,
    Fraction: lambda value: [value.numerator, value.denominator],
    date: lambda value: [value.isoformat()],
    time: _moment,
    datetime: _moment,
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    timezone: lambda value: [value.utcoffset(None)],
    UUID: lambda value: [value.hex],
    deque: lambda value: [value.maxlen, list(value)],
    Counter: lambda value: [list(value.items())],
    OrderedDict: lambda value: [list(value.items())],
    bytearray: lambda value: [value.hex()],
}


class Description(NamedTuple):
    """A value taken apart: its tag, and a content in which `held` are values that are still to be encoded."""

    tag: str
    before: list[Any]
    held: list[Any]
    after: list[Any]


def describe(kind: type, value: Any) -> Description | None:
    """Take a value of this module's kinds apart; None if it is of another. May raise what a class of its own raises."""
    if kind in _PARTS:
        parts = _PARTS[kind](value)
        return None if parts is None else Description("x", [kind.__name__], parts, [])
    if issubclass(kind, enum.Enum):
        return _describe_member(kind, value)
    names = _fields(kind)
    if names is None or len(names) > _MOST_NAMES or not all(map(_is_plain, (kind.__name__, *names))):
        return None
    if issubclass(kind, tuple):
        return Description("N", [kind.__name__, list(names)], list(tuple.__iter__(value)), [])
    parameters = kind.__dataclass_params__  # type: ignore[attr-defined]
    flags = [bool(getattr(parameters, flag)) for flag in _FLAGS]
    held = [object.__getattribute__(value, name) for name in names]
    return Description("D", [kind.__name__, list(names)], held, [flags])


def _fields(kind: type) -> tuple[str, ...] | None:
    """The fields of a named tuple or a dataclass; None for other classes."""
    if issubclass(kind, tuple):
        names = getattr(kind, "_fields", None)
        return names if type(names) is tuple and all(type(name) is str for name in names) else None
    if type(kind.__dict__.get("__dataclass_fields__")) is not dict or not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


def _is_plain(name: Any) -> bool:
    return type(name) is str and _NAME.fullmatch(name) is not None and not keyword.iskeyword(name)


def _describe_member(kind: type[enum.Enum], value: enum.Enum) -> Description | None:
    """A member with all members of its class, so that two of one class have one class again."""
    members = {name: member.value for name, member in kind.__members__.items()}
    base = _base_of(kind)
    known = 0 < len(members) <= _MOST_NAMES and all(map(_is_plain, (kind.__name__, *members)))
    if base is None or not known or value.name not in members:
        return None
    return Description("E", [kind.__name__, base], [[name, held] for name, held in members.items()], [value.name])


def _base_of(kind: type[enum.Enum]) -> str | None:
    for name, base in _ENUMS.items():
        if issubclass(kind, base):
            return name
    if issubclass(kind, enum.Flag):
        return None
    mixed = [base for base in kind.__mro__ if base is not object and not issubclass(base, enum.Enum)]
    mixed = [base for base in mixed if base.__module__ != "enum"]
    return "Enum" if not mixed else next((name for name, base in _MIXED.items() if mixed == [base]), None)


# ---- reading


def _with_fold(moment: Any, fold: Any) -> Any:
    return moment.replace(fold=int(fold))


def _read_decimal(text: Any) -> Decimal:
    value = Decimal(str(text))
    if _decimal(value) is None:
        raise ValueError("too large an exponent")
    return value


_MAKERS: dict[str, Callable[..., Any]] = {
    "Decimal": _read_decimal,
    "Fraction": lambda over, under: Fraction(int(over), int(under)),
    "date": lambda text: date.fromisoformat(text),
    "time": lambda text, fold: _with_fold(time.fromisoformat(text), fold),
    "datetime": lambda text, fold: _with_fold(datetime.fromisoformat(text), fold),
    "timedelta": lambda days, seconds, micros: timedelta(int(days), int(seconds), int(micros)),
    "timezone": lambda offset: timezone(offset),
    "UUID": lambda text: UUID(hex=text),
    "deque": lambda maxlen, items: deque(items, maxlen),
    "Counter": lambda pairs: Counter(dict(pairs)),
    "OrderedDict": lambda pairs: OrderedDict(pairs),
    "bytearray": lambda text: bytearray.fromhex(text),
}


def read_library(content: Any, decode: Callable[[Any], Any]) -> Any:
    """A value of the standard library's own classes."""
    name, parts = content
    return _MAKERS[name](*[decode(part) for part in parts])


def _kept(kind: str, content: Any, make: Callable[[], Any]) -> Any:
    """One class for all values of the same description."""
    key = kind + json.dumps(content)
    if key not in _made:
        _made[key] = make()
    return _made[key]


def _checked(*names: Any) -> None:
    if len(names) > _MOST_NAMES or not all(map(_is_plain, names)):
        raise ValueError("no names of a class")


def read_named_tuple(content: Any, decode: Callable[[Any], Any]) -> Any:
    """A named tuple of the program's own class where it has one of that name, else of a class made for it."""
    name, fields, values = content
    _checked(name, *fields)
    kind: Any = own_classes.get(name)
    if not (isinstance(kind, type) and issubclass(kind, tuple) and _fields(kind) == tuple(fields)):
        kind = _kept("N", content[:2], lambda: namedtuple(name, fields))
    return kind._make([decode(value) for value in values])


def read_dataclass(content: Any, decode: Callable[[Any], Any]) -> Any:
    """An instance of a dataclass; its fields are set as they are, without the class's own `__init__`."""
    name, fields, values, flags = content
    _checked(name, *fields)
    kind: Any = own_classes.get(name)
    if not (isinstance(kind, type) and not issubclass(kind, tuple) and _fields(kind) == tuple(fields)):
        chosen: dict[str, Any] = dict(zip(_FLAGS, map(bool, flags), strict=True))
        kind = _kept("D", [name, fields, flags], lambda: dataclasses.make_dataclass(name, fields, **chosen))
    made = object.__new__(kind)
    for field, value in zip(fields, values, strict=True):
        object.__setattr__(made, field, decode(value))
    return made


def _functional(kind: type[enum.Enum]) -> Callable[[str, Any], Any]:
    """An enumeration's class as what makes others, which its type does not say."""
    return kind


def read_member(content: Any, decode: Callable[[Any], Any]) -> Any:
    """A member of an enumeration."""
    name, base, members, member = content
    _checked(name, member, *[listed for listed, _ in members])
    kind: Any = own_classes.get(name)
    if not (isinstance(kind, type) and issubclass(kind, enum.Enum) and member in kind.__members__):
        pairs = [(listed, decode(value)) for listed, value in members]
        if base in _ENUMS:
            kind = _kept("E", content[:3], lambda: _functional(_ENUMS[base])(name, pairs))
        else:
            kind = _kept("E", content[:3], lambda: enum.Enum(name, pairs, type=_MIXED[base]))
    return kind[member]


__all__ = [
    "Description",
    "describe",
    "forget_classes",
    "own_classes",
    "read_dataclass",
    "read_library",
    "read_member",
    "read_named_tuple",
]
