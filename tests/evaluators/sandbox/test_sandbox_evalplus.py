"""EvalPlus' problems that a harness gets wrong by its own habits, rebuilt by shape and judged in the sandbox.

One decision: limits are made small instead of inputs large, so that a slow case costs seconds.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluators.sandbox import Limits, Program, execute
from tasks.readers import Source, read_problems
from tasks.records import Problem, Track, Verdict

pytestmark = pytest.mark.slow

SMALL = Limits(cpu_s=0.4, wall_s=4, memory_mb=256, output_bytes=50_000)
SUM = "def {name}(n):\n    total = 0\n    for value in range(1, n + 1):\n        total += value\n    return total\n"


def humaneval(folder: Path, name: str, body: str, inputs: list[Any], **fields: object) -> Problem:
    """A row of HumanEval+'s raw release."""
    row = {
        "task_id": "HumanEval/900",
        "prompt": f"def {name}(n):\n",
        "canonical_solution": f"    {body}\n",
        "entry_point": name,
        "base_input": inputs,
        "plus_input": [],
        "atol": 0,
        **fields,
    }
    return read(folder, "humaneval-plus", row)


def mbpp(folder: Path, name: str, solution: str, inputs: list[Any]) -> Problem:
    """A row of MBPP+'s raw release."""
    row = {
        "task_id": "Mbpp/900",
        "prompt": "Do it.",
        "entry_point": name,
        "canonical_solution": solution,
        "base_input": inputs,
        "plus_input": {},
        "atol": 0,
    }
    return read(folder, "mbpp-plus", row)


def read(folder: Path, reader: Any, row: dict[str, object]) -> Problem:
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    source = Source(reader=reader, path="rows.jsonl", split="test")
    return read_problems(source, track=Track.parse("generation/python"), root=folder)[0]


def judge(problem: Problem, *sources: str, limits: Limits = SMALL) -> list[Verdict]:
    """The reference's verdict, then those of the other programs."""
    programs = [Program(problem_id=problem.id, source=source) for source in (problem.reference, *sources)]
    return list(execute([problem], programs, limits=limits))


@pytest.mark.parametrize(
    "name",
    ["check", "copy", "json", "math", "reference", "candidate", "kept", "names", "_agrees", "_INPUTS", "_right", "i"],
)
def test_a_function_may_have_any_name_of_the_harness(tmp_path: Path, name: str) -> None:
    problem = mbpp(tmp_path, name, SUM.format(name=name), [[3], [5]])
    recursive = f"def {name}(n):\n    return n + {name}(n - 1) if n else 0\n"
    found = judge(problem, recursive, recursive.replace("n +", "n -"))
    assert [v.verdict for v in found] == ["passed", "passed", "wrong_answer"], found
    assert {v.strength for v in found} == {"apart"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('return " ".join(map(str, range(n)))', id="a text, as in 15"),
        pytest.param("return [n + 2 * i for i in range(n)]", id="a list, as in 100"),
        pytest.param("return [1.0 + i / 2 for i in range(n)]", id="floats, as in 130"),
    ],
)
def test_output_may_be_as_long_as_the_references(tmp_path: Path, body: str) -> None:
    problem = humaneval(tmp_path, "pile", body, [[4], [30_000]])
    shorter = problem.reference.replace("range(n)", "range(n - 1)")
    flood = "def pile(n):\n    return 'x' * 3_000_000\n"
    found = judge(problem, shorter, flood)
    assert [v.verdict for v in found] == ["passed", "wrong_answer", "output_limit"], found


def test_a_list_of_lists_may_be_long_as_in_630(tmp_path: Path) -> None:
    solution = "def get(n):\n    return [[x, y] for x in range(n) for y in range(n)]\n"
    assert judge(mbpp(tmp_path, "get", solution, [[2], [120]]))[0].verdict == "passed"


def test_limits_of_time_hold_for_each_input_as_in_599(tmp_path: Path) -> None:
    problem = mbpp(tmp_path, "total", SUM.format(name="total"), [[1_500_000 + n] for n in range(8)])
    slower = SUM.format(name="total").replace("total += value", "total += value; value * 2; value - 1")
    endless = SUM.format(name="total").replace("    total = 0", "    while n != 3: pass\n    total = 0")
    limits = SMALL.model_copy(update={"cpu_s": 0.25})
    found = judge(problem, slower, endless, limits=limits)
    assert [v.verdict for v in found] == ["passed", "passed", "timeout"], found
    assert found[0].cpu_s > limits.cpu_s > found[2].cpu_s / 2


def test_a_slow_input_widens_the_limit_of_a_call(tmp_path: Path) -> None:
    problem = mbpp(tmp_path, "total", SUM.format(name="total"), [[3], [15_000_000]])
    assert judge(problem, limits=SMALL.model_copy(update={"cpu_s": 0.2}))[0].verdict == "passed"


def test_a_large_value_is_not_held_many_times_over_as_in_255(tmp_path: Path) -> None:
    solution = (
        "def combine(n):\n    from itertools import combinations_with_replacement as c\n"
        "    return list(c(['Red', 'Green', 'Blue', 'Black', 'White', 'Grey'], n))\n"
    )
    problem = mbpp(tmp_path, "combine", solution, [[16], [16], [17]])
    found = judge(problem, solution + "# the same\n", limits=SMALL.model_copy(update={"memory_mb": 128, "cpu_s": 2}))
    assert [v.verdict for v in found] == ["passed", "passed"], found


def test_an_endless_program_costs_its_limit(tmp_path: Path) -> None:
    problem = mbpp(tmp_path, "total", SUM.format(name="total"), [[3], [4]])
    found = judge(problem, "def total(n):\n    while True: pass\n")[1]
    assert (found.verdict, found.cpu_s < 1, found.wall_s < 3) == ("timeout", True, True)


def test_check_code_of_the_hub_may_test_a_function_called_check(tmp_path: Path) -> None:
    row = {
        "task_id": "HumanEval/900",
        "prompt": "def check(n):\n",
        "canonical_solution": "    return n + check(n - 1) if n else 0\n",
        "entry_point": "check",
        "test": "import copy\ndef check(candidate):\n    for i, e in [(3, 6), (4, 10)]:\n"
        "        assert candidate(i) == e\n",
    }
    found = judge(read(tmp_path, "humaneval-plus", row), "def check(n):\n    return n\n")
    assert [(v.verdict, v.strength) for v in found] == [("passed", "apart"), ("wrong_answer", "apart")]


def test_a_program_keeps_a_check_of_its_own_where_tests_run_beside_it(tmp_path: Path) -> None:
    row = {
        "task_id": "HumanEval/900",
        "prompt": "def solve(f):\n",
        "canonical_solution": "    return check(f)\ndef check(f):\n    return f(2)\n",
        "entry_point": "solve",
        "test": "def check(candidate):\n    assert candidate(lambda n: n + 1) == 3\n",
    }
    found = judge(read(tmp_path, "humaneval-plus", row), "def solve(f):\n    return 1\n")
    assert [(v.verdict, v.strength) for v in found] == [("passed", "in-process"), ("wrong_answer", "in-process")]


def test_wall_time_is_widened_with_cpu_time(tmp_path: Path) -> None:
    problem = mbpp(tmp_path, "total", SUM.format(name="total"), [[12_000_000]])
    limits = SMALL.model_copy(update={"cpu_s": 0.2, "wall_s": 0.25})
    assert [v.verdict for v in judge(problem, problem.reference + "# the same\n", limits=limits)] == ["passed"] * 2
