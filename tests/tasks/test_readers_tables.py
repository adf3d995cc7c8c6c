"""Files of rows as people and their programs write them, read by form, with every broken place named."""

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
import pyarrow.feather as feather  # type: ignore[import-untyped, unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]
import pytest

from tasks.readers import DataError
from tasks.readers.tables import read_table

ROWS = [{"a": "one\u2028é", "b": "x\ny"}, {"a": "two, three", "b": 'say "hi"'}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
CSV = 'a,b\n"one\u2028é","x\ny"\n"two, three","say ""hi"""\n'


def write_arrow_stream(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


FORMS: dict[str, Callable[[Path], object]] = {
    "rows.jsonl": lambda path: path.write_text(LINES, encoding="utf-8"),
    "rows.NDJSON": lambda path: path.write_text(LINES, encoding="utf-8"),
    "lines.json": lambda path: path.write_text(LINES, encoding="utf-8"),
    "marked.jsonl": lambda path: path.write_text("\ufeff" + LINES.replace("\n", "\r\n") + "\r\n", encoding="utf-8"),
    "array.json": lambda path: path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8"),
    "array.jsonl": lambda path: path.write_text(json.dumps(ROWS), encoding="utf-8"),
    "array.json.gz": lambda path: path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps(ROWS).encode())),
    "within.json": lambda path: path.write_text(json.dumps({"data": ROWS}), encoding="utf-8"),
    "pretty.json": lambda path: path.write_text(json.dumps({"data": ROWS}, indent=2), encoding="utf-8"),
    "rows.csv": lambda path: path.write_text(CSV, encoding="utf-8", newline=""),
    "marked.csv": lambda path: path.write_text("\ufeff" + CSV, encoding="utf-8", newline=""),
    "rows.csv.gz": lambda path: path.write_bytes(gzip.compress(CSV.encode())),
    "spreadsheet.csv": lambda path: path.write_text(
        CSV.replace("a,b", "a;b").replace('","', '";"'), encoding="utf-8", newline=""
    ),
    "rows.tsv": lambda path: path.write_text(
        CSV.replace("a,b", "a\tb").replace('","', '"\t"'), encoding="utf-8", newline=""
    ),
    "rows.parquet": lambda path: pq.write_table(pa.Table.from_pylist(ROWS), path),
    "file.arrow": lambda path: feather.write_feather(pa.Table.from_pylist(ROWS), str(path), compression="zstd"),
    "rows.feather": lambda path: feather.write_feather(pa.Table.from_pylist(ROWS), str(path)),
    "stream.arrow": write_arrow_stream,
}


@pytest.mark.parametrize("name", FORMS)
def test_the_same_rows_are_read_from_every_form(tmp_path: Path, name: str) -> None:
    FORMS[name](tmp_path / name)
    assert [dict(row.values) for row in read_table(tmp_path / name)] == ROWS
    assert [dict(row.values) for row in read_table(tmp_path / name, first=1)] == ROWS[:1]


