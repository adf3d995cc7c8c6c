"""Families with one file a language, each on a small file of its own format."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.readers import DataError, ReaderName, Source, digest, read_examples, read_problems
from tasks.records import CodeTests, Problem, Track

JAVA, CSHARP, PYTHON = (Track.parse(f"generation/{name}") for name in ("java", "csharp", "python"))
HUMANEVAL_X = {
    "task_id": "Java/0",
    "prompt": "class Solution {\n    public int one() {\n",
    "canonical_solution": "        return 1;\n    }\n}",
    "test": "public class Main { public static void main(String[] a) { } }",
    "text": "One.",
    "declaration": "",
    "example_test": "",
}
MXEVAL = {
    "task_id": "MBCSP/1",
    "language": "csharp",
    "prompt": "namespace Solution\n{\n    public class Program\n    {\n        public static int One () \n        {\n",
    "description": "One.",
    "test": "\n\n        public static void Main(string[] args) { }\n    }\n}\n",
    "entry_point": "One",
    "canonical_solution": "            return 1;\n        }",
}
MULTIPL_E = {
    "name": "HumanEval_0_one",
    "language": "java",
    "prompt": "class Problem {\n    // One.\n    public static long one() {\n",
    "doctests": "transform",
    "original": "one.py",
    "prompt_terminology": "reworded",
    "tests": "    }\n    public static void main(String[] args) {\n    assert(one() == 1l);\n    }\n\n}\n",
    "stop_tokens": ["\n    }\n"],
}


def write(path: Path, *rows: Mapping[str, object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read(folder: Path, reader: ReaderName, track: Track, path: str = ".") -> tuple[Problem, ...]:
    return read_problems(Source(reader=reader, path=path, split="test"), track=track, root=folder)


def test_humaneval_x_reads_the_tracks_own_file(tmp_path: Path) -> None:
    write(tmp_path / "humaneval_java.jsonl", HUMANEVAL_X)
    (problem,) = read(tmp_path, "humaneval-x", JAVA)
    assert problem.id == "Java/0"
    assert problem.preamble == problem.input == HUMANEVAL_X["prompt"]
    assert problem.reference == "class Solution {\n    public int one() {\n        return 1;\n    }\n}"
    assert problem.tests == CodeTests(code=str(HUMANEVAL_X["test"]))


def test_humaneval_x_in_python_leaves_the_call_to_the_tests(tmp_path: Path) -> None:
    test = "def check(one):\n    assert one() == 1\n\ncheck(one)"
    row = {**HUMANEVAL_X, "task_id": "Python/0", "prompt": "def one():\n", "test": test}
    write(tmp_path / "humaneval_python.jsonl", row)
    (problem,) = read(tmp_path, "humaneval-x", PYTHON)
    assert problem.tests == CodeTests(entry_point="one", code="def check(one):\n    assert one() == 1\n")


def test_mxeval_keeps_problems_without_a_solution(tmp_path: Path) -> None:
    without = {**MXEVAL, "task_id": "MBCSP/2", "canonical_solution": None}
    with gzip.open(tmp_path / "mbcsp_release_v1.2.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps(MXEVAL) + "\n" + json.dumps(without) + "\n")
    first, second = read(tmp_path, "mxeval", CSHARP)
    assert first.reference.endswith("return 1;\n        }")
    assert (second.id, second.reference) == ("MBCSP/2", "")
    assert second.tests == first.tests


def test_mxeval_in_python_has_a_check_to_call(tmp_path: Path) -> None:
    test = "\n\nMETADATA = {}\n\n\ndef check(candidate):\n    assert candidate() == 1\n\ncheck(one)\n"
    row = {
        **MXEVAL,
        "task_id": "MBPP/1",
        "language": "python",
        "prompt": "def one():\n",
        "test": test,
        "entry_point": "one",
    }
    write(tmp_path / "mbpp_release_v1.jsonl", row)
    (problem,) = read(tmp_path, "mxeval", PYTHON)
    assert problem.tests == CodeTests(
        entry_point="one", code="METADATA = {}\n\n\ndef check(candidate):\n    assert candidate() == 1\n"
    )


@pytest.mark.parametrize(("language", "track"), [("java", JAVA), ("cs", CSHARP), ("py", PYTHON)])
def test_multipl_e_names_languages_its_own_way(tmp_path: Path, language: str, track: Track) -> None:
    write(tmp_path / f"humaneval-{language}.jsonl", {**MULTIPL_E, "language": language})
    (problem,) = read(tmp_path, "multipl-e", track)
    assert (problem.id, problem.reference, problem.track) == ("HumanEval_0_one", "", str(track))
    assert problem.tests == CodeTests(code=str(MULTIPL_E["tests"]))


@pytest.mark.parametrize(
    ("reader", "row"), [("humaneval-x", HUMANEVAL_X), ("mxeval", MXEVAL), ("multipl-e", MULTIPL_E)]
)
def test_a_file_of_another_language_is_an_empty_read(
    tmp_path: Path, reader: ReaderName, row: dict[str, object]
) -> None:
    write(tmp_path / "rows.jsonl", row)
    with pytest.raises(DataError, match="holds no record of generation/python"):
        read(tmp_path, reader, PYTHON, "rows.jsonl")


@pytest.mark.parametrize("reader", ["humaneval-x", "mxeval", "multipl-e"])
def test_a_malformed_line_is_named(tmp_path: Path, reader: ReaderName) -> None:
    (tmp_path / "rows.jsonl").write_text('\n{"task_id": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        read(tmp_path, reader, PYTHON, "rows.jsonl")


@pytest.mark.parametrize("reader", ["humaneval-x", "mxeval", "multipl-e"])
def test_these_test_sets_are_never_trained_on(tmp_path: Path, reader: ReaderName) -> None:
    with pytest.raises(DataError, match="cannot be trained on"):
        read_examples(Source(reader=reader, path=".", split="test"), track=PYTHON, root=tmp_path)


def test_a_folders_digest_follows_all_of_its_files_and_no_other(tmp_path: Path) -> None:
    source = Source(reader="humaneval-x", path=".", split="test")
    with pytest.raises(DataError, match="no such file"):
        digest(source, root=tmp_path)
    write(tmp_path / "humaneval_java.jsonl", HUMANEVAL_X)
    alone = digest(source, root=tmp_path)
    write(tmp_path / "other.jsonl", HUMANEVAL_X)
    assert digest(source, root=tmp_path) == alone
    write(tmp_path / "humaneval_python.jsonl", {**HUMANEVAL_X, "task_id": "Python/0"})
    assert digest(source, root=tmp_path) != alone
