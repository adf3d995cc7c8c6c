"""Files of items: every fault told at once, nothing paired by luck."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.files.items import Items, Pairs, pair, read_items


def write(path: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def paired(a: Path, b: Path) -> tuple[Pairs | None, tuple[str, ...]]:
    return pair(read_items(a), read_items(b), names=(a, b))


def test_text_is_one_item_a_line_and_empty_lines_are_empty_items(tmp_path: Path) -> None:
    path = tmp_path / "P.txt"
    path.write_bytes("\ufeffa b\r\n\r\nU+2028 \u2028 stays\n".encode())
    assert read_items(path) == Items(texts=("a b", "", "U+2028 \u2028 stays"))


def test_code_that_begins_with_a_brace_is_text(tmp_path: Path) -> None:
    path = write(tmp_path / "P.txt", '{"a": 1}', "{ return; }")
    assert read_items(path).texts == ('{"a": 1}', "{ return; }")


def test_gzipped_json_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "P.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": 7, "text": "a\\nb"}\n'))
    assert read_items(path) == Items(texts=("a\nb",), ids=("7",))


def test_items_with_ids_pair_in_any_order(tmp_path: Path) -> None:
    a = write(tmp_path / "P.jsonl", {"id": "x", "text": "1"}, {"id": "y", "text": "2"})
    b = write(tmp_path / "R.jsonl", {"id": "y", "text": "two"}, {"id": "x", "text": "one"})
    assert paired(a, b) == (Pairs(ids=("x", "y"), predictions=("1", "2"), references=("one", "two")), ())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"good\nbad \xff\n", "line 2: byte 0xff at column 5 is not UTF-8"),
        (b'{"text": "a"}\n{"text": 1}\nx\n', 'line 2: must be an object with a string "text"'),
        (b'{"text": "a"}\n' + b"[" * 3000 + b"\n", "line 2: is not JSON"),
        (b'{"text": "a", "id": 1}\n{"text": "b"}\n', 'line 2: has no "id"'),
        (b'{"text": "a", "id": 1}\n{"text": "b", "id": "1"}\n', "line 2: id '1' is already that of line 1"),
        (b'{"text": "a", "id": [1]}\n', '"id" must be a string or a whole number, got [1]'),
    ],
)
def test_faulty_file_is_told_by_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "P.jsonl"
    path.write_bytes(content)
    items = read_items(path)
    assert not items.texts
    assert any(said in fault for fault in items.faults), items.faults


def test_files_that_do_not_fit_are_told(tmp_path: Path) -> None:
    two, three = write(tmp_path / "2.txt", "a", "b"), write(tmp_path / "3.txt", "a", "b", "c")
    ids = write(tmp_path / "ids.jsonl", {"id": "task-1", "text": ""}, {"id": "task-2", "text": ""})
    other = write(tmp_path / "other.jsonl", {"id": "task-1", "text": ""}, {"id": "task_2", "text": ""})
    assert "has 2 items and" in paired(two, three)[1][0]
    assert "has ids and" in paired(ids, two)[1][0]
    unknown, absent = paired(ids, other)[1]
    assert "id 'task-2' is not in" in unknown and "did you mean 'task_2'?" in unknown
    assert "has no item of id 'task_2'" in absent


def test_missing_file_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "references.txt", "a")
    (fault,) = read_items(tmp_path / "reference.txt").faults
    assert fault.endswith("no such file; did you mean references.txt?")


def test_many_faults_of_a_kind_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "P.txt"
    path.write_bytes(b"\xff\n" * 1000)
    faults = read_items(path).faults
    assert len(faults) == 6
    assert faults[-1] == "... and 995 more of this kind"
