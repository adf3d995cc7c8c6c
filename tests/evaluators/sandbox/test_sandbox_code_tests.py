"""Tests that are Python code: HumanEval's `check`, MBPP's asserts, and ways around them."""

import gzip
import json
from typing import Any

import pytest

from evaluators.sandbox import Limits, Program, execute
from tasks.records import CodeTests, Problem

CHECK = CodeTests(entry_point="add", code="def check(candidate):\n    assert candidate(1, 2) == 3\n")
ASSERTS = CodeTests(setup="one = Box(1)", code="assert add(one.value, 2) == 3\nassert add(1, 1) == 2")
ADD = "class Box:\n    def __init__(self, value): self.value = value\ndef add(a, b): return a + b\n"


@pytest.mark.parametrize(("tests", "strength"), [(CHECK, "apart"), (ASSERTS, "in-process")])
def test_a_right_program_passes_apart_where_its_tests_need_functions_alone(
    bricks: Any, tests: CodeTests, strength: str
) -> None:
    found = bricks.judge(ADD, tests=tests)
    assert (found.verdict, found.strength, found.detail) == ("passed", strength, "")


@pytest.mark.parametrize(
    ("tests", "said"),
    [(CHECK, "assert candidate(1, 2) == 3"), (ASSERTS, "assert add(one.value, 2) == 3")],
)
def test_a_failed_assertion_is_a_wrong_answer_and_is_quoted(bricks: Any, tests: CodeTests, said: str) -> None:
    found = bricks.judge(ADD.replace("a + b", "a - b"), tests=tests)
    assert (found.verdict, found.detail) == ("wrong_answer", said)


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def add(a, b): assert False", "exception"),
        ("def sub(a, b): return a - b", "exception"),
        ("def add(a, b) return 3", "compile_error"),
        ("import sys\nsys.exit(0)", "exception"),
        ("import os\nos._exit(0)", "exception"),
        ("import os\ndef add(a, b): os._exit(0)", "exception"),
        ("def add(a, b):\n    while True: pass", "timeout"),
        ("def check(candidate): pass\ndef add(a, b): return 0", "wrong_answer"),
        ("print('k 1234')\nopen('outcomes', 'a').write('k 1234\\n')\nraise SystemExit", "exception"),
        ("open('outcomes', 'a').write('l\\nk \\n')\nraise SystemExit", "exception"),
        ("import os\nos.truncate('outcomes', 0)\nos._exit(0)", "exception"),
        ("import os\nos.write(3, b'l' * 10**5)\nwhile True: pass", "timeout"),
        ("import os\nos.close(3)\ndef add(a, b): return 3", "exception"),
    ],
)
def test_no_program_passes_without_running_the_tests(bricks: Any, source: str, verdict: str) -> None:
    assert bricks.judge(source, tests=CHECK).verdict == verdict


def test_tests_are_not_within_reach_before_the_program_is_loaded(bricks: Any) -> None:
    source = (
        "import os\nfound = [n for n in os.listdir() if b'idate(1, 2' + b')' in open(n, 'rb').read()]\n"
        "assert not found, found\ndef add(a, b): return a + b"
    )
    assert bricks.judge(source, tests=CHECK).verdict == "passed"


def test_large_tests_are_handed_over_whole(bricks: Any) -> None:
    tests = CodeTests(code="\n".join(f"assert add({n}, 1) == {n + 1}  # \u00e9" for n in range(40_000)))
    found = bricks.judge(ADD, tests=tests)
    assert found.verdict in ("passed", "timeout", "memory"), found.detail


def read(path: Any) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def code_problem(id: str, tests: CodeTests) -> Problem:
    return Problem(id=id, track="generation/python", dataset="real", input="", reference="", tests=tests)


def test_references_of_humaneval_pass(bricks: Any) -> None:
    rows = read(bricks.real_data("humaneval/HumanEval.jsonl.gz"))[:164:16]
    problems = [
        code_problem(row["task_id"], CodeTests(entry_point=row["entry_point"], code=row["test"])) for row in rows
    ]
    programs = [Program(problem_id=row["task_id"], source=row["prompt"] + row["canonical_solution"]) for row in rows]
    assert [v.detail for v in execute(problems, programs, limits=Limits()) if v.verdict != "passed"] == []


def test_prompts_of_humaneval_alone_do_not_pass(bricks: Any) -> None:
    rows = read(bricks.real_data("humaneval/HumanEval.jsonl.gz"))[:3]
    problems = [
        code_problem(row["task_id"], CodeTests(entry_point=row["entry_point"], code=row["test"])) for row in rows
    ]
    programs = [Program(problem_id=row["task_id"], source=row["prompt"] + "    return None") for row in rows]
    assert {v.verdict for v in execute(problems, programs, limits=Limits())} == {"wrong_answer"}


def test_references_of_mbpp_pass_with_and_without_set_up(bricks: Any) -> None:
    rows = read(bricks.real_data("mbpp/mbpp.jsonl.gz"))
    chosen = rows[10:500:60] + [row for row in rows if row["test_setup_code"]][:3]
    problems = [
        code_problem(str(row["task_id"]), CodeTests(setup=row["test_setup_code"], code="\n".join(row["test_list"])))
        for row in chosen
    ]
    programs = [Program(problem_id=str(row["task_id"]), source=row["code"]) for row in chosen]
    assert [v.detail for v in execute(problems, programs, limits=Limits()) if v.verdict != "passed"] == []
