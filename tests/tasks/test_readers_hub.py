"""The hub reader on local folders, read by `datasets` itself, without a network."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]
import pytest

from tasks.readers import Columns, DataError, Source, digest, read_examples, read_problems
from tasks.records import Example, Track, neutral_fields

datasets = pytest.importorskip("datasets")

TRANSLATION = Track.parse("translation/java-csharp")
PAIRS = Columns(input="java", output="cs")


@pytest.fixture(autouse=True)
def _offline_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library reads its settings once, at import, which another test may have caused already.
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def pairs(count: int) -> list[dict[str, object]]:
    return [{"id": 100 + n, "java": f"int f{n}(){{}}", "cs": f"int F{n}(){{}}"} for n in range(count)]


def test_a_folder_of_parquet_is_read_by_split_and_column(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    for split, count in (("train", 5), ("test", 2)):
        pq.write_table(pa.Table.from_pylist(pairs(count)), tmp_path / "pairs" / f"{split}.parquet")
    source = Source(reader="hub", path="pairs", columns=PAIRS)
    examples = read_examples(source, track=TRANSLATION, root=tmp_path)
    assert len(examples) == 5
    assert examples[3] == Example(
        id="pairs/translation/java-csharp/train/3",
        track="translation/java-csharp",
        input="int f3(){}",
        output="int F3(){}",
    )
    problems = read_problems(
        Source(reader="hub", path="pairs", split="test", columns=PAIRS), track=TRANSLATION, root=tmp_path
    )
    assert [(problem.dataset, problem.reference) for problem in problems] == [
        ("pairs", "int F0(){}"),
        ("pairs", "int F1(){}"),
    ]


def test_a_limit_takes_rows_by_the_hash_of_their_ids(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs" / "train.jsonl", pairs(40))
    columns = Columns(input="java", output="cs", id="id")
    few, more = (
        read_examples(
            Source(reader="hub", path="pairs", columns=columns, limit=limit), track=TRANSLATION, root=tmp_path
        )
        for limit in (4, 9)
    )
    assert few == more[:4]
    number = few[0].id.removeprefix("pairs/translation/java-csharp/train/")
    assert few[0].output == f"int F{int(number) - 100}(){{}}"


def test_a_changed_folder_is_read_again_and_known_by_its_digest(tmp_path: Path) -> None:
    source = Source(reader="hub", path="pairs", columns=PAIRS)
    write_rows(tmp_path / "pairs" / "train.jsonl", pairs(3))
    before = digest(source, root=tmp_path)
    assert len(read_examples(source, track=TRANSLATION, root=tmp_path)) == 3
    write_rows(tmp_path / "pairs" / "train.jsonl", pairs(4))
    assert len(read_examples(source, track=TRANSLATION, root=tmp_path)) == 4
    assert before is not None and digest(source, root=tmp_path) != before


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs" / "train.jsonl", pairs(1))
    source = Source(reader="hub", path="pairs", columns=Columns(input="java", output="csharp"))
    with pytest.raises(DataError, match=r"column csharp: not in .*; its columns are: id, java, cs"):
        read_examples(source, track=TRANSLATION, root=tmp_path)


def test_rows_without_text_are_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs" / "train.jsonl", [*pairs(1), {"id": 7, "java": "int f(){}", "cs": None}])
    with pytest.raises(DataError, match="train/1: cs is NoneType, not text"):
        read_examples(Source(reader="hub", path="pairs", columns=PAIRS), track=TRANSLATION, root=tmp_path)


def test_a_split_or_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs" / "train.jsonl", pairs(1))
    with pytest.raises(DataError, match='Unknown split "dev"'):
        read_examples(Source(reader="hub", path="pairs", split="dev", columns=PAIRS), track=TRANSLATION, root=tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_examples(Source(reader="hub", path="other", columns=PAIRS), track=TRANSLATION, root=tmp_path)


def code_to_text(folder: Path) -> Source:
    row = {
        "language": "python",
        "code": 'def f(x):\n    """Double it.\n\n    Slowly.\n    """\n    return 2 * x',
        "docstring": "Double it.\n\nSlowly.",
    }
    write_rows(folder / "code" / "train.jsonl", [row])
    return Source(reader="hub", path="code", preset="codexglue-code-to-text")


def test_the_code_to_text_preset_hides_the_docstring_from_the_input(tmp_path: Path) -> None:
    source = code_to_text(tmp_path)
    (example,) = read_examples(source, track=Track.parse("summarization/python"), root=tmp_path)
    assert (example.input, example.output) == ("def f(x):\n    return 2 * x", "Double it.")


def test_the_code_to_text_preset_backwards_is_summary_and_signature_to_code(tmp_path: Path) -> None:
    source = code_to_text(tmp_path)
    (example,) = read_examples(source, track=Track.parse("generation/python"), root=tmp_path)
    assert (example.input, example.output) == ("Double it.\n\ndef f(x):", "def f(x):\n    return 2 * x")


def test_the_code_to_text_preset_refuses_other_languages_and_tracks(tmp_path: Path) -> None:
    source = code_to_text(tmp_path)
    with pytest.raises(DataError, match=r"train/0: python\n.*needs rows in java"):
        read_examples(source, track=Track.parse("summarization/java"), root=tmp_path)
    with pytest.raises(DataError, match="it serves: generation/python, generation/java"):
        read_examples(source, track=TRANSLATION, root=tmp_path)


def test_a_cached_copy_of_another_commit_is_not_taken_for_the_pinned_one(tmp_path: Path) -> None:
    # Offline, `datasets` falls back on whatever it fetched last; its cache is laid out as it lays it out.
    write_rows(tmp_path / "pairs" / "train.jsonl", pairs(3))
    read_examples(Source(reader="hub", path="pairs", columns=PAIRS), track=TRANSLATION, root=tmp_path)
    (split,) = (tmp_path / "cache").rglob("pairs-train.arrow")
    fetched, wanted = "a" * 40, "b" * 40
    shutil.copytree(split.parent, tmp_path / "cache" / "owner___pairs" / "default" / "0.0.0" / fetched)

    def pinned(commit: str) -> Source:
        return Source(reader="hub", repository="owner/pairs", revision=commit, columns=PAIRS)

    assert len(read_examples(pinned(fetched), track=TRANSLATION, root=tmp_path)) == 3
    with pytest.raises(DataError, match=f"the copy that was fetched before is {fetched}"):
        read_examples(pinned(wanted), track=TRANSLATION, root=tmp_path)


def test_a_hub_data_set_is_read_by_its_usual_columns(tmp_path: Path) -> None:
    # Offline, from a copy that is laid out as one that was fetched.
    write_rows(tmp_path / "pairs" / "train.jsonl", pairs(3))
    read_examples(Source(reader="hub", path="pairs", columns=PAIRS), track=TRANSLATION, root=tmp_path)
    (split,) = (tmp_path / "cache").rglob("pairs-train.arrow")
    commit = "a" * 40
    shutil.copytree(split.parent, tmp_path / "cache" / "owner___pairs" / "default" / "0.0.0" / commit)
    source = Source(reader="own", repository="owner/pairs", revision=commit)
    read = read_examples(source, track=TRANSLATION, root=tmp_path)
    assert read[0] == Example(
        id="owner/pairs/100", track="translation/java-csharp", input="int f0(){}", output="int F0(){}"
    )
    found = digest(source, root=tmp_path)
    assert found is not None and f"owner/pairs@{commit}" in found
    assert digest(source.model_copy(update={"revision": None}), root=tmp_path) is None


@pytest.mark.parametrize("name", ["json", "csv", "parquet", "text"])
def test_a_folder_named_like_a_builder_is_read_and_nothing_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_rows(tmp_path / name / "train.jsonl", pairs(2))
    write_rows(tmp_path / "train.jsonl", pairs(3))
    write_rows(tmp_path / "other" / "train.jsonl", pairs(3))
    monkeypatch.chdir(tmp_path)
    read = read_examples(Source(reader="hub", path=name, columns=PAIRS), track=TRANSLATION, root=Path())
    assert [example.input for example in read] == ["int f0(){}", "int f1(){}"]


def test_a_repository_that_a_folder_or_a_builder_would_stand_in_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "owner" / "train.jsonl", pairs(1))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"also a folder here.*set path: \./owner"):
        read_examples(Source(reader="hub", repository="owner", columns=PAIRS), track=TRANSLATION, root=tmp_path)
    with pytest.raises(DataError, match="is a file form of `datasets`"):
        read_examples(Source(reader="own", repository="json"), track=TRANSLATION, root=tmp_path)


def test_saved_data_sets_and_single_files_are_read_and_identified(tmp_path: Path) -> None:
    datasets.Dataset.from_list(pairs(3)).save_to_disk(str(tmp_path / "disk"))
    write_rows(tmp_path / "pairs.jsonl", pairs(3))
    (tmp_path / "pairs.csv").write_text("id,java,cs\n100,int f0(){},int F0(){}\n", encoding="utf-8")
    for path, count in (("disk", 3), ("pairs.jsonl", 3), ("pairs.csv", 1)):
        source = Source(reader="hub", path=path, columns=PAIRS.model_copy(update={"id": "id"}))
        read = read_examples(source, track=TRANSLATION, root=tmp_path)
        assert len(read) == count and read[0].id == f"{path}/translation/java-csharp/train/100"
        before = digest(source, root=tmp_path)
        (tmp_path / "disk" / "dataset_info.json").write_text("{}", encoding="utf-8")
        assert digest(source, root=tmp_path) == before


def test_a_broken_row_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "train.csv").write_text("java,cs\na,b\na,b,c\n", encoding="utf-8")
    source = Source(reader="hub", path="pairs", columns=PAIRS)
    with pytest.raises(DataError, match=r"train.csv: 1 fault\n  line 3: 3 cells where the header has 2"):
        read_examples(source, track=TRANSLATION, root=tmp_path)
    (tmp_path / "pairs" / "train.csv").unlink()
    (tmp_path / "pairs" / "train-1.jsonl").write_text('{"java": "a", "cs": "b"}\n', encoding="utf-8")
    (tmp_path / "pairs" / "train-2.jsonl").write_text('{"java": "a", "cs": "b"}\n{"java": \n', encoding="utf-8")
    with pytest.raises(DataError, match=r"train-2.jsonl: 1 fault\n  line 2: not JSON"):
        read_examples(source, track=TRANSLATION, root=tmp_path)


def test_a_folder_that_datasets_finds_nothing_in_names_the_way_that_reads_it(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs[1]" / "train.jsonl", pairs(2))
    with pytest.raises(DataError, match="leave out reader: hub, and the files are read without it"):
        read_examples(Source(reader="hub", path="pairs[1]", columns=PAIRS), track=TRANSLATION, root=tmp_path)
    assert len(read_examples(Source(reader="own", path="pairs[1]"), track=TRANSLATION, root=tmp_path)) == 2


# What these identities were before local files could be read in other ways: finished work goes by them.
HUB_FOLDER = "hub-v1 sha256=796bd66ff6b4b14029b5d96376a01c7cfb27577e1098dfbeb4d861f4c4ef8360"


def test_identities_and_wordings_of_sources_stay_what_they_were(tmp_path: Path) -> None:
    (tmp_path / "pairs" / "sub").mkdir(parents=True)
    (tmp_path / "pairs" / "train.jsonl").write_text('{"java": "a", "cs": "b"}\n', encoding="utf-8")
    (tmp_path / "pairs" / "sub" / "notes.md").write_text("Notes.\n", encoding="utf-8")
    source = Source(reader="hub", path="pairs", columns=PAIRS)
    assert digest(source, root=tmp_path) == (
        HUB_FOLDER + ' {"columns": {"input": "java", "output": "cs"}, "split": "train"}'
    )
    assert source.model_dump_json(exclude=neutral_fields(source)) == (
        '{"reader":"hub","path":"pairs","repository":null,"revision":null,"configuration":null,"split":"train",'
        '"limit":null,"columns":{"input":"java","output":"cs","id":null},"preset":null}'
    )
