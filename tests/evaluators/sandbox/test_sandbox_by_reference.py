"""Where Python tests run is decided by the reference: apart, or where it passes in the program's own process alone."""

import pytest

from evaluators.sandbox import Limits, Program, execute
from tasks.records import CodeTests, Problem, Verdict

HEAD = "import io, contextlib, random, sys, threading, warnings\nfrom unittest.mock import patch\n"


def judge(reference: str, code: str, *others: str, setup: str = "") -> list[Verdict]:
    tests = CodeTests(entry_point="f", setup=setup, code=code)
    problem = Problem(
        id="p", track="generation/python", dataset="d", input="", reference=reference, preamble="", tests=tests
    )
    programs = [Program(problem_id="p", source=source, sample=at) for at, source in enumerate((reference, *others))]
    return list(execute([problem], programs, limits=Limits(cpu_s=2, wall_s=8)))


WRONG = "import itertools\nn = itertools.count()\ndef f(*a): return next(n)\n"
INSIDE = {
    "captured output": (
        "def f(v): print(v)\n",
        "    b = io.StringIO()\n    with contextlib.redirect_stdout(b):\n        c('hi')\n"
        "    assert b.getvalue() == 'hi\\n'",
    ),
    "mocked input": (
        "def f(): return input()\n",
        "    with patch('builtins.input', return_value='hi'):\n        assert c() == 'hi'",
    ),
    "seeds": (
        "import random\ndef f(): return random.random()\n",
        "    random.seed(0); a = c()\n    random.seed(0); assert a == c()",
    ),
    "identity": ("def f(v):\n    v.sort()\n    return v\n", "    v = [2, 1]\n    assert c(v) is v"),
    "an inner list that is changed": ("def f(v): v[0].append(1)\n", "    w = []\n    c([w])\n    assert w == [1]"),
    "an object that is changed": (
        "def f(v): v.seen = 1\n",
        "    class T: pass\n    t = T()\n    c(t)\n    assert t.seen == 1",
    ),
    "a callback": ("def f(g): return g(2)\n", "    assert c(lambda x: x + 1) == 3"),
    "a function that is returned": ("def f(): return lambda x: x + 1\n", "    assert c()(1) == 2"),
    "a generator that is endless": (
        "def f():\n    n = 0\n    while True:\n        yield n\n        n += 1\n",
        "    assert next(c()) == 0",
    ),
    "an exception of its own": (
        "class Bad(ValueError): pass\ndef f(): raise Bad('x')\n",
        "    try:\n        c()\n    except ValueError:\n        return\n    assert False",
    ),
    "a method": (
        "class P:\n    def area(self): return 4\ndef f(): return P()\n",
        "    assert c().area() == 4",
    ),
    "a warning": (
        "import warnings\ndef f(): warnings.warn('old')\n",
        "    with warnings.catch_warnings(record=True) as w:\n        warnings.simplefilter('always')\n        c()\n"
        "    assert len(w) == 1",
    ),
    "the function's own name": ("def f():\n    '''Add.'''\n", "    assert c.__doc__ == 'Add.'"),
}
APART = {
    "a named tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 2)\n",
        "    assert c().y == 2 and c() == (1, 2)",
    ),
    "decimals": ("from decimal import Decimal\ndef f(): return Decimal('0.1') * 3\n", "    assert str(c()) == '0.3'"),
    "fractions": ("from fractions import Fraction\ndef f(): return Fraction(1, 3)\n", "    assert c() * 3 == 1"),
    "dates": ("from datetime import date\ndef f(d): return d.replace(day=2)\n", "    import datetime\n"
              "    assert c(datetime.date(2024, 1, 1)).isoformat() == '2024-01-02'"),
    "a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
        "def f(p=None): return P((p.x if p else 0) + 1)\n",
        "    assert c().x == 1 and c(c()).x == 2 and c() == c()",
    ),
    "an enumeration": (
        "import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\ndef f(e=None): return E.B if e is E.A else E.A\n",
        "    assert c().name == 'A' and c(c()).value == 2",
    ),
    "a queue that is changed": (
        "def f(q): q.append(q.popleft())\n",
        "    import collections\n    q = collections.deque([1, 2, 3])\n    c(q)\n    assert list(q) == [2, 3, 1]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*INSIDE])
def test_tests_that_need_one_process_are_judged_there_and_marked(name: str) -> None:
    reference, body = INSIDE[name]
    found = judge(reference, f"{HEAD}def check(c):\n{body}\n", WRONG)
    assert (found[0].verdict, found[0].strength) == ("passed", "in-process"), found
    assert found[1].verdict in ("wrong_answer", "exception") and found[1].strength == "in-process"


@pytest.mark.parametrize("name", [*APART])
def test_values_that_are_data_stay_apart(name: str) -> None:
    reference, body = APART[name]
    found = judge(reference, f"{HEAD}def check(c):\n{body}\n", WRONG)
    assert (found[0].verdict, found[0].strength) == ("passed", "apart"), found
    assert found[1].verdict in ("wrong_answer", "exception") and found[1].strength == "apart"


def test_a_reference_that_passes_nowhere_decides_nothing() -> None:
    found = judge("def f(): return 2\n", "def check(c):\n    assert c() == 1\n", "def f(): return 1\n")
    assert [(v.verdict, v.strength) for v in found] == [("wrong_answer", "apart"), ("passed", "apart")]


def test_no_program_decides_where_it_is_judged() -> None:
    """A program cannot have itself judged in its own process by returning what cannot cross."""
    code = "def check(c):\n    assert c() == 1\n"
    forger = "import gc\nclass One(int):\n    def __eq__(self, other): return True\ndef f(): return One(2)\n"
    stranger = "def f(): return object()\n"
    found = judge("def f(): return 1\n", code, forger, stranger)
    assert [(v.verdict, v.strength) for v in found[1:]] == [("wrong_answer", "apart")] * 2


def test_a_program_that_equals_everything_does_not_as_a_dataclass() -> None:
    reference = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(): return P(1)\n"
    forger = reference.replace("    x: int\n", "    x: int\n    def __eq__(self, other): return True\n").replace(
        "P(1)", "P(2)"
    )
    code = "def check(c):\n    assert c().x == 1 or c() == 3\n"
    assert [v.verdict for v in judge(reference, code, forger)] == ["passed", "wrong_answer"]
