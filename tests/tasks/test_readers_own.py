"""Anybody's rows: which files and columns they are read from, what they become, and what is refused."""

import gzip
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]
import pytest

from tasks.readers import Columns, DataError, Source, digest, read_examples, read_first, read_problems
from tasks.readers.source import written_out
from tasks.records import CallTests, CodeTests, Problem, Track

GENERATION = "generation/python"
PAIR = {"prompt": "say one", "completion": "print(1)"}


def write(path: Path, *rows: Mapping[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def examples(folder: Path, path: str, *, track: str = GENERATION, **fields: Any) -> list[tuple[str, str]]:
    source = Source.model_validate({"reader": "own", "path": path, **fields})
    return [(e.input, e.output) for e in read_examples(source, track=Track.parse(track), root=folder)]


def problems(folder: Path, *rows: Mapping[str, object], track: str = GENERATION, **fields: Any) -> tuple[Problem, ...]:
    write(folder / "p.jsonl", *rows)
    source = Source.model_validate({"reader": "own", "path": "p.jsonl", "split": "test", **fields})
    return read_problems(source, track=Track.parse(track), root=folder)


def refusal(folder: Path, *rows: Mapping[str, object], training: bool = True, **fields: Any) -> str:
    with pytest.raises(DataError) as caught:
        if training:
            write(folder / "p.jsonl", *rows)
            examples(folder, "p.jsonl", **fields)
        else:
            problems(folder, *rows, **fields)
    return str(caught.value)


@pytest.mark.parametrize(
    ("row", "track", "read"),
    [
        ({"prompt": "p", "completion": "c", "text": "pc"}, GENERATION, ("p", "c")),
        ({"Input": "p", "Output": "c"}, GENERATION, ("p", "c")),
        ({"instruction": "p", "response": "c"}, GENERATION, ("p", "c")),
        ({"instruction": "Add.", "input": "1 and 2", "output": "3"}, GENERATION, ("Add.\n\n1 and 2", "3")),
        ({"instruction": "Add.", "input": "", "output": "3"}, GENERATION, ("Add.", "3")),
        ({"nl": "p", "code": "c"}, GENERATION, ("p", "c")),
        ({"text": "p", "code": "c"}, GENERATION, ("p", "c")),
        ({"question": "p", "answer": "c"}, GENERATION, ("p", "c")),
        ({"code": "c", "docstring": "d"}, "summarization/python", ("c", "d")),
        ({"java": "j", "cs": "s"}, "translation/java-csharp", ("j", "s")),
        ({"java": "j", "cs": "s"}, "translation/csharp-java", ("s", "j")),
        ({"source": "j", "target": "s"}, "translation/java-csharp", ("j", "s")),
        ({"prompt": "p\r\nq", "completion": "c\r\n"}, GENERATION, ("p\nq", "c\n")),
        (
            {"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}]},
            GENERATION,
            ("p", "c"),
        ),
        (
            {
                "conversations": [
                    {"from": "system", "value": "Be brief."},
                    {"from": "human", "value": "p"},
                    {"from": "gpt", "value": "c"},
                ]
            },
            GENERATION,
            ("Be brief.\n\np", "c"),
        ),
    ],
)
def test_usual_columns_are_recognised(
    tmp_path: Path, row: dict[str, object], track: str, read: tuple[str, str]
) -> None:
    write(tmp_path / "my.jsonl", row)
    assert examples(tmp_path, "my.jsonl", track=track) == [read]


def test_columns_of_other_names_are_named_and_may_lie_in_objects(tmp_path: Path) -> None:
    write(tmp_path / "my.jsonl", {"ask": "p", "meta": {"code": "c"}, "prompt": "other"})
    columns = Columns(input="ask", output="meta.code")
    assert examples(tmp_path, "my.jsonl", columns=columns.model_dump()) == [("p", "c")]
    with pytest.raises(
        DataError, match=r"column aks: not in .*my.jsonl; did you mean ask\? its columns are: ask, meta"
    ):
        examples(tmp_path, "my.jsonl", columns={"input": "aks"})


def test_two_columns_that_could_both_be_meant_are_asked_about(tmp_path: Path) -> None:
    told = refusal(tmp_path, {"prompt": "p", "input": "i", "completion": "c"})
    assert "columns prompt and input: each could be the input; set columns: {input: prompt}" in told
    told = refusal(tmp_path, {"promt": "p", "completion": "c"})
    assert "no column has a usual name for what the model reads; its columns are: promt, completion" in told


def test_rows_that_lack_something_are_named_and_folded(tmp_path: Path) -> None:
    rows = [PAIR, {"prompt": "p"}, {"prompt": "p", "completion": 7}, *({"prompt": "", "completion": "c"},) * 40]
    told = refusal(tmp_path, *rows)
    assert "42 faults" in told
    assert "line 2: output (column 'completion') is empty" in told
    assert "line 3: output (column 'completion') is of type int, not text" in told
    assert "line 6: input (column 'prompt') is empty\n  and 37 more like these: line 7, line 8, line 9, ..." in told
    assert "what was read: reads prompt, writes completion" in told


def test_a_missing_number_is_a_missing_text(tmp_path: Path) -> None:
    (tmp_path / "my.jsonl").write_text('{"prompt": "p", "completion": NaN}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"line 1: output \(column 'completion'\) is empty"):
        examples(tmp_path, "my.jsonl")


def test_half_a_character_is_refused_before_a_tokenizer_sees_it(tmp_path: Path) -> None:
    (tmp_path / "my.jsonl").write_text('{"prompt": "\\ud83d", "completion": "c"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 1: column 'prompt' holds half of a character"):
        examples(tmp_path, "my.jsonl")


def test_a_conversation_of_several_questions_is_refused(tmp_path: Path) -> None:
    turns = [{"role": who, "content": "x"} for who in ("user", "assistant", "user", "assistant")]
    assert "one question and one answer, this one is: user, assistant, user, assistant" in refusal(
        tmp_path, {"messages": turns}
    )


def test_ids_are_the_file_s_own_whatever_number_they_are(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"id": pa.array([1.0, 2.0]), "prompt": ["p", "q"], "completion": ["c", "d"]}), tmp_path / "my.parquet"
    )
    source = Source(reader="own", path="my.parquet")
    read = read_examples(source, track=Track.parse(GENERATION), root=tmp_path)
    assert [example.id for example in read] == ["my/1", "my/2"]
    told = refusal(tmp_path, {"id": 1, **PAIR}, {"id": "1", **PAIR}, {"id": None, **PAIR}, {"id": True, **PAIR})
    assert "line 2: id 'p/1' is already that of line 1" in told
    assert "line 3: id (column 'id') is absent" in told
    assert "line 4: id (column 'id') is of type bool" in told


def test_a_file_of_several_tracks_is_read_by_its_column(tmp_path: Path) -> None:
    rows = [{**PAIR, "track": track} for track in (GENERATION, "summarization/java", GENERATION)]
    write(tmp_path / "my.jsonl", *rows)
    assert len(examples(tmp_path, "my.jsonl")) == 2
    assert len(examples(tmp_path, "my.jsonl", track="summarization/java")) == 1


def test_a_folder_is_read_by_the_names_of_its_files(tmp_path: Path) -> None:
    write(tmp_path / "d" / "my-train-00000-of-00002.jsonl", {**PAIR, "prompt": "0"})
    write(tmp_path / "d" / "my-train-00001-of-00002.jsonl.gz", {**PAIR, "prompt": "1"})
    write(tmp_path / "d" / "dev" / "a.jsonl", {**PAIR, "prompt": "2"})
    write(tmp_path / "d" / ".hidden" / "train.jsonl", {**PAIR, "prompt": "no"})
    write(tmp_path / "d" / "_SUCCESS.json")
    (tmp_path / "d" / "README.md").write_text("train\n", encoding="utf-8")
    assert [read for read, _ in examples(tmp_path, "d")] == ["0", "1"]
    assert [read for read, _ in examples(tmp_path, "d", split="validation")] == ["2"]
    with pytest.raises(DataError, match=r"it has: train \(my-train-00000-of-00002.jsonl\), validation"):
        examples(tmp_path, "d", split="test")


def test_a_folder_that_tells_no_splits_apart_is_one(tmp_path: Path) -> None:
    write(tmp_path / "d" / "part-1.jsonl", PAIR)
    write(tmp_path / "d" / "part-0.jsonl", PAIR)
    assert len(examples(tmp_path, "d", split="test")) == 2
    (tmp_path / "d" / "part-1.csv").write_text("prompt,completion\np,c\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"different kinds \(part-0.jsonl, part-1.csv, part-1.jsonl\)"):
        examples(tmp_path, "d")


def test_linked_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    write(tmp_path / "real" / "train.jsonl", PAIR)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(tmp_path / "d")
    assert len(examples(tmp_path, "d")) == 1
    before = digest(Source(reader="own", path="d"), root=tmp_path)
    write(tmp_path / "real" / "train.jsonl", PAIR, PAIR)
    assert digest(Source(reader="own", path="d"), root=tmp_path) != before


def test_shards_may_name_their_columns_differently(tmp_path: Path) -> None:
    write(tmp_path / "d" / "train-0.jsonl", PAIR)
    write(tmp_path / "d" / "train-1.jsonl", {"instruction": "say two", "output": "print(2)"})
    assert examples(tmp_path, "d") == [("say one", "print(1)"), ("say two", "print(2)")]
    write(tmp_path / "d" / "train-2.jsonl", {"a": "x", "b": "y"})
    with pytest.raises(DataError, match=r"train-2.jsonl: no column has a usual name"):
        examples(tmp_path, "d")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "d" / "train-0.jsonl", PAIR)
    write(tmp_path / "d" / "train-1.jsonl")
    with pytest.raises(DataError, match=r"train-1.jsonl: holds no row"):
        examples(tmp_path, "d")


def test_a_saved_data_set_is_read_by_split(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([{**PAIR, "prompt": str(n)} for n in range(5)])
    rows.select([3, 1]).save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict(train=rows, test=rows.select([4])).save_to_disk(str(tmp_path / "several"))
    rows.save_to_disk(str(tmp_path / "shards"), num_shards=3)
    assert [read for read, _ in examples(tmp_path, "one", split="test")] == ["3", "1"]
    assert [read for read, _ in examples(tmp_path, "several", split="test")] == ["4"]
    assert [read for read, _ in examples(tmp_path, "shards")] == ["0", "1", "2", "3", "4"]
    with pytest.raises(DataError, match="split validation: it has: train, test"):
        examples(tmp_path, "several", split="validation")
    (tmp_path / "shards" / "data-00001-of-00003.arrow").unlink()
    with pytest.raises(DataError, match=r"names data-00001-of-00003.arrow, which is not there"):
        examples(tmp_path, "shards")


def test_a_digest_covers_exactly_the_files_that_are_read(tmp_path: Path) -> None:
    write(tmp_path / "d" / "train.jsonl", PAIR)
    write(tmp_path / "d" / "test.jsonl", PAIR)

    def digests(path: str = "d") -> list[str | None]:
        return [digest(Source(reader="own", path=path, split=s), root=tmp_path) for s in ("train", "test")]

    train, test = digests()
    write(tmp_path / "d" / "test.jsonl", PAIR, PAIR)
    (tmp_path / "d" / "notes.txt").write_text("x", encoding="utf-8")
    assert digests()[0] == train and digests()[1] != test
    shutil.copytree(tmp_path / "d", tmp_path / "elsewhere" / "d")
    assert digests("elsewhere/d") == digests()


HEAD = 'def add(a, b):\n    """Add."""\n'
WHOLE = "def add(a, b):\n    return a + b\n"
CASES = [{"arguments": [1, 2], "expected": 3}, {"args": [0, 0], "output": 0}]


@pytest.mark.parametrize("cell", [CASES, json.dumps(CASES), repr(CASES), {"cases": CASES}])
def test_tests_may_be_calls_in_any_wording(tmp_path: Path, cell: object) -> None:
    (problem,) = problems(tmp_path, {"prompt": "Add.", "entry_point": "add", "tests": cell, "reference": WHOLE})
    assert isinstance(problem.tests, CallTests)
    assert [(p.name, p.type) for p in problem.tests.parameters] == [("a1", "int"), ("a2", "int")]
    assert [(case.arguments, case.expected) for case in problem.tests.cases] == [((1, 2), 3), ((0, 0), 0)]


def test_types_of_calls_are_those_of_all_their_values(tmp_path: Path) -> None:
    cases = [{"args": [[], 1, "a"], "expected": [0.5]}, {"args": [["x"], 0.5, "b"], "expected": []}]
    (problem,) = problems(tmp_path, {"prompt": "p", "entry_point": "f", "tests": cases})
    assert isinstance(problem.tests, CallTests)
    assert [p.type for p in problem.tests.parameters] == ["list[str]", "float", "str"]
    assert problem.tests.returns == "list[float]"


def test_tests_in_the_project_s_own_form_are_read(tmp_path: Path) -> None:
    own = CallTests.model_validate(
        {"entry_point": "f", "parameters": ({"name": "n", "type": "int"},), "returns": "int", "cases": tuple(
            [{"arguments": (1,), "expected": 2}])}
    )  # fmt: skip
    (problem,) = problems(tmp_path, {"prompt": "p", "tests": own.model_dump(mode="json")})
    assert problem.tests == own


@pytest.mark.parametrize(
    ("cell", "entry_point", "code"),
    [
        ("assert add(1, 2) == 3", None, "assert add(1, 2) == 3\n"),
        (["assert add(1, 2) == 3", "assert add(0, 0) == 0"], "add", "assert add(1, 2) == 3\nassert add(0, 0) == 0\n"),
        ("['assert add(1, 2) == 3']", "add", "assert add(1, 2) == 3\n"),
        (
            "def check(candidate):\n    assert candidate(1, 2) == 3\n\ncheck(add)",
            "add",
            "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        ),
    ],
)
def test_tests_may_be_python(tmp_path: Path, cell: object, entry_point: str | None, code: str) -> None:
    (problem,) = problems(tmp_path, {"prompt": "Add.", "entry_point": entry_point, "test": cell})
    assert isinstance(problem.tests, CodeTests)
    assert (problem.tests.code, problem.tests.entry_point) == (code, "add" if "check" in code else None)
    assert problem.reference == ""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"tests": "assert add(1, 2 == 3"},
            "tests are neither calls in JSON nor Python: '(' was never closed in line 1",
        ),
        ({"tests": '[{"arguments": [1], "expected": 2}'}, "tests are neither calls in JSON nor Python"),
        ({"tests": CASES, "entry_point": ""}, "tests are calls and no column names the function"),
        ({"tests": "def check(candidate):\n    pass", "entry_point": None}, "no column names the function"),
        ({"tests": []}, "tests (column 'tests') is empty"),
        ({"tests": 7}, "tests are of type int"),
        ({"tests": [{"arguments": 1, "expected": 2}]}, 'call 1 needs "arguments", a list, and "expected"'),
        ({"tests": [{"arguments": [{}], "expected": 2}]}, "argument 1 is none of int, float"),
        ({"tests": [{"arguments": [1], "expected": 2}, {"arguments": [], "expected": 2}]}, "different numbers of"),
        ({"tests": {"kind": "calls", "entry_point": "add"}}, "tests: calls.parameters: Field required"),
    ],
)
def test_tests_that_cannot_run_are_refused(tmp_path: Path, fields: dict[str, object], said: str) -> None:
    row = {"prompt": "Add.", "entry_point": "add", **fields}
    assert f"line 1: {said}" in refusal(tmp_path, row, training=False) or said in refusal(tmp_path, row, training=False)


def test_an_answer_goes_on_from_a_prompt_that_is_the_head_of_a_function(tmp_path: Path) -> None:
    row = {"prompt": HEAD, "canonical_solution": "    return a + b\n", "test": "assert add(1, 2) == 3"}
    (problem,) = problems(tmp_path, {**row, "entry_point": "add"})
    assert (problem.preamble, problem.reference) == (HEAD, HEAD + "    return a + b\n")
    (problem,) = problems(tmp_path, {**row, "entry_point": "add", "canonical_solution": WHOLE})
    assert (problem.preamble, problem.reference) == (HEAD, WHOLE)
    (problem,) = problems(tmp_path, {**row, "entry_point": "other"})
    assert problem.preamble == ""


def test_a_preamble_may_be_the_column_that_is_read(tmp_path: Path) -> None:
    head = "class Adding {\n    public static int add(int a, int b) {\n"
    row = {"prompt": head, "solution": "        return a + b;\n    }\n}\n", "test": "assert Adding.add(1, 2) == 3;"}
    (problem,) = problems(tmp_path, row, track="generation/java", columns={"preamble": "prompt"})
    assert (problem.preamble, problem.reference) == (head, head + row["solution"])
    assert isinstance(problem.tests, CodeTests) and "class Main" in problem.tests.code


def test_what_is_neither_tested_nor_answered_is_refused(tmp_path: Path) -> None:
    assert "no column has a usual name for what it should write" in refusal(tmp_path, {"prompt": "p"}, training=False)
    row = {"code": "c", "summary": "s", "tests": "assert True"}
    assert "judge code, and summarization/python writes none" in refusal(
        tmp_path, row, training=False, track="summarization/python"
    )


def test_a_look_at_the_first_rows_says_the_columns_and_refuses_what_a_run_would(tmp_path: Path) -> None:
    write(tmp_path / "my.jsonl", *[PAIR] * 60, {"prompt": "p"})
    track = Track.parse(GENERATION)
    seen = read_first(Source(reader="own", path="my.jsonl"), track=track, root=tmp_path, training=True)
    assert seen is not None and (seen.count, seen.columns) == (50, "reads prompt, writes completion")
    write(tmp_path / "my.jsonl", {"prompt": "p"}, PAIR)
    for source in (Source(reader="own", path="my.jsonl"), Source(reader="jsonl", path="my.jsonl")):
        with pytest.raises(DataError, match="line 1: "):
            read_first(source, track=track, root=tmp_path, training=True)
    assert read_first(Source(reader="micro"), track=track, root=tmp_path, training=True) is None


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("micro", {"reader": "micro"}),
        ("my.jsonl", {"reader": "own", "path": "my.jsonl"}),
        ("My.CSV.gz", {"reader": "own", "path": "My.CSV.gz"}),
        ("data/my", {"reader": "own", "path": "data/my"}),
        ("~/my.parquet", {"reader": "own", "path": "~/my.parquet"}),
        ("folder", {"reader": "own", "path": "folder"}),
        ("mbbp", {"reader": "mbbp"}),
        ("hub:owner/name", {"reader": "own", "repository": "owner/name"}),
        (f"hub:owner/name@{'a' * 40}", {"reader": "own", "repository": "owner/name", "revision": "a" * 40}),
        ({"path": "my.csv", "limit": 3}, {"reader": "own", "path": "my.csv", "limit": 3}),
        ({"path": "hub:owner/name", "limit": 3}, {"reader": "own", "repository": "owner/name", "limit": 3}),
        ({"reader": "mbpp", "path": "x"}, {"reader": "mbpp", "path": "x"}),
        ({"limit": 3}, {"limit": 3}),
        (7, 7),
    ],
)
def test_a_short_form_is_written_out(tmp_path: Path, short: object, long: object) -> None:
    (tmp_path / "folder").mkdir()
    assert written_out(short, root=str(tmp_path)) == long


def test_a_path_may_name_the_home_folder_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "my.jsonl", PAIR)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MY_DATA", str(tmp_path))
    assert examples(Path("elsewhere"), "~/my.jsonl") == examples(Path("elsewhere"), "$MY_DATA/my.jsonl")


def test_a_file_that_is_not_there_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", PAIR)
    with pytest.raises(DataError, match=r"trian.jsonl: no such file or folder; did you mean train.jsonl\?") as told:
        examples(tmp_path, "trian.jsonl")
    assert str(told.value).startswith(str(tmp_path)) and f"it starts from data.root, {tmp_path}" in str(told.value)


def test_a_gzipped_file_is_found_by_its_plain_name(tmp_path: Path) -> None:
    write(tmp_path / "my.jsonl.gz", PAIR)
    assert len(examples(tmp_path, "my.jsonl")) == 1
    assert digest(Source(reader="own", path="my.jsonl"), root=tmp_path)


def test_two_shards_may_not_name_one_id(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / "d" / f"train-{number}.jsonl", {"id": 7, **PAIR})
    with pytest.raises(DataError, match="id 'd/7': 1 ids occur twice"):
        examples(tmp_path, "d")
