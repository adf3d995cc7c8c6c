"""Runs in the candidate's process, a fork of the warm interpreter: loads the program and answers calls.

One decision: nothing that this process says is believed beyond being data. The program may patch all
of it; it then lies about values that it could have returned in the first place.
"""

import builtins
import json
import os
import sys
from types import ModuleType, TracebackType
from typing import Any

from evaluators.isolation import composed
from evaluators.isolation.values import MUTABLE, Encoded, decode, encode, pack, pieces, unpack

_TESTS = "<tests>"
_LONGEST_TEXT = 500
_CHUNK = 65536


class _Channel:
    """Lines from and to the judge."""

    def __init__(self, connection: int) -> None:
        self._connection = connection
        self._read = bytearray()

    def say(self, *message: Encoded) -> None:
        self.write(pack(list(message)))

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._connection, data) :]

    def listen(self) -> Any:
        while (end := self._read.find(b"\n")) < 0:
            chunk = os.read(self._connection, _CHUNK)
            if not chunk:
                os._exit(0)
            self._read += chunk
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        return unpack(line)


def _describe(error: BaseException) -> tuple[str, str]:
    """An exception's type name and message, even if its own `__str__` fails."""
    try:
        text = str(error)[:_LONGEST_TEXT]
    except BaseException:
        text = ""
    return type(error).__name__, text


def _say_error(channel: _Channel, error: BaseException) -> None:
    name, text = _describe(error)
    channel.say("memory" if isinstance(error, MemoryError) else "raise", name, text)


def _load(channel: _Channel, source: str) -> ModuleType | None:
    """Execute the program as the module `__main__`'s stand-in `candidate`; None if that failed, which was said."""
    module = ModuleType("candidate")
    sys.modules["candidate"] = module
    try:
        code = compile(source, "<candidate>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        channel.say("compile", ": ".join(_describe(error)))
        return None
    try:
        exec(code, module.__dict__)
    except BaseException as error:
        _say_error(channel, error)
        return None
    composed.own_classes = module.__dict__
    return module


def _call(module: ModuleType, request: list[Any]) -> list[str]:
    """Call a function; return the answer's line in pieces, all of them made before the first is sent."""
    _, _, name, encoded, _, *rest = request
    function = module.__dict__.get(name)
    if function is None:
        return [json.dumps(["raise", "NameError", f"name {name!r} is not defined"]), "\n"]
    arguments = [decode(argument) for argument in encoded]
    keywords = {key: decode(value) for key, value in rest[0].items()} if rest else {}
    before = [json.dumps(argument) for argument in encoded]
    result = list(pieces(function(*arguments, **keywords)))
    changed: list[Encoded] = []
    for index, argument in enumerate(arguments):
        if type(argument) in MUTABLE:
            after = encode(argument)
            if json.dumps(after) != before[index]:
                changed.append([index, after])
    return ['["ok",', *result, ",", json.dumps(changed), "]\n"]


def _answer_calls(channel: _Channel, module: ModuleType) -> None:
    while True:
        request = channel.listen()
        if request[0] == "test":
            _run_tests(channel, module, request)
            continue
        try:
            answer = _call(module, request)
        except BaseException as error:
            _say_error(channel, error)
        else:
            for piece in answer:
                channel.write(piece.encode("ascii"))


def _failed_in_tests(error: BaseException) -> int | None:
    """The line of the tests whose own assertion failed; None if the error came from deeper."""
    place: TracebackType | None = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None or place.tb_frame.f_code.co_filename != _TESTS or not isinstance(error, AssertionError):
        return None
    return place.tb_lineno


def _run_tests(channel: _Channel, module: ModuleType, request: list[Any]) -> None:
    """Execute set-up and tests in the program's own namespace, and give the nonce back at the very end.

    A program that has a `check` of its own keeps it: tests are then given a copy of its namespace.
    """
    _, nonce, entry_point, setup, tests = request
    scope = module.__dict__
    try:
        exec(compile(setup, "<setup>", "exec", dont_inherit=True), scope)
        before, under_test = scope.get("check"), scope.get(entry_point)
        scope = scope if before is None else dict(scope)
        exec(compile(tests, _TESTS, "exec", dont_inherit=True), scope)
        if entry_point and scope.get("check") is not before:
            scope["check"](scope[entry_point] if under_test is None else under_test)
    except BaseException as error:
        line = _failed_in_tests(error)
        if line is None:
            _say_error(channel, error)
        else:
            channel.say("failed", tests.split("\n")[line - 1].strip()[:_LONGEST_TEXT])
        return
    channel.say("token", nonce)


def run(connection: int) -> None:
    """Answer the judge on the descriptor `connection` until it closes."""
    sys.argv = ["candidate"]
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]  # `site`, which is not loaded, gives these
    channel = _Channel(connection)
    channel.say("ready")
    source = channel.listen()
    module = _load(channel, source)
    if module is not None:
        channel.say("loaded")
        _answer_calls(channel, module)
