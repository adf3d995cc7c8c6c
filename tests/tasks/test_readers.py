"""What holds for every reader: how sources are checked, what is refused, limits, and identity."""

import json
import pickle
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.readers import READER_VERSIONS, READERS, DataError, ReaderName, Source, digest, read_examples, read_problems
from tasks.records import Track

GENERATION = Track.parse("generation/python")
SUMMARIZATION = Track.parse("summarization/python")


def write_examples(path: Path, count: int, *, reverse: bool = False) -> None:
    lines = [
        json.dumps({"id": f"item/{n}", "track": "generation/python", "input": f"say {n}", "output": f"print({n})"})
        for n in range(count)
    ]
    path.write_text("\n".join(reversed(lines) if reverse else lines) + "\n", encoding="utf-8")


def test_every_reader_name_of_a_source_has_a_reader_and_a_version() -> None:
    assert set(READERS) == set(typing.get_args(ReaderName)) == set(READER_VERSIONS)
    assert all(version >= 1 for version in READER_VERSIONS.values())


def test_importing_readers_loads_no_hub_library() -> None:
    program = "import sys, tasks.readers; print(sorted({'datasets', 'pandas', 'torch'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reader": "mpbb", "path": "x"}, "Input should be 'micro'"),
        ({"reader": "mbpp"}, "reader mbpp reads local files"),
        ({"reader": "micro", "path": "x"}, "leave path out"),
        ({"reader": "mbpp", "path": "x", "repository": "a/b"}, "set reader: hub"),
        ({"reader": "hub", "preset": "codexglue-code-to-text"}, "reads exactly one of them"),
        ({"reader": "hub", "path": "x", "repository": "a/b", "preset": "codexglue-code-to-text"}, "exactly one"),
        ({"reader": "hub", "repository": "a/b"}, "columns: {input: COLUMN, output: COLUMN}"),
        ({"reader": "hub", "path": "x", "revision": "0" * 40, "preset": "codexglue-code-to-text"}, "no revision"),
        ({"reader": "mbpp", "path": "x", "limit": 0}, "greater than or equal to 1"),
        ({"reader": "mbpp", "path": "x", "folder": "y"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_source_is_refused_before_anything_is_read(fields: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Source.model_validate(fields)
    assert said in str(caught.value)


def test_an_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(DataError("limit 0", "must be at least 1", "leave it out")))
    assert str(error) == "limit 0: must be at least 1; leave it out"
    assert error.remedy == "leave it out"


def test_a_missing_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_problems(Source(reader="mbpp", path="nowhere", split="test"), track=GENERATION, root=tmp_path)
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert "data root" in caught.value.remedy


def test_a_track_that_a_reader_cannot_serve_is_refused_with_those_it_can(tmp_path: Path) -> None:
    source = Source(reader="mbpp", path="mbpp", split="test")
    with pytest.raises(DataError, match="it serves: generation/python, summarization/python"):
        read_problems(source, track=Track.parse("generation/java"), root=tmp_path)


def test_an_unknown_split_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    source = Source(reader="mbpp", path="mbpp", split="valid")
    with pytest.raises(DataError, match=r"did you mean validation\?"):
        read_examples(source, track=GENERATION, root=tmp_path)
    with pytest.raises(DataError, match="no such split"):
        digest(source, root=tmp_path)


@pytest.mark.parametrize("reader", ["humaneval", "humanevalpack"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_programs_that_two_test_sets_share_are_never_examples(reader: ReaderName, split: str) -> None:
    with pytest.raises(DataError, match="HumanEval and HumanEvalPack hold the same 164 programs"):
        read_examples(Source(reader=reader, path="x", split=split), track=GENERATION, root=Path())


def test_a_test_split_is_refused_as_training_data() -> None:
    with pytest.raises(DataError, match="train on split prompt or validation or train"):
        read_examples(Source(reader="mbpp", path="x", split="test"), track=GENERATION, root=Path())


def test_a_limit_keeps_the_same_records_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    write_examples(tmp_path / "forwards.jsonl", 50)
    write_examples(tmp_path / "backwards.jsonl", 50, reverse=True)
    kept = [
        read_examples(Source(reader="jsonl", path=f"{name}.jsonl", limit=7), track=GENERATION, root=tmp_path)
        for name in ("forwards", "backwards")
    ]
    assert kept[0] == kept[1]
    assert len({example.id for example in kept[0]}) == 7


def test_a_smaller_limit_is_a_part_of_a_larger_one(tmp_path: Path) -> None:
    write_examples(tmp_path / "all.jsonl", 50)
    sizes = (5, 20, 500)
    small, large, whole = (
        read_examples(Source(reader="jsonl", path="all.jsonl", limit=limit), track=GENERATION, root=tmp_path)
        for limit in sizes
    )
    assert small == large[:5]
    assert large == whole[:20]
    assert len(whole) == 50


def test_without_a_limit_records_keep_the_order_of_the_file(tmp_path: Path) -> None:
    write_examples(tmp_path / "all.jsonl", 12)
    read = read_examples(Source(reader="jsonl", path="all.jsonl"), track=GENERATION, root=tmp_path)
    assert [example.id for example in read] == [f"item/{n}" for n in range(12)]


def test_ids_that_occur_twice_are_refused(tmp_path: Path) -> None:
    write_examples(tmp_path / "all.jsonl", 3)
    text = (tmp_path / "all.jsonl").read_text(encoding="utf-8")
    (tmp_path / "all.jsonl").write_text(text + text.splitlines()[1], encoding="utf-8")
    with pytest.raises(DataError, match="item/1"):
        read_examples(Source(reader="jsonl", path="all.jsonl"), track=GENERATION, root=tmp_path)


def test_a_digest_follows_the_bytes_and_not_the_place(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        write_examples(tmp_path / folder / "all.jsonl", 3)
    here, there = (
        digest(Source(reader="jsonl", path=f"{name}/all.jsonl"), root=tmp_path) for name in ("here", "there")
    )
    assert here == there
    write_examples(tmp_path / "there" / "all.jsonl", 4)
    assert digest(Source(reader="jsonl", path="there/all.jsonl"), root=tmp_path) != here


def test_a_digest_holds_the_readers_version_and_what_selects_records(tmp_path: Path) -> None:
    write_examples(tmp_path / "all.jsonl", 3)
    plain = digest(Source(reader="jsonl", path="all.jsonl"), root=tmp_path)
    limited = digest(Source(reader="jsonl", path="all.jsonl", limit=2), root=tmp_path)
    assert plain is not None and plain.startswith(f"jsonl-v{READER_VERSIONS['jsonl']} sha256=")
    assert limited is not None and limited != plain


def test_hub_data_is_identified_by_its_commit_alone() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    fields = {"reader": "hub", "repository": "owner/name", "preset": "codexglue-code-to-text", "configuration": "java"}
    pinned = digest(Source.model_validate({**fields, "revision": commit}), root=Path())
    assert pinned is not None and f"owner/name@{commit}" in pinned and '"java"' in pinned
    assert digest(Source.model_validate(fields), root=Path()) is None
    assert digest(Source.model_validate({**fields, "revision": "main"}), root=Path()) is None