def told_of(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_each_broken_line_of_json_is_named(tmp_path: Path) -> None:
    told = told_of(tmp_path / "a.jsonl", b'{"a": 1}\n{"a": \n[1, 2]\n{"a": "caf\xe9"}\n\n{"a": 2}\n')
    assert "3 faults" in told
    assert "line 2: not JSON: Expecting value at column 6" in told
    assert "line 3: of type list, not an object with columns" in told
    assert "line 4: byte 11 (0xe9) is not UTF-8" in told


def test_a_broken_array_is_named_by_its_line(tmp_path: Path) -> None:
    assert "line 3: not JSON: Expecting property name" in told_of(tmp_path / "a.json", b'[\n{"a": 1},\n{a: 1}]')
    assert "line 2: byte 0xe9 is not UTF-8" in told_of(tmp_path / "b.json", b'[\n{"a": "\xe9"}]')
    assert "item 2: of type int" in told_of(tmp_path / "c.json", b'[{"a": 1}, 2]')
    assert "holds no rows" in told_of(tmp_path / "d.json", b'{\n"a": 1\n}')


def test_each_broken_line_of_csv_is_named(tmp_path: Path) -> None:
    told = told_of(tmp_path / "a.csv", b'a,b\n"two\nlines",x\n1,2,3\n\n4\ncaf\xe9,x\n')
    assert "line 4: 3 cells where the header has 2" in told
    assert "line 6: 1 cells where the header has 2" in told
    assert "line 7: column 'a' is not UTF-8" in told


def test_a_quote_that_is_never_closed_is_named_by_the_line_that_opens_it(tmp_path: Path) -> None:
    told = told_of(tmp_path / "a.csv", b'a,b\n1,2\n3,"open\n5,6\n')
    assert "line 3: not CSV from here on: unexpected end of data" in told


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "names the column 'a' twice" in told_of(tmp_path / "a.csv", b"a,b,a\n1,2,3\n")


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.json.gz", "a.csv.gz"])
def test_a_file_that_was_cut_off_is_named(tmp_path: Path, name: str) -> None:
    rows = [{"a": "x" * n, "b": str(n)} for n in range(400)]
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    elif name == "a.arrow":
        feather.write_feather(pa.Table.from_pylist(rows), str(tmp_path / name))
    else:
        text = json.dumps(rows) if "json" in name else "a,b\n" + "".join(f"{r['a']},{r['b']}\n" for r in rows)
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    cut = (tmp_path / name).read_bytes()[:-30]
    assert "cannot be read" in told_of(tmp_path / name, cut)


def test_a_csv_cell_is_the_text_that_stands_there(tmp_path: Path) -> None:
    # pandas reads these as two absent values, a number and a truth value.
    (tmp_path / "a.csv").write_text("a,b,c,d,e\nNone,NaN,007,True,\n", encoding="utf-8")
    assert dict(read_table(tmp_path / "a.csv")[0].values) == {
        "a": "None",
        "b": "NaN",
        "c": "007",
        "d": "True",
        "e": None,
    }


def test_a_cell_may_be_longer_than_csv_readers_allow_by_default(tmp_path: Path) -> None:
    code = "x = 1\n" * 40_000
    (tmp_path / "a.csv").write_text(f'a,b\n1,"{code}"\n', encoding="utf-8", newline="")
    assert read_table(tmp_path / "a.csv")[0].values["b"] == code


def test_nan_of_python_s_json_is_read_as_a_number(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": NaN}\n', encoding="utf-8")
    assert math.isnan(read_table(tmp_path / "a.jsonl")[0].values["a"])


def test_a_file_whose_name_says_no_form_is_refused_with_the_forms(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"a name ends in \.jsonl, .*\.parquet"):
        read_table(tmp_path / "a.xlsx")


def test_a_key_that_stands_twice_is_refused_since_one_of_the_two_would_be_lost(tmp_path: Path) -> None:
    assert "line 2: names 'a' twice" in told_of(tmp_path / "a.jsonl", b'{"a": 1}\n{"a": 1, "a": 2}\n')
    assert "names 'a' twice" in told_of(tmp_path / "a.json", b'[{"a": 1, "a": 2}]')


def test_a_number_that_python_does_not_read_is_a_fault_of_its_line(tmp_path: Path) -> None:
    assert "line 1: Exceeds the limit" in told_of(tmp_path / "a.jsonl", b'{"a": ' + b"9" * 5000 + b"}\n")


def test_text_in_another_encoding_is_named_as_such(tmp_path: Path) -> None:
    assert "is UTF-16" in told_of(tmp_path / "a.csv", "a,b\n1,2\n".encode("utf-16"))
    assert "line 1: is not UTF-8" in told_of(tmp_path / "b.csv", "caf\u00e9,b\n1,2\n".encode("latin-1"))
