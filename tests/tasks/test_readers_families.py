"""Each local data set family on a small file of its own format."""

import json
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tasks.readers import DataError, Source, digest, read_examples, read_problems
from tasks.records import CodeTests, Example, Problem, Track

GENERATION = Track.parse("generation/python")
SUMMARIZATION = Track.parse("summarization/python")


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def run(problem: Problem, candidate: str, *, folder: Path) -> None:
    """Candidate, set-up, tests and the call of `check`, as `CodeTests` are run."""
    assert isinstance(problem.tests, CodeTests)
    call = f"check({problem.tests.entry_point})" if problem.tests.entry_point else ""
    program = folder / "program.py"
    program.write_text(f"{candidate}\n{problem.tests.setup}\n{problem.tests.code}\n{call}", encoding="utf-8")
    runpy.run_path(str(program))


def codexglue(folder: Path, *, java: Sequence[str], csharp: Sequence[str], split: str = "train") -> None:
    (folder / f"{split}.java-cs.txt.java").write_text("\n".join(java) + "\n", encoding="utf-8")
    (folder / f"{split}.java-cs.txt.cs").write_text("\n".join(csharp) + "\n", encoding="utf-8")


def test_translation_pairs_lines_in_both_directions(tmp_path: Path) -> None:
    codexglue(tmp_path, java=["int a(){}", "int b(){}"], csharp=["int A(){}", "int B(){}"])
    source = Source(reader="codexglue-translation", path=".")
    forwards = read_examples(source, track=Track.parse("translation/java-csharp"), root=tmp_path)
    backwards = read_problems(source, track=Track.parse("translation/csharp-java"), root=tmp_path)
    assert forwards[1] == Example(
        id="codexglue/translation/java-csharp/train/2",
        track="translation/java-csharp",
        input="int b(){}",
        output="int B(){}",
    )
    assert (backwards[0].input, backwards[0].reference) == ("int A(){}", "int a(){}")
    assert backwards[0].tests is None
    assert backwards[0].dataset == "codexglue-translation-train"


def test_translation_files_of_different_length_are_refused(tmp_path: Path) -> None:
    codexglue(tmp_path, java=["int a(){}", "int b(){}"], csharp=["int A(){}"])
    with pytest.raises(DataError, match="Java has 2 and C# 1"):
        read_examples(
            Source(reader="codexglue-translation", path="."),
            track=Track.parse("translation/java-csharp"),
            root=tmp_path,
        )


def test_an_empty_side_of_a_translation_is_named(tmp_path: Path) -> None:
    codexglue(tmp_path, java=["int a(){}", "int b(){}"], csharp=["int A(){}", " "])
    with pytest.raises(DataError, match=r"java-cs\.txt\.cs: 1 fault\n  line 2: empty"):
        read_examples(
            Source(reader="codexglue-translation", path="."),
            track=Track.parse("translation/java-csharp"),
            root=tmp_path,
        )


def test_a_digest_of_translations_tells_the_two_sides_apart(tmp_path: Path) -> None:
    source = Source(reader="codexglue-translation", path=".")
    codexglue(tmp_path, java=["one"], csharp=["two"])
    before = digest(source, root=tmp_path)
    codexglue(tmp_path, java=["two"], csharp=["one"])
    assert digest(source, root=tmp_path) != before


HUMANEVAL_ROW = {
    "task_id": "HumanEval/7",
    "prompt": 'def one(x):\n    """Add one.\n    >>> one(1)\n    2\n    """\n',
    "canonical_solution": "    return x + 1\n",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n",
    "entry_point": "one",
}


def test_humaneval_tests_are_a_check_of_the_entry_point(tmp_path: Path) -> None:
    write_rows(tmp_path / "HumanEval.jsonl", [HUMANEVAL_ROW])
    (problem,) = read_problems(Source(reader="humaneval", path=".", split="test"), track=GENERATION, root=tmp_path)
    assert (problem.id, problem.dataset, problem.preamble) == ("HumanEval/7", "humaneval", HUMANEVAL_ROW["prompt"])
    run(problem, problem.reference, folder=tmp_path)
    with pytest.raises(AssertionError):
        run(problem, problem.preamble + "    return x + 2\n", folder=tmp_path)


def pack_row(language: str, **fields: str) -> dict[str, str]:
    return {
        **HUMANEVAL_ROW,
        "task_id": f"{language}/7",
        "declaration": "def one(x):\n",
        "docstring": "Add\none.\n>>> one(1)\n2",
        **fields,
    }


def test_the_packs_summaries_are_asked_for_without_showing_them(tmp_path: Path) -> None:
    write_rows(tmp_path / "humanevalpack_python.jsonl", [pack_row("Python")])
    (problem,) = read_problems(
        Source(reader="humanevalpack", path=".", split="test"), track=SUMMARIZATION, root=tmp_path
    )
    assert (problem.input, problem.reference) == ("def one(x):\n    return x + 1\n", "Add one.")
    assert problem.id == "humanevalpack/summarization/python/7"
    assert problem.tests is None


