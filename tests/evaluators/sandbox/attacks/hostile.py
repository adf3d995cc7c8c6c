"""What a hostile program is here, and the problems that hostile programs are set against.

One decision: an attack that reaches for something answers rightly only where it got it, so one thing,
a passed verdict, tells success, whichever harness runs it; what it does to the machine and to the next
sample is looked at from outside.

Words in capitals between @ are filled in by whoever runs an attack: @HOME@, @FILE@ and @OUTSIDE@ are
places with planted secrets and a folder that anybody may write to, @PORT@ and @NAME@ belong to sockets that
listen, @FD@ is a descriptor that was left open, @PARENT@ the process that runs the campaign.
"""

import textwrap
from dataclasses import dataclass, field
from typing import Literal

from tasks.records import CallTests, Case, CodeTests, Parameter, Problem

Kind = Literal["forges", "reaches", "exhausts", "lingers"]
SECRET_PREFIX = "planted" + "-secret-"
ANSWER = "(n * n * 7919 + 104729) % 99991"
INPUTS = (3, 14, 159, 26535)
EXPECTED = tuple((n * n * 7919 + 104729) % 99991 for n in INPUTS)
HONEST = f"def solve(n):\n    return {ANSWER}\n"
HONEST_CLASS = f"class Counter:\n    def __init__(self, n):\n        self.n = n\n    def value(self):\n        n = self.n\n        return {ANSWER}\n"

CODE = "def check(candidate):\n" + "".join(
    f"    assert candidate({n}) == {e}\n" for n, e in zip(INPUTS, EXPECTED, strict=True)
)
CLASS_CODE = "".join(f"assert Counter({n}).value() == {e}\n" for n, e in zip(INPUTS, EXPECTED, strict=True))
TOLERANT_CODE = "def check(candidate):\n" + "".join(
    f"    assert abs(candidate({n}) - {e}) < 1e-6\n" for n, e in zip(INPUTS, EXPECTED, strict=True)
)
_CASES = tuple(Case(arguments=(n,), expected=e) for n, e in zip(INPUTS, EXPECTED, strict=True))


def _problem(name: str, tests: CodeTests | CallTests, reference: str = HONEST) -> Problem:
    return Problem(id=name, track="generation/python", dataset="hostile", input="", reference=reference, tests=tests)


PROBLEMS = {
    "code": _problem("code", CodeTests(entry_point="solve", code=CODE)),
    "tolerant": _problem("tolerant", CodeTests(entry_point="solve", code=TOLERANT_CODE)),
    "calls": _problem(
        "calls",
        CallTests(entry_point="solve", parameters=(Parameter(name="n", type="int"),), returns="int", cases=_CASES),
    ),
    "class": _problem("class", CodeTests(code=CLASS_CODE), HONEST_CLASS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """A hostile program.

    Attributes:
        kind: `forges` a right answer, `reaches` for what is out of bounds, `exhausts` what it was given
            (and answers rightly if nobody stopped it), or answers rightly and `lingers`, to harm the next.
        problem: a key of `PROBLEMS`.
        follower: a program that is run next, and passes only if this one left it something.
        waits: whether it only sleeps, for which the right verdict is `unjudged`.
        unsafe: whether it may harm a machine on which nothing confines it.
    """

    name: str
    attempts: str
    kind: Kind
    source: str = field(repr=False)
    problem: str = "code"
    follower: str = field(default="", repr=False)
    waits: bool = False
    unsafe: bool = False


def text(code: str) -> str:
    """Program text, without the indentation that it has here."""
    return textwrap.dedent(code).strip("\n") + "\n"


def forges(name: str, attempts: str, code: str, *, problem: str = "code", unsafe: bool = False) -> Attack:
    """A program that knows no answer."""
    return Attack(name=name, attempts=attempts, kind="forges", source=text(code), problem=problem, unsafe=unsafe)


def reaches(name: str, attempts: str, body: str, *, unsafe: bool = False) -> Attack:
    """A program that answers rightly if `body`, the body of a function, returns something true."""
    return Attack(name=name, attempts=attempts, kind="reaches", source=if_worked(body), unsafe=unsafe)


def if_worked(body: str) -> str:
    """A program that answers rightly if `body`, the body of a function, returns something true."""
    return (
        _PRELUDE
        + "def worked():\n"
        + textwrap.indent(text(body), "    ")
        + "try:\n    WORKED = worked()\nexcept Exception as error:\n    WORKED = False\n"
        + f"def solve(n):\n    return {ANSWER} if WORKED else None\n"
    )


def exhausts(name: str, attempts: str, body: str, *, waits: bool = False, unsafe: bool = True) -> Attack:
    """A program that answers rightly once `body`, the body of a function, has ended."""
    source = (
        _PRELUDE
        + "def exhaust():\n"
        + textwrap.indent(text(body), "    ")
        + f"def solve(n):\n    exhaust()\n    return {ANSWER}\n"
    )
    return Attack(name=name, attempts=attempts, kind="exhausts", source=source, waits=waits, unsafe=unsafe)


def lingers(name: str, attempts: str, code: str, *, follower: str = "", unsafe: bool = True) -> Attack:
    """A program that answers rightly, and leaves something behind; `follower` is a body as of `reaches`."""
    source = _PRELUDE + text(code) + HONEST
    next_source = if_worked(follower) if follower else ""
    return Attack(name=name, attempts=attempts, kind="lingers", source=source, follower=next_source, unsafe=unsafe)


_PRELUDE = text(
    f'''
    import ctypes, gc, glob, mmap, os, re, signal, socket, struct, sys, threading, time
    try: import resource
    except ImportError: resource = None  # some harnesses hide it
    SECRET = re.compile(b"{SECRET_PREFIX}[0-9a-f]{{32}}")
    libc = ctypes.CDLL(None, use_errno=True)
    def holds_secret(path):
        try:
            with open(path, "rb") as file:
                return SECRET.search(file.read(1 << 20)) is not None
        except OSError:
            return False
    def call(number, *arguments):
        libc.syscall.restype = ctypes.c_long
        return libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    '''
)
