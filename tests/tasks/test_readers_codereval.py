"""CoderEval's records as prompts."""

import json
from pathlib import Path

import pytest

from tasks.readers import DataError, Source, digest, read_problems
from tasks.records import Track

PYTHON = {
    "_id": "62e60f43d76274f8a4026e28",
    "name": "hydrate_time",
    "code": 'def hydrate_time(nanoseconds, tz=None):\n    """Old."""\n    return nanoseconds\n',
    "docstring": "Hydrator for `Time` values.\n\n:return: Time",
    "human_label": "Make a time.",
    "level": "plib_runnable",
    "file_path": "neo4j/time.py",
    "project": "neo4j/neo4j-python-driver",
    "test_name": "test_time",
    "lineno": "3",
}
METHOD = {
    **PYTHON,
    "_id": "62e6",
    "code": "    @classmethod\n    def make(cls,\n             a):\n        return a",
    "docstring": "",
}
JAVA = {**PYTHON, "_id": "6367", "name": "twice", "code": "public static int twice(int a)\n{\n  return 2 * a;\n}"}


def read(folder: Path, track: str, *records: object) -> list[tuple[str, str]]:
    name = "CoderEval4Java.json" if track.endswith("java") else "CoderEval4Python.json"
    (folder / name).write_text(json.dumps({"RECORDS": records}), encoding="utf-8")
    source = Source(reader="codereval", path=".", split="test")
    return [(p.id, p.input) for p in read_problems(source, track=Track.parse(track), root=folder)]


def test_python_records_are_asked_by_signature_and_docstring(tmp_path: Path) -> None:
    first, second = read(tmp_path, "generation/python", PYTHON, METHOD)
    assert first == (
        "62e60f43d76274f8a4026e28",
        'def hydrate_time(nanoseconds, tz=None):\n    """Hydrator for `Time` values.\n\n:return: Time"""\n',
    )
    assert second[1] == '@classmethod\ndef make(cls,\n         a):\n    """Make a time."""\n'


def test_java_records_are_asked_by_comment_and_signature(tmp_path: Path) -> None:
    ((_, prompt),) = read(tmp_path, "generation/java", JAVA)
    assert (
        prompt == "/**\n * Hydrator for `Time` values.\n *\n * :return: Time\n */\npublic static int twice(int a) {\n"
    )


def test_records_carry_no_tests_and_no_trace_of_the_answer(tmp_path: Path) -> None:
    read(tmp_path, "generation/python", PYTHON)
    source = Source(reader="codereval", path="CoderEval4Python.json", split="test")
    (problem,) = read_problems(source, track=Track.parse("generation/python"), root=tmp_path)
    assert problem.tests is None
    assert problem.reference == PYTHON["code"]
    assert "return nanoseconds" not in problem.input
    assert "Old." not in problem.input


def test_file_that_is_none_of_codereval_s_is_refused(tmp_path: Path) -> None:
    (tmp_path / "CoderEval4Python.json").write_text('{"RECORDS": [{"name": "f"}]}', encoding="utf-8")
    with pytest.raises(DataError, match=r"RECORDS.0._id: Field required"):
        read_problems(
            Source(reader="codereval", path=".", split="test"), track=Track.parse("generation/python"), root=tmp_path
        )


def test_one_file_and_a_folder_of_two_have_identities(tmp_path: Path) -> None:
    read(tmp_path, "generation/python", PYTHON)
    assert digest(Source(reader="codereval", path="CoderEval4Python.json", split="test"), root=tmp_path)
    read(tmp_path, "generation/java", JAVA)
    assert digest(Source(reader="codereval", path=".", split="test"), root=tmp_path)
