"""A study of one's own files: a plan says how they are read, and refuses what a run would."""

from pathlib import Path

import pytest
from small_studies import opened

from orchestrator.run.planning import plan_study
from orchestrator.study.file import load_study
from tasks.readers import DataError

STUDY = """\
study: mine
storage: {folder}/runs
data: {{root: {folder}}}
models: [builtin:micro]
tasks:
  generation/python: {{train: train.csv, test: tests.jsonl}}
training: {{learning_rate: 0.001, max_steps: 2, batch_size: 2}}
methods: {{lora: {{kind: lora}}}}
"""
TEST = '{"prompt": "Write double(x).", "tests": "assert double(2) == 4", "reference": "double = lambda x: 2 * x"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY.format(folder=tmp_path), encoding="utf-8")
    (tmp_path / "train.csv").write_text("prompt,completion\nsay one,print(1)\n", encoding="utf-8")
    (tmp_path / "tests.jsonl").write_text(TEST, encoding="utf-8")
    return tmp_path


def test_plan_says_by_which_columns_files_are_read(folder: Path) -> None:
    _, notes = plan_study(*opened(load_study(folder / "study.yaml")))
    assert "generation/python, train.csv: reads prompt, writes completion" in notes
    assert "generation/python, tests.jsonl: reads prompt, writes reference, tests tests" in notes


def test_plan_says_that_tests_were_not_found_and_which_columns_are_unread(folder: Path) -> None:
    (folder / "tests.jsonl").write_text(TEST.replace('"tests"', '"checks"'), encoding="utf-8")
    (folder / "train.csv").write_text("prompt,completion,a,b,c,d,e,f\nsay one,print(1),,,,,,\n", encoding="utf-8")
    _, notes = plan_study(*opened(load_study(folder / "study.yaml")))
    said = "no tests, so answers are not run, only compared with the reference; leaves unread checks"
    assert f"generation/python, tests.jsonl: reads prompt, writes reference; {said}" in notes
    assert "reads prompt, writes completion; leaves unread a, b, c, d, e and 1 more" in "\n".join(notes)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("train.csv", "prompt,completion\nsay one\n", r"train.csv: 1 fault\n  line 2: 1 cells where the header has 2"),
        ("train.csv", "ask,completion\nsay one,print(1)\n", "no column has a usual name for what the model reads"),
        ("tests.jsonl", '{"ask": "a", "code": "b"}\n', r"columns: \{input: COLUMN, tests: COLUMN\}"),
        ("tests.jsonl", TEST.replace("== 4", "=="), r"line 1: tests are neither calls in JSON nor Python"),
    ],
)
def test_plan_refuses_what_a_run_would(folder: Path, name: str, text: str, said: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        plan_study(*opened(load_study(folder / "study.yaml")))


def test_plan_of_columns_that_the_study_names(folder: Path) -> None:
    (folder / "train.csv").write_text("ask,code\nsay one,print(1)\n", encoding="utf-8")
    text = (folder / "study.yaml").read_text(encoding="utf-8")
    named = text.replace("train: train.csv", "train: {path: train.csv, columns: {input: ask}}")
    (folder / "study.yaml").write_text(named, encoding="utf-8")
    _, notes = plan_study(*opened(load_study(folder / "study.yaml")))
    assert "generation/python, train.csv: reads ask, writes code" in notes
