"""Sheets: fixed columns, numbers or nothing, the same in CSV, Parquet and JSON."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from report_samples import make_study

from orchestrator.report import find, report_json, write_exports
from orchestrator.report.exports.document import list_rows
from orchestrator.report.exports.everything import build_long_sheets, build_short_sheets
from orchestrator.report.exports.sheetfiles import write_csv, write_parquet
from orchestrator.report.exports.sheets import Sheet, describe, numbers, texts
from orchestrator.report.results import StudyResults
from orchestrator.report.texts import Asked, Texts, Written

EMPTY = StudyResults(study="bare", question="", trials=(), rows=(), cells=())
ANSWER = 'def f():\n    return "a, b"\r\n\N{SNOWMAN}'


@pytest.fixture(scope="module")
def study() -> StudyResults:
    return make_study(problems=40)


@pytest.fixture(scope="module")
def folder(study: StudyResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("exports")
    write_exports(study, folder=found)
    return found


def all_sheets(results: StudyResults) -> dict[str, Sheet]:
    findings = find(results)
    return {sheet.name: sheet for sheet in (*build_short_sheets(findings), *build_long_sheets(findings))}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_one_folder_holds_every_form(folder: Path) -> None:
    kinds = {path.parent.name + path.suffix for path in folder.rglob("*") if path.is_file()}
    assert {"csv.csv", "parquet.parquet", "latex.tex", "pictures.svg", "pictures.png"} <= kinds
    assert {"report.html", "report.json", "methods.txt"} <= {path.name for path in folder.iterdir()}
    assert {path.stem for path in (folder / "pictures").glob("*.svg")} == {
        path.stem for path in (folder / "pictures").glob("*.png")
    }
    assert "overview" in {path.stem for path in (folder / "pictures").glob("*.svg")}


def test_pictures_stand_alone_on_paper(folder: Path) -> None:
    for path in (folder / "pictures").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        # Outside the page there is no style sheet that would give variables a colour.
        assert text.startswith("<?xml") and "var(--" not in text and "#1d2129" in text
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in (folder / "pictures").glob("*.png"))


def test_columns_of_numbers_hold_numbers_or_nothing(study: StudyResults, folder: Path) -> None:
    for name, sheet in all_sheets(study).items():
        rows = read_csv(folder / "csv" / f"{name}.csv")
        assert rows, name
        for field in sheet.fields:
            if field.kind != "text":
                values = [row[field.name] for row in rows if row[field.name]]
                assert all(math.isfinite(float(value)) for value in values), (name, field.name)


def test_csv_and_parquet_hold_the_same(study: StudyResults, folder: Path) -> None:
    for name, sheet in all_sheets(study).items():
        table = parquet.read_table(folder / "parquet" / f"{name}.parquet")
        rows = read_csv(folder / "csv" / f"{name}.csv")
        assert table.column_names == [field.name for field in sheet.fields] == list(rows[0])
        assert table.num_rows == len(rows)
        for column in table.column_names:
            shown = ["" if value is None else value for value in table[column].to_pylist()]
            plain = [str(int(value)) if isinstance(value, bool) else str(value) for value in shown]
            assert plain == [row[column] for row in rows], (name, column)


def test_columns_are_the_same_for_a_study_without_results() -> None:
    full, bare = all_sheets(make_study(problems=5)), all_sheets(EMPTY)
    assert full.keys() == bare.keys()
    for name in full.keys() - {"instances"}:
        assert full[name].fields == bare[name].fields
    # Counts of quality follow, since tools differ by language and machine.
    fixed = len(bare["instances"].fields)
    assert full["instances"].fields[:fixed] == bare["instances"].fields


def test_files_of_a_study_without_results_have_their_columns(tmp_path: Path) -> None:
    for sheet in all_sheets(EMPTY).values():
        assert len(write_csv(sheet, tmp_path).read_text().splitlines()) == 1
        assert parquet.read_table(write_parquet(sheet, tmp_path)).num_rows == 0


def test_trials_have_one_name_in_page_and_files(study: StudyResults, folder: Path) -> None:
    labels = {trial.trial for trial in study.trials}
    for name in ("trials", "scores", "health", "instances", "curves"):
        assert {row["trial"] for row in read_csv(folder / "csv" / f"{name}.csv")} <= labels
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(label in page for label in labels)
    assert set(find(study).evidence.names.values()) == labels


def test_scores_have_their_figures_or_their_reason(folder: Path) -> None:
    rows = read_csv(folder / "csv" / "scores.csv")
    assert all(bool(row["score"]) != bool(row["reason"]) for row in rows)
    failed = [row for row in rows if row["trial"] == "qlora-apart-summarization"]
    assert failed and all(row["reason"].startswith("train failed: out of memory") for row in failed)
    frozen = {row["metric"]: row for row in rows if row["trial"] == "frozen" and row["track"] == "generation/python"}
    assert float(frozen["pass@1"]["low"]) <= float(frozen["pass@1"]["score"]) <= float(frozen["pass@1"]["high"])
    assert frozen["pass@1"]["headline"] == "1" and frozen["exact_match"]["headline"] == "0"


def test_verdicts_and_comparisons_are_those_of_the_findings(study: StudyResults, folder: Path) -> None:
    findings = find(study)
    verdicts = read_csv(folder / "csv" / "verdicts.csv")
    assert [row["verdict"] for row in verdicts] == [found.wording for found in findings.verdicts]
    rows = read_csv(folder / "csv" / "comparisons.csv")
    assert [row["verdict"] for row in rows] == [found.wording for found in findings.contrasts]
    untested = [row for row in rows if row["verdict"] in ("not comparable", "not tested")]
    assert untested and all(row["p"] == "" and row["reason"] for row in untested)


def test_instances_hold_what_was_asked_and_written(study: StudyResults, tmp_path: Path) -> None:
    row = study.rows[0]
    told = Texts(
        asked={(row.track, row.problem_id): Asked(prompt="Say it.", reference="def f(): ...")},
        written={
            row.trial: {
                (row.problem_id, 0): Written(track=row.track, dataset=row.dataset, text=ANSWER, finish="length")
            }
        },
    )
    sheet = all_sheets(replace(study, read_texts=lambda: told))["instances"]
    found = read_csv(write_csv(sheet, tmp_path))
    assert (found[0]["prompt"], found[0]["reference"], found[0]["finish"]) == ("Say it.", "def f(): ...", "length")
    assert found[0]["output"] == parquet.read_table(write_parquet(sheet, tmp_path))["output"][0].as_py() == ANSWER
    assert found[0]["verdict"] == row.verdict and found[1]["output"] == ""
    assert len(found) == len(study.rows)


def test_unjudged_outputs_are_neither_passed_nor_failed(study: StudyResults, folder: Path) -> None:
    rows = read_csv(folder / "csv" / "instances.csv")
    assert {row["passed"] for row in rows if row["verdict"] in ("", "unjudged")} == {""}
    assert {row["passed"] for row in rows if row["verdict"] not in ("", "unjudged")} == {"0", "1"}


def test_json_is_one_document_of_the_sheets(study: StudyResults, folder: Path) -> None:
    told = json.loads(report_json(study))
    assert told == json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert told["version"] == 1 and told["study"] == "quickstart"
    for sheet in build_short_sheets(find(study)):
        assert [list(row) for row in told[sheet.name]] == [[f.name for f in sheet.fields]] * len(told[sheet.name])
    assert {"kind", "text", "where", "touches"} == set(told["warnings"][0])
    assert told["answer"] and told["question"]["text"] == study.question


def test_json_has_no_number_that_json_does_not_know() -> None:
    odd = [{"a": math.nan}, {"a": math.inf}, {"a": 1.5}]
    assert list_rows(Sheet(name="s", title="", fields=numbers(a="x"), list_rows=lambda: odd)) == [
        {"a": None},
        {"a": None},
        {"a": 1.5},
    ]


def test_value_without_a_column_is_refused() -> None:
    sheet = Sheet(name="s", title="", fields=texts(a="first"), list_rows=lambda: [{"a": "x", "b": "y"}])
    with pytest.raises(ValueError, match="sheet s has no column"):
        list(sheet.read())


def test_documentation_describes_every_column() -> None:
    documented = Path("docs/report-files.md").read_text(encoding="utf-8")
    told = describe(tuple(all_sheets(EMPTY).values()))
    assert told in documented, f"docs/report-files.md is to hold:\n{told}"


def test_numbers_are_written_in_full(tmp_path: Path) -> None:
    sheet = Sheet(name="s", title="", fields=numbers(a="x"), list_rows=lambda: [{"a": 0.1 + 0.2}, {}])
    assert write_csv(sheet, tmp_path).read_text() == 'a\n0.30000000000000004\n""\n'
