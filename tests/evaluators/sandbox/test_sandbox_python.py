"""Python candidates against cases as data: what each kind of program is told."""

from typing import Any

import pytest

from tasks.records import UnjudgedReason, reason_in_words


@pytest.mark.parametrize(
    ("source", "verdict", "said"),
    [
        ("def solve(numbers):\n    return sum(numbers)", "passed", ""),
        ("def solve(numbers):\n    return 3", "wrong_answer", "case 2: solve([]) returned 3, expected 0"),
        ("def solve(numbers):\n    return numbers[0] + numbers[1]", "exception", "case 2: solve([]) raised IndexError"),
        ("def solve(numbers)\n    return 1", "compile_error", "SyntaxError: expected ':'"),
        ("def solve(numbers):\n    return '\0'", "compile_error", "null byte"),
        ("def other(numbers):\n    return 1", "exception", "name 'solve' is not defined"),
        ("1 / 0\ndef solve(numbers):\n    return 1", "exception", "loading the program raised ZeroDivisionError"),
        ("import sys\nsys.exit(0)", "exception", "SystemExit: 0"),
        ("exit()", "exception", "raised SystemExit"),
        ("import os\nos._exit(0)", "exception", "the process ended (exit status 0)"),
        ("def solve(numbers):\n    raise SystemExit(0)", "exception", "case 1: solve([1, 2]) raised SystemExit: 0"),
        ("def solve(numbers):\n    return solve(numbers)", "exception", "RecursionError"),
        ("import os\ndef solve(numbers):\n    os.abort()", "exception", "was ended by SIG"),
        ("def solve(numbers):\n    while True: pass", "timeout", "case 1: solve([1, 2]) not finished after 1 s of CPU"),
        ("while True: pass", "timeout", "loading the program not finished after 1 s of CPU time"),
        ("def solve(numbers):\n    return len(bytearray(10**10))", "memory", "MemoryError"),
        ("def solve(numbers):\n    while True: numbers += [bytearray(10**6)]", "memory", "MemoryError"),
        ("def solve(numbers):\n    while True: print('x' * 1000)", "output_limit", "more than 100000 bytes"),
        ("def solve(numbers):\n    return input()", "exception", "EOFError"),
        ("import torch\ndef solve(numbers):\n    return sum(numbers)", "exception", "No module named 'torch'"),
        ("class E(Exception):\n    def __str__(self): raise self\ndef solve(numbers):\n    raise E", "exception", "E"),
    ],
)
def test_each_kind_of_program_gets_its_verdict(bricks: Any, source: str, verdict: str, said: str) -> None:
    found = bricks.judge(source)
    assert (found.verdict, found.strength) == (verdict, "apart")
    assert said in found.detail
    assert len(found.detail) <= 300


def test_a_timeout_states_the_cpu_time_that_was_used(bricks: Any) -> None:
    found = bricks.judge("def solve(numbers):\n    while True: pass")
    assert 1.0 <= found.cpu_s < 1.5


def test_printing_and_top_level_code_do_not_disturb_the_outcome(bricks: Any) -> None:
    source = (
        "import sys\nprint('v i9')\nsys.stderr.write('k')\ndef solve(numbers):\n    print(3)\n    return sum(numbers)"
    )
    main = "\nif __name__ == '__main__':\n    raise SystemExit(1)\n"
    assert bricks.judge(source + main).verdict == "passed"


def test_a_hang_after_the_first_wrong_case_is_still_a_wrong_answer(bricks: Any) -> None:
    source = "def solve(numbers):\n    while not numbers: pass\n    return 0"
    assert bricks.judge(source).detail == "case 1: solve([1, 2]) returned 0, expected 3"


def test_threads_and_exit_handlers_left_behind_do_not_hold_up_the_verdict(bricks: Any) -> None:
    source = (
        "import atexit, threading, time\natexit.register(time.sleep, 60)\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\ndef solve(numbers): return sum(numbers)"
    )
    found = bricks.judge(source)
    assert (found.verdict, found.wall_s < 5) == ("passed", True)


