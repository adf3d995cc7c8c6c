"""HumanEval+ and MBPP+ on hand-made rows in the formats of their releases, their tests run here."""

import json
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.readers import DataError, Source, read_examples, read_problems
from tasks.records import CodeTests, Problem, Track

PYTHON = Track.parse("generation/python")

HUB_HUMANEVAL = {
    "task_id": "HumanEval/53",
    "prompt": 'def add(x: int, y: int):\n    """Add."""\n',
    "canonical_solution": "    return x + y\n",
    "entry_point": "add",
    "test": "def check(candidate):\n    inputs = [[0, 1], [2, 3]]\n    results = [1, 5]\n"
    "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n        assert candidate(*inp) == exp\n",
}
RAW_HUMANEVAL = {
    "task_id": "HumanEval/53",
    "prompt": 'def add(x: int, y: int):\n    """Add."""\n',
    "canonical_solution": "\n    return x + y\n",
    "entry_point": "add",
    "contract": "\n    assert isinstance(x, int)\n",
    "base_input": [[0, 1], [2, 3]],
    "plus_input": [[-1, 10**30], [0.5, 0.25]],
    "atol": 0,
}
HUB_MBPP = {
    "task_id": 2,
    "code": "def similar_elements(a, b):\n    return tuple(set(a) & set(b))",
    "prompt": "Write a function to find the shared elements from the given two lists.",
    "source_file": "Benchmark Questions Verification V2.ipynb",
    "test_imports": ["import math"],
    "test_list": ["assert set(similar_elements((3, 4), (5, 4))) == set((4,))"],
    "test": "inputs = [[(3, 4), (5, 4)]]\nresults = [(4,)]\n"
    "for inp, exp in zip(inputs, results):\n    assert set(similar_elements(*inp)) == set(exp)\n",
}


def raw_mbpp(number: int, name: str, solution: str, inputs: list[Any], **fields: object) -> dict[str, object]:
    return {
        "task_id": f"Mbpp/{number}",
        "prompt": f'"""\nDo it.\nassert {name}\n"""\n',
        "entry_point": name,
        "canonical_solution": f"\n{solution}\n",
        "base_input": inputs,
        "contract": "",
        "assertion": "",
        "plus_input": {},
        "atol": 0,
        **fields,
    }


def read(folder: Path, reader: Any, *rows: Mapping[str, object]) -> tuple[Problem, ...]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_problems(Source(reader=reader, path=path.name, split="test"), track=PYTHON, root=folder)


def passes(problem: Problem, candidate: str, *, folder: Path) -> bool:
    """Candidate, set-up, tests and the call of `check`, as `CodeTests` are run."""
    assert isinstance(problem.tests, CodeTests)
    call = f"check({problem.tests.entry_point})" if problem.tests.entry_point else ""
    program = folder / "program.py"
    program.write_text(f"{candidate}\n{problem.tests.setup}\n{problem.tests.code}\n{call}", encoding="utf-8")
    try:
        runpy.run_path(str(program))
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("row", [HUB_HUMANEVAL, RAW_HUMANEVAL], ids=["hub", "raw"])
def test_humaneval_plus_rows_judge_like_their_reference(tmp_path: Path, row: dict[str, object]) -> None:
    (problem,) = read(tmp_path, "humaneval-plus", row)
    assert (problem.id, problem.dataset, problem.preamble) == ("HumanEval/53", "humaneval-plus", row["prompt"])
    assert passes(problem, problem.reference, folder=tmp_path)
    assert not passes(problem, problem.preamble + "    return x - y\n", folder=tmp_path)


def test_further_inputs_judge_too(tmp_path: Path) -> None:
    (problem,) = read(tmp_path, "humaneval-plus", RAW_HUMANEVAL)
    assert not passes(problem, problem.preamble + "    return x + y if y < 9 else 0\n", folder=tmp_path)


def test_floats_are_close_where_the_reference_gives_floats_and_types_are_kept(tmp_path: Path) -> None:
    row = raw_mbpp(800, "half", "def half(a):\n    return [a / 2, 1.0]", [[1], [3]], atol=0)
    (problem,) = read(tmp_path, "mbpp-plus", row)
    assert passes(problem, "def half(a):\n    return [a / 2 + 1e-8, 1.0]", folder=tmp_path)
    assert not passes(problem, "def half(a):\n    return [a / 2 + 1e-4, 1.0]", folder=tmp_path)
    assert not passes(problem, "def half(a):\n    return (a / 2 + 1e-8, 1.0)", folder=tmp_path)
    assert not passes(problem, "def half(a):\n    return [a / 2]", folder=tmp_path)


