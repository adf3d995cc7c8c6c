"""`polytune score`: figures as the libraries print them, and no file that ends it badly."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
import sacrebleu
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.errors import InputError

OUTPUTS = ["int f(int x) { return x; }", "int g() { return 1; }", ""]
REFERENCES = ["int f(int y) { return y; }", "int g() { return 1; }", "int h() { return 3; }"]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "P.txt", OUTPUTS), write(tmp_path / "R.txt", REFERENCES)


def write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def score(predictions: Path, references: Path, *options: object) -> Result:
    arguments = ["score", "--predictions", predictions, "--references", references, *options]
    return CliRunner().invoke(app, list(map(str, arguments)))


def figures(*arguments: Any) -> dict[str, dict[str, Any]]:
    done = score(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def test_json_holds_corpus_mean_n_and_signature_of_each_metric(files: tuple[Path, Path]) -> None:
    found = figures(*files, "--metrics", "bleu,exact_match,codebleu,codebleu_dataflow", "--language", "java")
    assert list(found) == ["bleu", "exact_match", "codebleu", "codebleu_dataflow"]
    assert all(set(row) == {"corpus", "mean", "n", "signature"} for row in found.values())
    assert found["bleu"]["corpus"] == pytest.approx(sacrebleu.corpus_bleu(OUTPUTS, [REFERENCES]).score)
    assert found["exact_match"]["mean"] == pytest.approx(100 / 3)
    assert found["exact_match"]["n"] == 3
    # Two of the three references have no dataflow.
    assert found["codebleu_dataflow"]["n"] == 1
    assert "lang:java" in found["codebleu"]["signature"]


def test_values_of_each_pair_are_written_by_id(tmp_path: Path) -> None:
    rows = [json.dumps({"id": f"p{i}", "text": text}) for i, text in enumerate(OUTPUTS)]
    back = [json.dumps({"id": f"p{i}", "text": text}) for i, text in reversed(list(enumerate(REFERENCES)))]
    out = tmp_path / "S.parquet"
    found = figures(write(tmp_path / "P.jsonl", rows), write(tmp_path / "R.jsonl", back), "--out", out)
    table = parquet.read_table(out)
    assert table.column_names == ["id", *found]
    assert table["id"].to_pylist() == ["p0", "p1", "p2"]
    assert table["exact_match"].to_pylist() == [0.0, 100.0, 0.0]
    assert json.loads(table.schema.metadata[b"polytune.scores"]) == found
    assert not list(tmp_path.glob(".*"))


def test_table_for_a_person_names_the_pairs_and_the_signatures(files: tuple[Path, Path]) -> None:
    done = score(*files)
    assert done.exit_code == 0
    assert "3 pairs; 0-100" in done.stdout and "rouge-score:" in done.stdout


def test_all_faults_of_a_request_are_told_at_once(files: tuple[Path, Path], tmp_path: Path) -> None:
    options = ("--metrics", "blue,codebleu,judge,cosine", "--language", "jaba", "--out", tmp_path / "no" / "S.csv")
    done = score(files[0], tmp_path / "R.tx", *options)
    assert isinstance(done.exception, InputError)
    told = str(done.exception)
    assert told.startswith("6 faults\n")
    for said in (
        "did you mean 'bleu'?",
        "did you mean java?",
        "--judge-url",
        "--model",
        ".parquet",
        "did you mean R.txt?",
    ):
        assert said in told
    assert "needs --language" not in told


def test_missing_model_is_named_before_anything_is_scored(files: tuple[Path, Path], tmp_path: Path) -> None:
    done = score(*files, "--metrics", "bertscore", "--model", tmp_path / "nowhere")
    assert isinstance(done.exception, InputError)
    assert "nowhere" in str(done.exception) and "hf download" in str(done.exception)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("language", ["python", "java", "csharp"])
def test_awkward_lines_are_scored_rows(tmp_path: Path, language: str) -> None:
    awkward = [
        "(" * 3000 + ")" * 3000,
        "{" * 3000,
        "if(a)" * 3000,
        "\0 \ud7ff \u2028",
        "for x in y: " * 500,
        "-" * 5000,
    ]
    predictions, references = [*awkward, *["x = 1;"] * 6], [*["x = 1;"] * 6, *awkward]
    files = write(tmp_path / "P.txt", predictions), write(tmp_path / "R.txt", references)
    metrics = "bleu,chrf,rouge_1,rouge_l,meteor_exact_stem,exact_match,edit_similarity,codebleu"
    found = figures(*files, "--metrics", metrics, "--language", language)
    for row in found.values():
        assert row["n"] == 12
        assert math.isfinite(row["corpus"]) and 0 <= row["mean"] <= 100


@pytest.mark.timeout(300)
def test_five_megabytes_in_one_line_are_a_scored_row(tmp_path: Path) -> None:
    long = "x = f(y); " * 500_000
    files = write(tmp_path / "P.txt", [long, "x"]), write(tmp_path / "R.txt", ["x = f(y);", "x"])
    metrics = "bleu,chrf,rouge_l,exact_match,edit_similarity,codebleu"
    found = figures(*files, "--metrics", metrics, "--language", "java")
    assert {row["n"] for row in found.values()} == {2}


def test_json_lines_are_never_scored_as_text(tmp_path: Path) -> None:
    predictions = write(
        tmp_path / "p.jsonl",
        [json.dumps({"task_id": f"P/{i}", "completion": f"return {c}"}) for i, c in enumerate("ab")],
    )
    references = write(
        tmp_path / "r.jsonl",
        [json.dumps({"task_id": f"P/{i}", "completion": f"return {c}"}) for i, c in enumerate("xy")],
    )
    done = score(predictions, references, "--metrics", "bleu,exact_match", "--json")
    found = json.loads(done.stdout)
    assert found["bleu"]["corpus"] == pytest.approx(
        sacrebleu.corpus_bleu(["return a", "return b"], [["return x", "return y"]]).score
    )
    assert found["exact_match"]["corpus"] == 0.0
    assert "the text is 'completion'" in done.stderr


def test_text_that_rouge_does_not_see_is_not_scored(tmp_path: Path) -> None:
    path = write(tmp_path / "s.txt", ["返回两个数的和", "สวัสดี", "Возвращает сумму"])
    done = score(path, path, "--metrics", "rouge_1,rouge_l,rouge_l_unicode", "--json")
    found = json.loads(done.stdout)
    assert [found[name]["n"] for name in found] == [0, 0, 3]
    assert found["rouge_l"]["corpus"] is None and found["rouge_l_unicode"]["corpus"] == pytest.approx(100.0)
    assert "rouge_1: not scored: pairs 1, 2, 3" in done.stderr


def test_help_names_every_metric_and_the_defaults() -> None:
    from evaluators.similarity import METRICS
    from orchestrator.commands.score import _metrics_help

    told = _metrics_help()
    assert all(name in told for name in METRICS)
    assert "Default: bleu,chrf,rouge_l,exact_match, or codebleu,bleu,chrf,exact_match with --language" in told


def test_nothing_but_empty_predictions_is_scored_0(tmp_path: Path) -> None:
    files = write(tmp_path / "P.txt", ["", ""]), write(tmp_path / "R.txt", ["int x;", "int y;"])
    metrics = "bleu,bleu4_smooth,bleu_codexglue,chrf,rouge_l,exact_match,exact_match_strict,codebleu"
    found = figures(*files, "--metrics", metrics, "--language", "java")
    assert {row["corpus"] for row in found.values()} == {0.0} and {row["n"] for row in found.values()} == {2}
