"""`polytune compare`: the right test for the column, pairs by id, every fault told."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from scipy.stats import binomtest, wilcoxon
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.errors import InputError

LEFT, RIGHT = [10.0, 20.0, 35.0, 40.0, 55.0, 61.0], [12.0, 18.0, 20.0, 21.0, 30.0, 31.0]


def table(path: Path, column: list[Any], *, ids: list[Any] | None = None, name: str = "bleu", key: str = "id") -> Path:
    names = ids or [f"p{index}" for index in range(len(column))]
    if path.suffix == ".parquet":
        parquet.write_table(pa.table({key: names, name: column}), path)
    else:
        rows = [f"{id_},{value}" for id_, value in zip(names, column, strict=True)]
        path.write_text("\n".join([f"{key},{name}", *rows]) + "\n", encoding="utf-8")
    return path


def compare(a: Path, b: Path, *options: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["compare", str(a), str(b), "--json", *options])
    assert done.exit_code == 0, (done.output, done.exception)
    return dict(json.loads(done.stdout))


def fault(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    assert isinstance(done.exception, InputError), done.output
    return str(done.exception)


def test_numbers_get_wilcoxon_paired_by_id_across_formats(tmp_path: Path) -> None:
    a = table(tmp_path / "A.csv", LEFT)
    b = table(tmp_path / "B.parquet", [*RIGHT[::-1], 5.0], ids=[f"p{i}" for i in reversed(range(6))] + ["other"])
    found = compare(a, b, "--metric", "bleu")
    figures = {"n", "dropped", "test", "statistic", "p_value", "effect", "effect_size", "ci", "paired_effect"}
    assert set(found) == figures
    assert (found["n"], found["dropped"], found["test"], found["effect"]) == (6, 1, "wilcoxon", "cliffs_delta")
    assert found["p_value"] == pytest.approx(wilcoxon(LEFT, RIGHT).pvalue)


@pytest.mark.parametrize("one", [1, 100, "true"])
def test_right_and_wrong_get_mcnemar(tmp_path: Path, one: Any) -> None:
    zero = "false" if one == "true" else 0
    a = table(tmp_path / "A.csv", [one, one, one, one, zero, one], name="exact_match", key="task_id")
    b = table(tmp_path / "B.csv", [zero, zero, zero, one, one, one], name="exact_match", key="task_id")
    found = compare(a, b, "--metric", "exact_match")
    assert (found["test"], found["effect"]) == ("mcnemar-exact", "odds_ratio")
    assert found["p_value"] == pytest.approx(binomtest(1, 4).pvalue)
    assert found["effect_size"] == pytest.approx(3.5 / 1.5)


def test_what_has_no_value_is_dropped_and_counted(tmp_path: Path) -> None:
    a, b = table(tmp_path / "A.csv", [*LEFT, ""]), table(tmp_path / "B.csv", [*RIGHT, "nan"])
    assert (compare(a, b, "--metric", "bleu")["n"], compare(a, b, "--metric", "bleu")["dropped"]) == (6, 1)


def test_words_for_a_person_say_which_is_higher(tmp_path: Path) -> None:
    a, b = table(tmp_path / "A.csv", LEFT), table(tmp_path / "B.csv", RIGHT)
    done = CliRunner().invoke(app, ["compare", str(a), str(b), "--metric", "bleu"])
    assert "A is higher" in done.stdout and "6 pairs" in done.stdout


def test_margin_is_answered_in_words(tmp_path: Path) -> None:
    values = [50.0 + index % 7 for index in range(60)]
    a = table(tmp_path / "A.csv", values)
    b = table(tmp_path / "B.csv", [value + (-1) ** index for index, value in enumerate(values)])
    near = CliRunner().invoke(app, ["compare", str(a), str(b), "--metric", "bleu", "--margin", "2"])
    assert "A is as good as B: their means differ by less than 2 (two one-sided tests, p = " in near.stdout
    far = CliRunner().invoke(app, ["compare", str(a), str(b), "--metric", "bleu", "--margin", "0.1"])
    assert "not shown that A is as good as B within 0.1" in far.stdout
    assert "pairs would decide" in far.stdout and "the smallest difference that these pairs would show" in far.stdout
    told = compare(a, b, "--metric", "bleu", "--margin", "2")["equivalence"]
    assert told["equal"] and told["p_equivalence"] < 0.05 and told["margin"] == 2


def test_margin_of_right_and_wrong_is_in_points(tmp_path: Path) -> None:
    column = [1, 0] * 200
    a = table(tmp_path / "A.csv", column, name="exact_match")
    b = table(tmp_path / "B.csv", [*column[:-4], 0, 1, 1, 0], name="exact_match")
    done = CliRunner().invoke(app, ["compare", str(a), str(b), "--metric", "exact_match", "--margin", "5"])
    assert "differ by less than 5 points" in done.stdout


def test_margin_that_is_none_is_refused(tmp_path: Path) -> None:
    a, b = table(tmp_path / "A.csv", LEFT), table(tmp_path / "B.csv", RIGHT)
    assert "--margin 0: a margin is above 0" in fault(a, b, "--metric", "bleu", "--margin", "0")


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        (LEFT[:5], RIGHT[:5], "no test: 5 pairs, and with fewer than 6 no test shows anything"),
        ([7.0] * 9, [7.0] * 9, "no test: constant: every value is 7"),
    ],
)
def test_what_no_test_can_tell_has_no_p_value(tmp_path: Path, left: list[Any], right: list[Any], said: str) -> None:
    a, b = table(tmp_path / "A.csv", left), table(tmp_path / "B.csv", right)
    words = CliRunner().invoke(app, ["compare", str(a), str(b), "--metric", "bleu", "--margin", "2"]).stdout
    assert said in words and "p =" not in words
    told = compare(a, b, "--metric", "bleu", "--margin", "2")
    assert told["p_value"] is None and told["equivalence"]["equal"] is None


def test_table_of_several_says_which_are_equal_within_the_margin(tmp_path: Path) -> None:
    files = [table(tmp_path / f"{name}.csv", [50 + (i * k) % 5 for i in range(60)]) for k, name in enumerate("ABC", 1)]
    done = CliRunner().invoke(app, ["compare", *map(str, files), "--metric", "bleu", "--margin", "3"])
    assert "equal within 3" in done.stdout and "yes, p = " in done.stdout


def test_faults_of_both_tables_are_told_at_once(tmp_path: Path) -> None:
    a = table(tmp_path / "A.csv", ["1", "many", "3"], ids=["p0", "p1", "p0"])
    b = table(tmp_path / "B.csv", [1.0], name="blue")
    told = fault(a, b, "--metric", "bleu")
    assert told.startswith("3 faults\n")
    assert "row 2: bleu must be a number, got 'many'" in told
    assert "row 3: id 'p0' is there twice" in told
    assert "has no column 'bleu'; did you mean 'blue'?" in told


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no rows"),
        (b"id,bleu\n", "holds no rows"),
        (b"id,bleu\np0,1,2\n", "row 1 has 3 cells"),
        (b"id,bleu\n\xff,1\n", "is not UTF-8"),
    ],
)
def test_unusable_file_is_one_message(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "A.csv").write_bytes(content)
    assert said in fault(tmp_path / "A.csv", table(tmp_path / "B.csv", [1.0]), "--metric", "bleu")


def test_tables_without_a_common_id_are_refused(tmp_path: Path) -> None:
    a, b = table(tmp_path / "A.csv", [1.0], ids=["x"]), table(tmp_path / "B.csv", [2.0], ids=["y"])
    assert "no problem has a value on both sides (2 ids)" in fault(a, b, "--metric", "bleu")


def test_broken_parquet_and_missing_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "A.parquet").write_bytes(b"not parquet")
    told = fault(tmp_path / "A.parquet", tmp_path / "none.csv", "--metric", "bleu")
    assert "A.parquet: cannot be read" in told and "none.csv: no such file" in told