def test_the_packs_own_call_of_check_is_left_to_the_harness_and_java_carries_no_tests(tmp_path: Path) -> None:
    test = f"{HUMANEVAL_ROW['test']}\ncheck(one)"
    write_rows(tmp_path / "humanevalpack_python.jsonl", [pack_row("Python", test=test)])
    write_rows(tmp_path / "humanevalpack_java.jsonl", [pack_row("Java")])
    source = Source(reader="humanevalpack", path=".", split="test")
    (python,) = read_problems(source, track=GENERATION, root=tmp_path)
    (java,) = read_problems(source, track=Track.parse("generation/java"), root=tmp_path)
    assert isinstance(python.tests, CodeTests)
    assert (python.tests.entry_point, python.tests.code) == ("one", HUMANEVAL_ROW["test"])
    run(python, python.reference, folder=tmp_path)
    assert java.tests is None


def test_the_pack_is_named_by_its_folder(tmp_path: Path) -> None:
    write_rows(tmp_path / "humanevalpack_python.jsonl", [pack_row("Python")])
    source = Source(reader="humanevalpack", path="humanevalpack_python.jsonl", split="test")
    with pytest.raises(DataError, match="no such folder"):
        read_problems(source, track=Track.parse("summarization/java"), root=tmp_path)


def mbpp_row(task_id: int, **fields: object) -> dict[str, object]:
    return {
        "task_id": task_id,
        "text": "Write a function to double.",
        "code": "def double(x):\r\n  return 2 * x\r",
        "test_setup_code": "",
        "test_list": ["assert double(1) == 2", "assert double(3) == 6"],
        "challenge_test_list": [],
        **fields,
    }


@pytest.mark.parametrize(
    ("split", "numbers"), [("prompt", [1, 10]), ("test", [11, 510]), ("validation", [511, 600]), ("train", [601, 974])]
)
def test_mbpp_is_split_by_task_id(tmp_path: Path, split: str, numbers: list[int]) -> None:
    write_rows(tmp_path / "mbpp.jsonl", [mbpp_row(n) for n in (1, 10, 11, 510, 511, 600, 601, 974)])
    problems = read_problems(Source(reader="mbpp", path="mbpp.jsonl", split=split), track=GENERATION, root=tmp_path)
    assert [problem.id for problem in problems] == [f"mbpp/generation/python/{number}" for number in numbers]
    assert {problem.dataset for problem in problems} == {"mbpp" if split == "test" else f"mbpp-{split}"}


def test_mbpp_names_the_function_by_its_first_test_and_judges_by_all(tmp_path: Path) -> None:
    write_rows(tmp_path / "mbpp.jsonl", [mbpp_row(11, test_setup_code="seven = 7\r\n")])
    (problem,) = read_problems(Source(reader="mbpp", path=".", split="test"), track=GENERATION, root=tmp_path)
    assert problem.input.splitlines() == [
        "Write a function to double.",
        "Your code should pass this test:",
        "seven = 7",
        "assert double(1) == 2",
    ]
    assert problem.reference == "def double(x):\n  return 2 * x\n"
    run(problem, problem.reference, folder=tmp_path)
    with pytest.raises(AssertionError):
        run(problem, "def double(x):\n  return 2\n", folder=tmp_path)


def test_mbpp_backwards_is_code_to_text(tmp_path: Path) -> None:
    write_rows(tmp_path / "mbpp.jsonl", [mbpp_row(601)])
    (example,) = read_examples(Source(reader="mbpp", path="."), track=SUMMARIZATION, root=tmp_path)
    assert (example.input, example.output) == ("def double(x):\n  return 2 * x\n", "Write a function to double.")


def test_a_task_id_outside_of_mbpp_belongs_to_no_split_and_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "mbpp.jsonl", [mbpp_row(601), mbpp_row(975)])
    with pytest.raises(DataError, match="line 2: task_id: Input should be less than or equal to 974"):
        read_examples(Source(reader="mbpp", path="."), track=GENERATION, root=tmp_path)


def test_the_built_in_suite_is_read_as_any_other_source(tmp_path: Path) -> None:
    micro = pytest.importorskip("tasks.micro", reason="the built-in suite is not in this checkout")
    source = Source(reader="micro", split="test", limit=3)
    problems = read_problems(source, track=GENERATION, root=tmp_path)
    assert {problem.id for problem in problems} < {item.id for item in micro.problems(GENERATION, split="test")}
    assert f"suite={micro.VERSION}" in (digest(source, root=tmp_path) or "")