def test_a_program_that_only_waits_is_stopped_and_not_judged(bricks: Any) -> None:
    quick = bricks.quick.model_validate({**dict(bricks.quick), "wall_s": 0.5})
    from evaluators.sandbox import Program, execute

    source = "import time\ndef solve(numbers): time.sleep(60)"
    (found,) = execute([bricks.problem()], [Program(problem_id="p", source=source)], limits=quick)
    assert found.verdict == "unjudged"
    assert found.reason is reason_in_words(found.detail) is UnjudgedReason.ONLY_WAITED
    assert "0.5 s of wall time" in found.detail


@pytest.mark.parametrize(
    ("returns", "expected", "source", "verdict"),
    [
        ("bool", True, "True", "passed"),
        ("bool", True, "1", "wrong_answer"),
        ("int", 1, "True", "wrong_answer"),
        ("int", 1, "1.0", "wrong_answer"),
        ("int", 10**30, "10 ** 30", "passed"),
        ("int", 1, "10 ** 5000", "wrong_answer"),
        ("int", 1, "None", "wrong_answer"),
        ("float", 0.5, "0.5", "passed"),
        ("float", 2.0, "2", "passed"),
        ("float", 0.3, "0.1 + 0.2", "wrong_answer"),
        ("float", 1.0, "float('nan')", "wrong_answer"),
        ("float", 1.0, "True", "wrong_answer"),
        ("str", 'a"\\,\n\t\u00e9\U0001f600\ud800', "x", "passed"),
        ("str", "1", "1", "wrong_answer"),
        ("list[int]", [1, 2], "[1, 2]", "passed"),
        ("list[int]", [1, 2], "(1, 2)", "wrong_answer"),
        ("list[int]", [1, 2], "[1, True]", "wrong_answer"),
        ("list[int]", [], "[]", "passed"),
        ("list[int]", [], "[[]]", "wrong_answer"),
        ("list[str]", ["", "a,b", "]"], "['', 'a,b', ']']", "passed"),
        ("list[float]", [1.5, 2.0], "[1.5, 2.0]", "passed"),
    ],
)
def test_values_compare_type_for_type(bricks: Any, returns: str, expected: Any, source: str, verdict: str) -> None:
    text = 'a"\\,\n\t\u00e9\U0001f600\ud800'
    tests = bricks.calls({"x": "str"}, returns, [([text], expected)])
    assert bricks.judge(f"def solve(x):\n    return {source}", tests=tests).verdict == verdict


def test_arguments_arrive_with_their_declared_types(bricks: Any) -> None:
    given = [1, 2, True, "\u00fc\\u0041", [], [1.5, 2], ["", "x"]]
    kinds = ["int", "float", "bool", "str", "list[int]", "list[float]", "list[str]"]
    tests = bricks.calls(
        {f"p{n}": kind for n, kind in enumerate(kinds)},
        "str",
        [(given, "(1, 2.0, True, '\u00fc\\\\u0041', [], [1.5, 2.0], ['', 'x'])")],
    )
    assert bricks.judge("def solve(*all): return repr(all)", tests=tests).detail == ""


def test_every_case_gets_fresh_arguments_in_one_process(bricks: Any) -> None:
    tests = bricks.calls({"numbers": "list[int]"}, "int", [([[1]], 1), ([[1]], 2)])
    source = "seen = []\ndef solve(numbers):\n    seen.append(1); numbers.append(1)\n    return len(seen)"
    assert bricks.judge(source, tests=tests).verdict == "passed"


def test_the_order_of_a_set_is_the_same_in_every_run(bricks: Any) -> None:
    tests = bricks.calls({}, "str", [([], "?")])
    source = "def solve(): return ''.join({'alpha', 'beta', 'gamma', 'delta', 'omega'})"
    first, second = bricks.judge(source, tests=tests), bricks.judge(source + "\n", tests=tests)
    assert "returned" in first.detail
    assert first.detail == second.detail


def test_an_argument_that_is_not_of_its_type_is_unjudged_and_named(bricks: Any) -> None:
    tests = bricks.calls({"n": "int"}, "int", [([1], 1), (["x"], 1)])
    found = bricks.judge("def solve(n): return n", tests=tests)
    assert (found.verdict, found.strength) == ("unjudged", "none")
    assert found.reason is reason_in_words(found.detail) is UnjudgedReason.UNSAYABLE
    assert "case 2, parameter n: 'x' is not of the declared type int" in found.detail
