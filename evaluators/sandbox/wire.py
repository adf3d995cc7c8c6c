r"""The closed encoding in which arguments go to a candidate's driver and outcomes come back.

One decision: lines of printable ASCII with one token for each value, simple enough that the drivers
in Python, Java and C# each need some twenty lines for it, and with nothing in it that could be
executed. A token is one letter and a payload:

    i-12                an int                   n        null
    d3ff8000000000000   a float, its IEEE bits   oHashMap a value of a type outside the contract
    b1                  a bool                   [i1,i2]  a list of scalars
    sa\u002cb           a string; all but printable ASCII, and backslash and comma, as UTF-16 units

A request is the entry point, the parameters' types, the number of cases, then a line an argument.
A transcript is `h` (driver runs), `l` (program loaded), then `v TOKEN` a case, or the line that ended
it: `c` not compiled, `x` raised, `m` out of memory, `w` a test's assertion failed, `k` the nonce.
"""

import struct
from dataclasses import dataclass
from typing import Literal, cast

from pydantic import JsonValue

from tasks.records import CallTests, Language, ValueType

_INT32 = range(-(2**31), 2**31)
_KINDS: dict[type, str] = {int: "int", float: "float", bool: "bool", str: "str"}


class UnsayableError(ValueError):
    """A problem's argument does not fit its declared type in the program's language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alien:
    """A returned value whose type the contract does not know, by the name of that type."""

    type_name: str


Scalar = int | float | bool | str | Alien | None
Value = Scalar | list[Scalar]
Ending = Literal["c", "x", "m", "w", "k"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What a driver wrote: how far it came, a value a finished case, and the line that ended it.

    `ending` is None if the process ended without saying why.
    """

    loaded: bool
    values: tuple[Value, ...]
    ending: Ending | None
    text: str


def escape(text: str) -> str:
    """Write text as printable ASCII without backslash or comma."""
    return "".join(c if " " <= c <= "~" and c not in "\\," else _units(c) for c in text)


def _units(char: str) -> str:
    raw = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[i : i + 2].hex()}" for i in range(0, len(raw), 2))


def unescape(payload: str) -> str:
    """Read what `escape` wrote.

    Raises:
        ValueError: if an escape is cut off or not hexadecimal.
    """
    head, *rest = payload.split("\\u")
    if any(len(part) < 4 for part in rest):
        raise ValueError(f"escape cut off in {payload[:80]!r}")
    text = head + "".join(chr(int(part[:4], 16)) + part[4:] for part in rest)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def encode(value: JsonValue, *, as_type: ValueType, language: Language) -> str:
    """Write one argument as a token of its declared type; an int where a float is declared is widened.

    Raises:
        UnsayableError: if the value is not of that type, or an int does not fit 32 bits in Java or C#.
    """
    if as_type.startswith("list[") and isinstance(value, list):
        return f"[{','.join(_encode_scalar(v, as_type[5:-1], language) for v in value)}]"
    return _encode_scalar(value, as_type, language)


def _encode_scalar(value: JsonValue, kind: str, language: Language) -> str:
    if kind == "float" and type(value) is int:
        value = float(value)
    if _KINDS.get(type(value)) != kind:
        raise UnsayableError(f"{value!r:.80} is not of the declared type {kind}")
    if isinstance(value, bool):
        return f"b{int(value)}"
    if isinstance(value, int):
        if language is not Language.PYTHON and value not in _INT32:
            raise UnsayableError(f"{value} does not fit the 32-bit int of {language.title}")
        return f"i{value}"
    if isinstance(value, float):
        return f"d{struct.pack('>d', value).hex()}"
    return f"s{escape(str(value))}"


def decode(token: str) -> Value:
    """Read one token that a driver wrote.

    Raises:
        ValueError: if it is none.
    """
    if token.startswith("[") and token.endswith("]"):
        return [_decode_scalar(part) for part in token[1:-1].split(",")] if token != "[]" else []
    return _decode_scalar(token)


def _decode_scalar(token: str) -> Scalar:
    kind, payload = token[:1], token[1:]
    if kind == "i":
        return int(payload, 0)
    if kind == "d" and len(payload) == 16:
        return float(struct.unpack(">d", int(payload, 16).to_bytes(8, "big"))[0])
    if kind == "s":
        return unescape(payload)
    if kind == "o":
        return Alien(type_name=unescape(payload))
    if token in ("b0", "b1", "n"):
        return {"b0": False, "b1": True, "n": None}[token]
    raise ValueError(f"not a token: {token[:80]!r}")


def request_text(tests: CallTests, *, language: Language) -> str:
    """Write the request for a driver: entry point, types, number of cases, a line an argument.

    Raises:
        UnsayableError: naming the case and the parameter whose argument cannot be said.
    """
    lines = [tests.entry_point, " ".join(p.type for p in tests.parameters), str(len(tests.cases))]
    for number, case in enumerate(tests.cases, start=1):
        if len(case.arguments) != len(tests.parameters):
            raise UnsayableError(f"case {number} has {len(case.arguments)} arguments, not {len(tests.parameters)}")
        for parameter, argument in zip(tests.parameters, case.arguments, strict=True):
            try:
                lines.append(encode(argument, as_type=parameter.type, language=language))
            except UnsayableError as fault:
                raise UnsayableError(f"case {number}, parameter {parameter.name}: {fault}") from None
    return "\n".join(lines) + "\n"


def read_transcript(text: str) -> Transcript:
    """Read a driver's lines up to the first that ends it or makes no sense.

    What candidate code may have written into the file is only ever data here: a line that cannot be
    read ends the transcript as an exception of the candidate's.
    """
    complete = text[: text.rfind("\n") + 1].split("\n")[:-1]
    started, loaded, values = False, False, list[Value]()
    for line in complete:
        kind, payload = line[:1], line[2:]
        try:
            if line == "h" and not started:
                started = True
            elif line == "l" and started:
                loaded = True
            elif kind == "v" and loaded:
                values.append(decode(payload))
            elif kind in ("c", "x", "m", "w", "k"):
                return _transcript(loaded, values, cast(Ending, kind), unescape(payload))
            else:
                raise ValueError(f"not a line: {line[:80]!r}")
        except ValueError as fault:
            return _transcript(loaded, values, "x", f"unreadable outcome: {fault}")
    return _transcript(loaded, values, None, "")


def _transcript(loaded: bool, values: list[Value], ending: Ending | None, text: str) -> Transcript:
    return Transcript(loaded=loaded, values=tuple(values), ending=ending, text=text)
