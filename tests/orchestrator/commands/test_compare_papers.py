"""`polytune compare` as papers do it: the test by what a figure is, families corrected, anybody's tables."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from scipy.stats import binomtest, chi2, false_discovery_control, wilcoxon
from test_compare import LEFT, RIGHT, fault, table
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from tasks.records import Verdict


def run(*arguments: object) -> Result:
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done


def found(*arguments: object) -> dict[str, Any]:
    return dict(json.loads(run(*arguments, "--json").stdout))


def wide(path: Path, *, rows: int = 40, seed: int = 0, **columns: list[Any]) -> Path:
    """A table of several columns, as papers' result files are."""
    rng = random.Random(seed)
    data = {"Task ID": [f"t{i}" for i in range(rows)]} | columns
    data.setdefault("bleu", [round(rng.gauss(50, 10), 2) for _ in range(rows)])
    data.setdefault("exact_match", [100.0 * (rng.random() < 0.3 + 0.3 * seed) for _ in range(rows)])
    lines = [",".join(data), *(",".join(map(str, row)) for row in zip(*data.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("rows", [8, 40, 80])
@pytest.mark.parametrize("test", ["wilcoxon", "wilcoxon-normal"])
@pytest.mark.parametrize("ties", [False, True])
def test_wilcoxon_is_scipys_in_either_form(tmp_path: Path, rows: int, test: str, ties: bool) -> None:
    rng = random.Random(rows)
    left = [float(rng.randrange(6)) if ties else rng.gauss(1, 3) for _ in range(rows)]
    right = [float(rng.randrange(6)) if ties else rng.gauss(0, 3) for _ in range(rows)]
    a, b = table(tmp_path / "A.csv", left), table(tmp_path / "B.csv", right)
    done = run(a, b, "--metric", "bleu", "--test", test, "--json")
    changed = [round(x - y, 9) for x, y in zip(left, right, strict=True) if x != y]
    expected = wilcoxon(changed, method="asymptotic" if test == "wilcoxon-normal" else "auto")
    told = json.loads(done.stdout)
    assert told["test"] == test
    assert (told["statistic"], told["p_value"]) == (expected.statistic, pytest.approx(expected.pvalue))
    normal = expected.pvalue == wilcoxon(changed, method="asymptotic").pvalue
    assert f"{test} ({'normal approximation' if normal else 'exact'})" in done.stderr
    assert ("normal approximation" if normal else "exact") in run(a, b, "--metric", "bleu", "--test", test).stdout


@pytest.mark.parametrize(("only_a", "only_b"), [(8, 2), (30, 12)])
def test_mcnemar_is_scipys_in_either_form(tmp_path: Path, only_a: int, only_b: int) -> None:
    pairs = [(1, 0)] * only_a + [(0, 1)] * only_b + [(1, 1)] * 5
    a, b = (table(tmp_path / f"{side}.csv", [pair[side] for pair in pairs], name="own") for side in (0, 1))
    told = found(a, b, "--metric", "own", "--test", "mcnemar")
    exact = only_a + only_b < 25
    statistic = (abs(only_a - only_b) - 1) ** 2 / (only_a + only_b)
    expected = binomtest(only_b, only_a + only_b).pvalue if exact else chi2.sf(statistic, 1)
    assert told["test"] == ("mcnemar-exact" if exact else "mcnemar-chi2")
    assert told["p_value"] == pytest.approx(expected)


def test_test_goes_by_what_a_metric_is_and_not_by_its_values(tmp_path: Path) -> None:
    ones, zeros = [1.0, 1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]
    for name, expected in (("bleu", "wilcoxon"), ("exact_match", "mcnemar-exact"), ("pylint.error", "wilcoxon")):
        a, b = (table(tmp_path / f"{side}.csv", values, name=name) for side, values in (("A", ones), ("B", zeros)))
        assert found(a, b, "--metric", name)["test"] == expected
    told = fault(*(table(tmp_path / f"{side}.csv", ones, name="resolved") for side in "AB"), "--metric", "resolved")
    assert "--test mcnemar" in told and "--test wilcoxon" in told


def test_column_of_true_and_false_is_right_or_wrong(tmp_path: Path) -> None:
    a = table(tmp_path / "A.parquet", [True, True, False], name="resolved")
    b = table(tmp_path / "B.csv", ["False", "false", "TRUE"], name="resolved")
    assert found(a, b, "--metric", "resolved")["test"] == "mcnemar-exact"


def test_share_with_other_values_asks_for_a_test(tmp_path: Path) -> None:
    a, b = (table(tmp_path / f"{side}.csv", [0.5, 1, 0], name="exact_match") for side in "AB")
    assert "1 or 0 (or 100 or 0), but has 0.5; give --test wilcoxon" in fault(a, b, "--metric", "exact_match")


def test_one_table_in_percent_and_one_in_ones_are_compared_as_right_and_wrong(tmp_path: Path) -> None:
    a = table(tmp_path / "A.csv", [100, 0, 100, 100, 0, 0], name="exact_match")
    b = table(tmp_path / "B.csv", [1, 0, 1, 1, 0, 0], name="exact_match")
    assert found(a, b, "--metric", "exact_match")["p_value"] == 1.0


@pytest.mark.parametrize("adjust", ["holm", "bh", "none"])
def test_several_metrics_and_files_are_one_family(tmp_path: Path, adjust: str) -> None:
    files = [wide(tmp_path / f"{seed}.csv", seed=seed, flat=[0] * 40) for seed in range(3)]
    options = ("--metric", "bleu", "--metric", "exact_match", "--metric", "flat", "--test", "wilcoxon")
    told = found(*files, *options, "--adjust", adjust)
    rows = told["comparisons"]
    assert [(row["metric"], Path(row["a"]).stem, Path(row["b"]).stem) for row in rows] == [
        (metric, a, b) for metric in ("bleu", "exact_match", "flat") for a, b in ("01", "02", "12")
    ]
    family = [row for row in rows if row["metric"] != "flat"]
    assert told["family"] == len(family) == 6
    p_values = [row["p_value"] for row in family]
    if adjust == "bh":
        assert [row["p_adjusted"] for row in family] == pytest.approx(list(false_discovery_control(p_values)))
    elif adjust == "holm":
        assert min(row["p_adjusted"] for row in family) == pytest.approx(min(1.0, 6 * min(p_values)))
    else:
        assert {row["p_adjusted"] for row in rows} == {None}
    constant = rows[-1]
    assert constant["p_adjusted"] is None and constant["note"] == "constant: every value is 0; left out of the family"
    words = run(*files, *options, "--adjust", adjust).stdout
    assert "constant" in words and ("not corrected" in words) == (adjust == "none")


def test_families_name_the_form_of_each_test(tmp_path: Path) -> None:
    files = [wide(tmp_path / f"{seed}.csv", seed=seed, rows=60) for seed in range(2)]
    rows = found(*files, "--metric", "bleu", "--metric", "exact_match")["comparisons"]
    assert next((row["test"], row["form"]) for row in rows) == ("wilcoxon", "normal")
    assert rows[1]["test"] in ("mcnemar-exact", "mcnemar-chi2") and rows[1]["form"] in ("exact", "chi2")


@pytest.mark.parametrize("name", ["id", "task_id", "Task ID", "instance_id", "problem_id", "question_id", " task-id "])
def test_usual_id_columns_are_found(tmp_path: Path, name: str) -> None:
    a, b = table(tmp_path / "A.csv", LEFT, key=name), table(tmp_path / "B.csv", RIGHT, key="Task_ID")
    assert found(a, b, "--metric", "bleu")["n"] == 6
    told = fault(table(tmp_path / "C.csv", LEFT, key="who"), b, "--metric", "bleu")
    assert "none of the usual id columns" in told and "--id" in told


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "parquet"])
@pytest.mark.parametrize("zipped", [False, True])
def test_tables_of_every_form_are_read(tmp_path: Path, suffix: str, zipped: bool) -> None:
    plain = tmp_path / f"A.{suffix}"
    rows = [{"id": f"p{i}", "bleu": value} for i, value in enumerate(LEFT)]
    if suffix == "parquet":
        table(plain, LEFT)
    elif suffix in ("csv", "tsv"):
        cell = "," if suffix == "csv" else "\t"
        plain.write_text(f"id{cell}bleu\n" + "".join(f"{row['id']}{cell}{row['bleu']}\n" for row in rows))
    else:
        plain.write_text(json.dumps(rows) if suffix == "json" else "".join(json.dumps(row) + "\n" for row in rows))
    path = plain
    if zipped:
        path = tmp_path / f"A.{suffix}.gz"
        path.write_bytes(gzip.compress(plain.read_bytes()))
    assert found(path, table(tmp_path / "B.csv", RIGHT), "--metric", "bleu")["p_value"] == pytest.approx(
        wilcoxon(LEFT, RIGHT).pvalue
    )


def verdicts(path: Path, *rows: tuple[str, int, Any]) -> Path:
    lines = [Verdict(task_id=task, sample=sample, verdict=verdict).model_dump_json() for task, sample, verdict in rows]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_verdict_files_of_execute_are_compared_by_passed(tmp_path: Path) -> None:
    a = verdicts(tmp_path / "A.jsonl", *((f"t{i}", 0, "passed") for i in range(6)), ("t9", 0, "unjudged"))
    b = verdicts(tmp_path / "B.jsonl", *((f"t{i}", 0, "timeout") for i in range(6)), ("t9", 0, "passed"))
    told = found(a, b, "--metric", "passed")
    assert (told["test"], told["n"], told["dropped"]) == ("mcnemar-exact", 6, 1)
    assert told["p_value"] == pytest.approx(binomtest(0, 6).pvalue)


def test_several_samples_of_a_problem_are_their_mean(tmp_path: Path) -> None:
    rows = [(f"t{i}", s, "passed" if (i + s) % 3 else "wrong_answer") for i in range(8) for s in range(4)]
    a = verdicts(tmp_path / "A.jsonl", *rows)
    b = verdicts(tmp_path / "B.jsonl", *((t, s, "passed") for t, s, _ in rows))
    done = run(a, b, "--metric", "passed", "--json")
    told = json.loads(done.stdout)
    assert (told["n"], told["test"]) == (8, "wilcoxon")
    assert "several samples of a problem are one value" in done.stderr


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_column_that_is_there_twice_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"A.{suffix}"
    if suffix == "csv":
        path.write_text("id,passed, passed\n1,1,0\n")
    elif suffix == "jsonl":
        path.write_text('{"id": 1, "passed": 1, "passed": 0}\n')
    else:
        columns = [pa.array([1]), pa.array([1]), pa.array([0])]
        parquet.write_table(pa.table(columns, names=["id", "passed", "passed"]), path)
    assert "twice" in fault(path, table(tmp_path / "B.csv", [1, 0], name="passed"), "--metric", "passed")


def test_other_columns_may_be_there_twice(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text("id,note,passed,note\n1,a,1,b\n2,a,0,b\n")
    b = table(tmp_path / "B.csv", [1, 0], ids=[1, 2], name="passed")
    assert found(tmp_path / "A.csv", b, "--metric", "passed")["n"] == 2


def test_ids_that_are_written_otherwise_are_pointed_out(tmp_path: Path) -> None:
    a = table(tmp_path / "A.csv", LEFT, ids=["T/0", "T/1", "3.0", "4", "5", "6"])
    b = table(tmp_path / "B.csv", RIGHT, ids=["t/0", "t/1", "3", "4", "5", "6"])
    done = run(a, b, "--metric", "bleu")
    assert "3 ids differ only in how they are written, as '3.0' and '3'; they are not paired" in done.stderr
    c, d = table(tmp_path / "C.csv", [1.0], ids=["X"]), table(tmp_path / "D.csv", [1.0], ids=["x"])
    assert "as 'X' and 'x'" in fault(c, d, "--metric", "bleu")
    # A column of whole numbers with a gap is one of floats in pandas: those are paired.
    floats = table(tmp_path / "F.parquet", LEFT, ids=[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    texts = table(tmp_path / "T.parquet", RIGHT, ids=["0", "1", "2", "3", "4", "5"])
    done = run(floats, texts, "--metric", "bleu")
    assert "6 pairs" in done.stdout and "ids are numbers in" in done.stderr


def test_row_without_an_id_and_scales_that_differ_are_told(tmp_path: Path) -> None:
    a, b = table(tmp_path / "A.csv", [0.1, 0.5, 0.9]), table(tmp_path / "B.csv", [12.0, 55.0, 91.0])
    assert "one scale or two?" in run(a, b, "--metric", "bleu").stderr
    (tmp_path / "C.csv").write_text("id,bleu\n,1\n\nb,many\n")
    told = fault(tmp_path / "C.csv", b, "--metric", "bleu")
    assert "row 1: has no id" in told and "row 2: bleu must be a number, got 'many'" in told


def test_wrong_options_are_told_at_once(tmp_path: Path) -> None:
    told = fault(table(tmp_path / "A.csv", LEFT), "--metric", "bleu", "--test", "t", "--adjust", "x")
    assert told.startswith("3 faults\n") and "two tables or more" in told
