"""Runs a data set's Python tests in the trusted process, with proxies for the names under test.

One decision: an exception that the candidate raised is raised again here, as the same built-in type
where there is one, because tests may expect it; it is marked, so that uncaught it counts as the
candidate's, while an assertion of the tests themselves is a wrong answer.
"""

import builtins
import functools
import json
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from evaluators.isolation import composed
from evaluators.isolation.values import Alien, UnsayableError, decode, encode, unpack, unsayable

_TESTS = "<tests>"
_LONGEST_TEXT = 500

Ask = Callable[[bytes], bytes]


class Ending(NamedTuple):
    """How the tests ended, and what to tell.

    `passed`, `failed`, `raised`, `memory` or `missing`; `alien` for a failure after the candidate returned
    a value outside the contract; `unsayable` if the tests themselves pass such a value.
    """

    kind: str
    text: str = ""


class _CandidateError(Exception):
    """The candidate raised an exception of a type of its own."""


class _Stop(BaseException):
    """The candidate cannot go on; tests must not catch this."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


_compiled = functools.lru_cache(maxsize=64)(compile)
_kept_by_tests: dict[str, dict[Any, Any]] = {}


class _Judge:
    """The proxies of one candidate."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.raised: list[BaseException] = []
        self.met_alien = False

    def proxy(self, name: str) -> Callable[..., Any]:
        """A function that calls the candidate's function of that name."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            encoded = [encode(argument) for argument in arguments]
            named = {key: encode(value) for key, value in keywords.items()}
            alien = unsayable([*encoded, *named.values()])
            if alien == Alien.__name__:
                raise _Stop(Ending("alien", f"the tests pass on to {name} what cannot be compared"))
            if alien is not None:
                raise _Stop(Ending("unsayable", f"the tests pass a value of type {alien}, which cannot cross"))
            request = ["call", None, name, encoded, None, *([named] if named else [])]
            return self._result(unpack(self._ask(json.dumps(request).encode())), arguments)

        call.__name__ = call.__qualname__ = name
        return call

    def _result(self, answer: Any, arguments: tuple[Any, ...]) -> Any:
        kind, *content = answer
        if kind == "ok":
            for index, changed in content[1]:
                _change(arguments[index], decode(changed))
            self.met_alien = self.met_alien or unsayable(content[0]) is not None
            return decode(content[0])
        if kind == "raise":
            raise self._exception(str(content[0]), str(content[1]))
        if kind in ("memory", "missing"):
            raise _Stop(Ending(kind, ": ".join(str(part) for part in content)))
        raise ValueError(f"no answer is of kind {str(kind)[:20]!r}")

    def _exception(self, name: str, text: str) -> BaseException:
        kind = getattr(builtins, name, None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            error: BaseException = _CandidateError(f"{name}: {text}")
        else:
            try:
                error = kind(text)
            except TypeError:  # UnicodeDecodeError and its like take more than a message
                error = _CandidateError(f"{name}: {text}")
        self.raised.append(error)
        return error


def _change(argument: Any, changed: Any) -> None:
    """Give a mutable argument the content that the call left it with."""
    if isinstance(argument, list | bytearray):
        argument[:] = changed
    elif isinstance(argument, deque):
        argument.clear()
        argument.extend(changed)
    elif isinstance(argument, dict | set):
        argument.clear()
        argument.update(changed)


def _line_of(error: BaseException, tests: str) -> str:
    """The line of the tests in which an exception came up."""
    found, place = 0, error.__traceback__
    while place is not None:
        if place.tb_frame.f_code.co_filename == _TESTS:
            found = place.tb_lineno
        place = place.tb_next
    lines = tests.split("\n")
    return lines[found - 1].strip() if 0 < found <= len(lines) else ""


def run_tests(ask: Ask, *, names: list[str], preamble: str, setup: str, tests: str, entry_point: str | None) -> Ending:
    """Run set-up and tests with each of `names` standing for the candidate's function.

    `preamble` is the problem's own code, whose helpers tests may call. `ask` sends a line to the
    candidate and returns its answer; what it raises passes through.
    """
    judge = _Judge(ask)
    composed.forget_classes()
    scope: dict[str, Any] = {"__name__": "tests", "__kept__": _kept(tests)}
    try:
        _run_preamble(preamble, scope)
        scope.update({name: judge.proxy(name) for name in names})
        before = scope.get("check")
        exec(_compiled(setup, "<setup>", "exec", dont_inherit=True), scope)
        under_test = scope.get(entry_point or "")  # the tests may give its name to something else
        exec(_compiled(tests, _TESTS, "exec", dont_inherit=True), scope)
        if entry_point and scope.get("check") is not before:
            scope["check"](scope[entry_point] if under_test is None else under_test)
    except _Stop as stop:
        return stop.ending
    except UnsayableError as error:
        return Ending("unsayable", str(error))
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        return _uncaught(error, judge, tests)
    return Ending("passed")


def _kept(tests: str) -> dict[Any, Any]:
    """What tests keep for the next program of their problem, as `__kept__`: what no program's values go into."""
    if tests not in _kept_by_tests:
        _kept_by_tests.clear()
    return _kept_by_tests.setdefault(tests, {})


def _run_preamble(preamble: str, scope: dict[str, Any]) -> None:
    try:
        code = _compiled(preamble, "<preamble>", "exec", dont_inherit=True)
    except SyntaxError:  # it ends within the function to be written, without a line of its body
        return
    exec(code, scope)


def _uncaught(error: BaseException, judge: _Judge, tests: str) -> Ending:
    said = f"{type(error).__name__}: {error}"[:_LONGEST_TEXT]
    if error in judge.raised:
        return Ending("raised", str(error)[:_LONGEST_TEXT] if isinstance(error, _CandidateError) else said)
    line = _line_of(error, tests)[:_LONGEST_TEXT]
    return Ending(
        "alien" if judge.met_alien else "failed", line if isinstance(error, AssertionError) else f"{line} ({said})"
    )
