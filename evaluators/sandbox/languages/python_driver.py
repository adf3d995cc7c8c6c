"""Runs inside the candidate's process: loads the program, then its cases or its tests.

One decision: a script of its own with as few imports as can be (a start costs 10 ms bare and 20 ms
with `json`), which writes what happened to the file `outcomes` in the encoding of `wire.py`. Nothing
that it writes is believed by the judge beyond being data.
"""

import builtins
import os
import sys
from types import ModuleType, TracebackType

CONTROL_FD = 3
TESTS = "<tests>"
LONGEST_TEXT = 500

Value = object
_outcomes = -1


def say(line: str) -> None:
    """Append one line to the outcomes."""
    rest = line.encode() + b"\n"
    while rest:
        rest = rest[os.write(_outcomes, rest) :]


def escape(text: str) -> str:
    """Write text as `wire.escape` does."""
    return "".join(c if " " <= c <= "~" and c not in "\\," else _units(c) for c in text)


def _units(char: str) -> str:
    raw = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[i : i + 2].hex()}" for i in range(0, len(raw), 2))


def decode(token: str) -> Value:
    """Read one argument."""
    if token.startswith("["):
        return [_decode_scalar(part) for part in token[1:-1].split(",")] if token != "[]" else []
    return _decode_scalar(token)


def _decode_scalar(token: str) -> Value:
    kind, payload = token[0], token[1:]
    if kind == "i":
        return int(payload)
    if kind == "b":
        return payload == "1"
    if kind == "d":
        import struct

        return struct.unpack(">d", bytes.fromhex(payload))[0]
    head, *rest = payload.split("\\u")
    text = head + "".join(chr(int(part[:4], 16)) + part[4:] for part in rest)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") if rest else text


def encode(value: Value) -> str:
    """Write a returned value, by its exact type."""
    if type(value) is list:
        return f"[{','.join([_encode_scalar(item) for item in value])}]"
    return _encode_scalar(value)


def _encode_scalar(value: Value) -> str:
    if value is None:
        return "n"
    if type(value) is bool:
        return f"b{int(value)}"
    if type(value) is int:
        return f"i{hex(value)}"  # decimal would stop at 4300 digits
    if type(value) is float:
        import struct

        return f"d{struct.pack('>d', value).hex()}"
    if type(value) is str:
        return f"s{escape(value)}"
    return f"o{escape(type(value).__name__)}"


def describe(error: BaseException) -> str:
    """Name an exception even if its own `__str__` fails."""
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:
        text = type(error).__name__
    return escape(text[:LONGEST_TEXT])


def say_error(error: BaseException) -> None:
    """Write how candidate code ended: out of memory, or raised."""
    if isinstance(error, MemoryError):
        say("m MemoryError")
    else:
        say(f"x {describe(error)}")


def load() -> ModuleType | None:
    """Execute the program as the module `candidate`; None if that failed, which has been said."""
    with open("program", encoding="utf-8", errors="surrogatepass", newline="") as file:
        source = file.read()
    module = ModuleType("candidate")
    sys.modules["candidate"] = module
    try:
        code = compile(source, "<candidate>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        say(f"c {describe(error)}")
        return None
    try:
        exec(code, module.__dict__)
    except BaseException as error:
        say_error(error)
        return None
    say("l")
    return module


def run_calls(module: ModuleType, request: list[str]) -> None:
    """Call the entry point once a case, up to the first that raises."""
    entry_point, types, count = request[:3]
    width = len(types.split())
    for case in range(int(count)):
        first = 3 + case * width
        arguments = [decode(token) for token in request[first : first + width]]
        try:
            outcome = encode(getattr(module, entry_point)(*arguments))
        except BaseException as error:
            say_error(error)
            return
        say(f"v {outcome}")


def _receive() -> list[str]:
    """Say on the control socket that the program is loaded, then read what the launcher kept till now."""
    os.write(CONTROL_FD, b"l")
    chunks = []
    while chunk := os.read(CONTROL_FD, 65536):
        chunks.append(chunk)
    return b"".join(chunks).decode("utf-8", "surrogatepass").split("\0")


def _failed_in_tests(error: BaseException) -> int | None:
    """The line of the tests whose own assertion failed; None if the error came from deeper."""
    place: TracebackType | None = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None or place.tb_frame.f_code.co_filename != TESTS or not isinstance(error, AssertionError):
        return None
    return place.tb_lineno


def run_tests(module: ModuleType) -> None:
    """Execute set-up and tests in the program's own namespace, and give the nonce back at the very end."""
    nonce, entry_point, setup, tests = _receive()
    scope = module.__dict__
    before = scope.get("check")
    try:
        exec(compile(setup, "<setup>", "exec", dont_inherit=True), scope)
        exec(compile(tests, TESTS, "exec", dont_inherit=True), scope)
        if entry_point and scope.get("check") is not before:
            scope["check"](scope[entry_point])
    except BaseException as error:
        line = _failed_in_tests(error)
        if line is None:
            say_error(error)
        else:
            failed = tests.split("\n")[line - 1].strip()
            say(f"w {escape(failed[:LONGEST_TEXT])}")
        return
    say(f"k {nonce}")


def main() -> None:
    """Run the program in the current folder; the first argument is the kind of its tests."""
    global _outcomes
    _outcomes = os.open("outcomes", os.O_WRONLY | os.O_APPEND)
    mode, sys.argv = sys.argv[1], ["candidate"]
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]  # `site`, which is not loaded, gives these
    say("h")
    request = []
    if mode == "calls":  # read first: a program may change its folder, or the file
        with open("request", encoding="ascii", newline="\n") as file:
            request = file.read().split("\n")
    module = load()
    if module is not None and mode == "calls":
        run_calls(module, request)
    elif module is not None:
        run_tests(module)


if __name__ == "__main__":
    try:
        main()
    finally:
        os._exit(0)  # whatever threads or exit handlers the candidate left
