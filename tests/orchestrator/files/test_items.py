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


@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
def test_json_lines_under_usual_names_are_read_and_said(tmp_path: Path, suffix: str) -> None:
    a = write(tmp_path / f"P.{suffix}", {"task_id": "p/0", "completion": "a"}, {"task_id": "p/1", "solution": "b"})
    b = write(
        tmp_path / f"R.{suffix}",
        {"task_id": "p/1", "canonical_solution": "y"},
        {"task_id": "p/0", "canonical_solution": "x"},
    )
    found, faults = pair(read_items(a), read_items(b, role="references"), names=(a, b))
    assert not faults
    assert found == Pairs(ids=("p/0", "p/1"), predictions=("a", "b"), references=("x", "y"))
    assert found.notes == (f"{a}: the text is 'completion'", f"{b}: the text is 'canonical_solution'")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("P.txt", '[{"id": "a", "text": "x"}, {"id": "b", "text": "y"}]'),
        ("P.txt", '[\n {"id": "a",\n  "text": "x"},\n {"id": "b", "text": "y"}\n]\n'),
        ("P.json", '{\n "id": "a",\n "text": "x"\n}\n{\n "id": "b",\n "text": "y"\n}\n'),
        ("P.txt", '{\n "id": "a",\n "text": "x"\n}\n{\n "id": "b",\n "text": "y"\n}\n'),
        ("P.out", '\n{"id": "a", "text": "x"}\n\n{"id": "b", "text": "y"}\n'),
        ("P.jsonl", '\ufeff{"id": "a", "text": "x"}\r\n{"id": "b", "text": "y"}\r\n'),
        ("P.csv", "id,text\na,x\nb,y\n"),
        ("P.tsv", "id\ttext\na\tx\nb\ty\n"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_rows_in_any_shape_are_rows(tmp_path: Path, name: str, content: str, zipped: bool) -> None:
    path = tmp_path / (f"{name}.gz" if zipped else name)
    path.write_bytes(gzip.compress(content.encode()) if zipped else content.encode())
    assert read_items(path) == Items(texts=("x", "y"), ids=("a", "b"))


def test_gzipped_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "P").write_bytes(gzip.compress(b"one\ntwo\n"))
    assert read_items(tmp_path / "P").texts == ("one", "two")


def test_damaged_gzip_is_one_fault(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(b"text\n" * 1000))
    for name, content in (("cut", bytes(whole[:30])), ("broken", bytes(whole[:12] + b"\xff" * 9 + whole[21:]))):
        (tmp_path / name).write_bytes(content)
        (fault,) = read_items(tmp_path / name).faults
        assert "cannot be read" in fault


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("P.txt", '{"prompt": "x"}\n{"prompt": "y"}\n', "holds 'prompt' and no text"),
        ("P.txt", '{"text": "x"}\n{"text": "y"\n', "line 2: is not JSON"),
        ("P.txt", '{"text": "x"}\n{"text": "y"\n', "if it is text, say --format text"),
        ("P.jsonl", "plain words\n", "line 1: is not JSON"),
        ("P.jsonl", '"a"\n"b"\n', "line 1: must be an object, got str"),
        ("P.json", "[1, 2]", "item 1: must be an object, got int"),
        ("P.jsonl", '{"text": "a", "text": "b"}\n', "the key 'text' is there twice"),
        ("P.json", '[{"text": "a", "text": "b"}]', "the key 'text' is there twice"),
        ("P.csv", "id,text,text\n1,a,b\n", "has the column 'text' twice"),
        ("P.csv", "id;text\n1;a\n", "parted by semicolons"),
        ("P.json", "[]", "is empty"),
    ],
)
def test_json_and_tables_that_hold_no_texts_are_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    items = read_items(tmp_path / name)
    assert not items.texts and any(said in fault for fault in items.faults), items.faults


def test_form_that_is_given_is_the_form(tmp_path: Path) -> None:
    path = write(tmp_path / "P.txt", '{"text": "x"}', "{}")
    assert read_items(path, form="text").texts == ('{"text": "x"}', "{}")


def test_blank_lines_are_empty_items_and_counted(tmp_path: Path) -> None:
    blank, two, three = write(tmp_path / "0.txt", "", ""), write(tmp_path / "2.txt", "a", "b"), tmp_path / "3.txt"
    three.write_text("a\nb\n\n")
    assert paired(blank, two)[0] == Pairs(ids=("1", "2"), predictions=("", ""), references=("a", "b"))
    (fault,) = paired(three, two)[1]
    assert fault.endswith(f"line by line they must pair (1 of {three} are blank)")
    spaced = tmp_path / "P.jsonl"
    spaced.write_text('\n{"text": "x"}\n \n{"text": "y"}\n{"text": 3}\n')
    assert read_items(spaced).faults == (f'{spaced}: line 5: must be an object with a string "text"',)


def test_codexglues_id_tab_text_is_read(tmp_path: Path) -> None:
    a, b = (
        write(tmp_path / "test_0.output", "1\tSecond .", "0"),
        write(tmp_path / "test_0.gold", "0\tFirst .", "1\tOther ."),
    )
    found, _ = paired(a, b)
    assert found == Pairs(ids=("1", "0"), predictions=("Second .", ""), references=("Other .", "First ."))
    assert "read as `id TAB text`" in found.notes[0]
    assert read_items(write(tmp_path / "code.txt", "\treturn 1", "1\t2")).ids is None


def test_codexglues_answers_are_references_of_plain_predictions(tmp_path: Path) -> None:
    a = write(tmp_path / "predictions.txt", "int f ( )", "")
    b = write(tmp_path / "answers.json", {"code": "int g ( )", "nl": "g"}, {"code": "int h ( )", "nl": "h"})
    found, faults = pair(read_items(a), read_items(b, role="references"), names=(a, b))
    assert not faults and found is not None
    assert (found.predictions, found.references) == (("int f ( )", ""), ("int g ( )", "int h ( )"))


def test_code_with_docstring_asks_which_is_the_text(tmp_path: Path) -> None:
    path = write(tmp_path / "test.jsonl", {"code": "x = 1", "docstring": "Sets x."})
    assert "--references-key" in read_items(path, role="references").faults[0]
    assert read_items(path, role="references", column="docstring").texts == ("Sets x.",)


def test_several_completions_of_a_problem_are_items_of_one_reference(tmp_path: Path) -> None:
    a = write(tmp_path / "C.jsonl", *({"task_id": t, "completion": c} for t, c in (("x", "1"), ("y", "2"), ("x", "3"))))
    b = write(tmp_path / "R.jsonl", {"task_id": "x", "text": "X"}, {"task_id": "y", "text": "Y"})
    found, _ = paired(a, b)
    assert found == Pairs(ids=("x#0", "y#0", "x#1"), predictions=("1", "2", "3"), references=("X", "Y", "X"))


def test_prediction_that_is_null_is_empty_and_said(tmp_path: Path) -> None:
    items = read_items(write(tmp_path / "P.jsonl", {"text": None}, {"text": "a"}))
    assert items.texts == ("", "a") and "1 without a text (null)" in items.notes[0]
    assert read_items(tmp_path / "P.jsonl", role="references").faults


def test_ids_of_another_type_are_pointed_out(tmp_path: Path) -> None:
    a, b = write(tmp_path / "P.jsonl", {"id": 1, "text": "a"}), write(tmp_path / "R.jsonl", {"id": "1", "text": "b"})
    found, _ = paired(a, b)
    assert found is not None
    assert found.notes == (f"ids are numbers in {a} and texts in {b}; they were paired by what they read as",)
