"""Which names of a problem's Python tests are the program's, and whether plain data can stand for them."""

import pytest

from evaluators.sandbox.strength import plan
from tasks.records import CodeTests, Problem

TESTS = CodeTests(code="assert f(1) == 2")
REFERENCE = "def f(x):\n    return x + 1\n"


def problem(reference: str = REFERENCE, *, tests: CodeTests = TESTS, preamble: str = "") -> Problem:
    return Problem(
        id="p", track="generation/python", dataset="d", input="", reference=reference, preamble=preamble, tests=tests
    )


def test_a_function_that_the_tests_call_is_the_programs() -> None:
    assert (plan(problem()).apart, plan(problem()).names) == (True, ("f",))


def test_a_function_may_bear_a_built_ins_name() -> None:
    found = plan(problem("def sum(a, b):\n    return a + b\n", tests=CodeTests(code="assert sum(1, 2) == 3")))
    assert (found.apart, found.names) == (True, ("sum",))


@pytest.mark.parametrize("maker", ["class Pair: pass", "LIMIT = [3]"])
def test_tests_that_use_anything_but_functions_run_inside(maker: str) -> None:
    name = "Pair" if "Pair" in maker else "LIMIT"
    found = plan(problem(f"{maker}\n{REFERENCE}", tests=CodeTests(code=f"assert f({name}) == 2")))
    assert not found.apart and name in found.reason


def test_a_module_that_the_reference_imports_is_imported_for_the_tests() -> None:
    found = plan(problem(f"import sys\n{REFERENCE}", tests=CodeTests(code="assert f(1) == sys.getsizeof(1)")))
    assert (found.names, found.imports) == (("f",), "import sys\n")


def test_helpers_of_the_preamble_are_given_and_its_unfinished_function_is_not() -> None:
    preamble = "def helper(x):\n    return x\ndef f(x):\n    '''Add one.'''\n"
    tests = CodeTests(code="assert f(1) == helper(2)")
    assert plan(problem(f"{preamble}    return x + 1\n", tests=tests, preamble=preamble)).names == ("f",)


def test_what_no_reference_defines_is_a_class_if_it_is_spelt_like_one() -> None:
    assert plan(problem("", tests=CodeTests(code="assert f(1) == 2"))).apart
    assert not plan(problem("", tests=CodeTests(code="assert f(Pair(1)) == 2"))).apart