def test_any_root_of_the_polynomial_is_right(tmp_path: Path) -> None:
    row = {**RAW_HUMANEVAL, "task_id": "HumanEval/32", "entry_point": "find_zero", "atol": 1e-4}
    row |= {"prompt": "def find_zero(xs):\n", "canonical_solution": "    return 1.0\n"}
    (problem,) = read(tmp_path, "humaneval-plus", {**row, "base_input": [[[-1, 0, 1]]], "plus_input": []})
    assert passes(problem, "def find_zero(xs):\n    return -1.0\n", folder=tmp_path)
    assert not passes(problem, "def find_zero(xs):\n    return 0.5\n", folder=tmp_path)


def test_mbpp_plus_hub_rows_are_asked_with_their_first_test(tmp_path: Path) -> None:
    (problem,) = read(tmp_path, "mbpp-plus", HUB_MBPP)
    assert (problem.id, problem.dataset) == ("Mbpp/2", "mbpp-plus")
    assert problem.input.endswith("import math\nassert set(similar_elements((3, 4), (5, 4))) == set((4,))")
    assert passes(problem, problem.reference, folder=tmp_path)
    assert not passes(problem, "def similar_elements(a, b):\n    return (3,)", folder=tmp_path)


IDENTITY = "def {name}(*a):\n    return repr(a)"


@pytest.mark.parametrize(
    ("number", "given", "meant"),
    [
        (2, [[1, 2], [3]], "((1, 2), (3,))"),
        (63, [[[1, 2], [3, 4]]], "([(1, 2), (3, 4)],)"),
        (75, [[[1, 2]], 6], "([(1, 2)], 6)"),
        (106, [[1], [2]], "([1], (2,))"),
        (115, [[[1], []]], "([{1}, {}],)"),
        (124, ["1", "2j"], "(1.0, 2j)"),
        (250, [[1, 2], 1], "((1, 2), 1)"),
        (307, [[1, 2], 1, 2], "((1, 2), 1, 2)"),
        (259, [[[1, 2], [3]]], "(((1, 2), (3,)),)"),
        (252, ["1j"], "(1j,)"),
        (278, [[4, [6, 6]]], "((4, (6, 6)),)"),
        (722, [{"a": [1, 2]}, 3], "({'a': (1, 2)}, 3)"),
        (580, [[1, [2, [3]]]], "((1, (2, (3,))),)"),
        (3, [[1]], "([1],)"),
    ],
)
def test_inputs_get_the_types_back_that_json_took(tmp_path: Path, number: int, given: Any, meant: str) -> None:
    # Types by problem: evalplus 0.3.1, data/mbpp.py.
    (problem,) = read(tmp_path, "mbpp-plus", raw_mbpp(number, "f", IDENTITY.format(name="f"), [given]))
    assert passes(problem, f"def f(*a):\n    return {meant!r}", folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "solution", "inputs", "also_right", "wrong"),
    [
        ("Diff", "def Diff(a, b):\n    return [1, 2]", [[1, 2]], "[2, 1, 1]", "[1]"),
        ("check_str", "def check_str(s):\n    return s or None", [["x"], [""]], "bool(s)", "True"),
        ("sum_div", "def sum_div(s):\n    return 6", [[6]], "0", "1"),
        ("are_equivalent", "def are_equivalent(s):\n    return True", [[6]], "False", None),
        ("surface_Area", "def surface_Area(s, h):\n    return 33", [[3, 4]], "round(9 + 6 * (2.25 + 16) ** 0.5)", "1"),
        ("digit_distance_nums", "def digit_distance_nums(s, b):\n    return 7", [[23, 456]], "4 + 3 + 3", "1"),
    ],
)
def test_problems_with_several_answers_accept_each(
    tmp_path: Path, name: str, solution: str, inputs: list[Any], also_right: str, wrong: str | None
) -> None:
    # Which ones: evalplus 0.3.1, eval/_special_oracle.py.
    (problem,) = read(tmp_path, "mbpp-plus", raw_mbpp(900, name, solution, inputs))
    assert passes(problem, f"def {name}(s, *_):\n    return {also_right}", folder=tmp_path)
    assert wrong is None or not passes(problem, f"def {name}(s, *_):\n    return {wrong}", folder=tmp_path)


def test_row_that_says_nothing_to_check_is_refused(tmp_path: Path) -> None:
    row = {key: value for key, value in HUB_HUMANEVAL.items() if key != "test"}
    with pytest.raises(DataError, match=r"line 1: .*neither test nor base_input"):
        read(tmp_path, "humaneval-plus", row)


def test_neither_is_trained_on(tmp_path: Path) -> None:
    for reader in ("humaneval-plus", "mbpp-plus"):
        with pytest.raises(DataError, match="cannot be trained on"):
            read_examples(Source(reader=reader, path="x", split="test"), track=PYTHON, root=tmp_path)  # type: ignore[arg-type]
