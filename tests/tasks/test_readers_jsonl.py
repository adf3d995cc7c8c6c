"""Our own format, and what every local file shares: gzip, UTF-8, all faults at once."""

import gzip
import json
from pathlib import Path

import pytest

from tasks.readers import DataError, Source, read_examples, read_problems
from tasks.readers.files import MAX_FAULTS, read_lines
from tasks.records import CallTests, Case, Example, Parameter, Problem, Track

GENERATION = Track.parse("generation/python")
EXAMPLES = tuple(
    Example(id=f"e/{n}", track=track, input=f"reads {n}\u2028é", output=f"f({n})")
    for n, track in enumerate(["generation/python", "summarization/java", "generation/python"])
)


def lines_of(*records: Example | Problem) -> str:
    return "".join(record.model_dump_json() + "\n" for record in records)


def source(name: str = "data.jsonl") -> Source:
    return Source(reader="jsonl", path=name)


def test_examples_written_as_json_are_read_back_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(lines_of(*EXAMPLES), encoding="utf-8")
    assert read_examples(source(), track=GENERATION, root=tmp_path) == (EXAMPLES[0], EXAMPLES[2])


def test_problems_are_read_with_their_tests(tmp_path: Path) -> None:
    tests = CallTests(
        entry_point="double",
        parameters=(Parameter(name="n", type="int"),),
        returns="int",
        cases=(Case(arguments=(2,), expected=4),),
    )
    problem = Problem(id="p", track="generation/python", dataset="own", input="Double.", reference="x", tests=tests)
    (tmp_path / "data.jsonl").write_text(lines_of(problem), encoding="utf-8")
    assert read_problems(source(), track=GENERATION, root=tmp_path) == (problem,)


def test_a_gzipped_file_with_a_byte_order_mark_and_windows_line_ends_reads_the_same(tmp_path: Path) -> None:
    text = "\ufeff" + lines_of(*EXAMPLES).replace("\n", "\r\n") + "\r\n"
    (tmp_path / "data.jsonl.gz").write_bytes(gzip.compress(text.encode("utf-8")))
    assert len(read_examples(source("data.jsonl.gz"), track=GENERATION, root=tmp_path)) == 2


def test_a_folder_is_read_by_split(tmp_path: Path) -> None:
    (tmp_path / "validation.jsonl").write_text(lines_of(EXAMPLES[0]), encoding="utf-8")
    read = read_examples(Source(reader="jsonl", path=".", split="validation"), track=GENERATION, root=tmp_path)
    assert read == (EXAMPLES[0],)


def test_all_faults_of_a_file_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    faulty = [
        EXAMPLES[0].model_dump_json().encode(),
        b'{"id": "cut off',
        json.dumps({"id": "x", "track": "generation/python", "input": "no output"}).encode(),
        b"",
        json.dumps({"id": "y", "track": "generation/cobol", "input": "i", "output": "o"}).encode(),
        b'{"id": "caf\xe9"}',
    ]
    (tmp_path / "data.jsonl").write_bytes(b"\n".join(faulty))
    with pytest.raises(DataError) as caught:
        read_examples(source(), track=GENERATION, root=tmp_path)
    told = str(caught.value)
    assert "4 faults" in told
    assert "line 2: Invalid JSON: EOF while parsing a string at column 15" in told
    assert "line 3: output: Field required" in told
    assert "line 5: track: Value error, unknown track 'generation/cobol'" in told
    assert "line 6: byte 12 (0xe9) is not UTF-8" in told


def test_no_more_than_a_screenful_of_faults_is_shown(tmp_path: Path) -> None:
    kinds = ["z" * (n + 1) for n in range(MAX_FAULTS + 30)]
    lines = [EXAMPLES[0].model_dump_json()[:-1] + f',"{kind}":1}}\n' for kind in kinds]
    (tmp_path / "data.jsonl").write_text("".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_examples(source(), track=GENERATION, root=tmp_path)
    assert f"line {MAX_FAULTS}:" in str(caught.value)
    assert f"line {MAX_FAULTS + 1}:" not in str(caught.value)
    assert "and 30 more" in str(caught.value)


def test_faults_that_are_alike_are_folded_with_their_count(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("{\n" * 50 + "[]\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_examples(source(), track=GENERATION, root=tmp_path)
    told = str(caught.value)
    assert "51 faults" in told and "line 3: Invalid JSON" in told and "line 4: Invalid JSON" not in told
    assert "and 47 more like these: line 4, line 5, line 6, ..." in told
    assert "line 51: Input should be an object" in told


def test_a_file_of_problems_is_not_taken_for_examples(tmp_path: Path) -> None:
    problem = Problem(id="p", track="generation/python", dataset="own", input="i", reference="r")
    (tmp_path / "data.jsonl").write_text(lines_of(problem), encoding="utf-8")
    with pytest.raises(DataError, match="each line must be one Example as JSON"):
        read_examples(source(), track=GENERATION, root=tmp_path)


def test_a_track_that_the_file_does_not_hold_is_refused_with_those_it_holds(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(lines_of(*EXAMPLES), encoding="utf-8")
    with pytest.raises(DataError, match="it holds: generation/python, summarization/java"):
        read_examples(source(), track=Track.parse("translation/java-csharp"), root=tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("\n\n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no record of generation/python"):
        read_examples(source(), track=GENERATION, root=tmp_path)


def test_a_gzip_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl.gz").write_bytes(gzip.compress(lines_of(*EXAMPLES).encode())[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        read_examples(source("data.jsonl.gz"), track=GENERATION, root=tmp_path)


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    (tmp_path / "code.txt").write_bytes("a\x0cb\u2028c\u0085d\r\ne\n".encode())
    assert read_lines(tmp_path / "code.txt") == ("a\x0cb\u2028c\u0085d", "e")
