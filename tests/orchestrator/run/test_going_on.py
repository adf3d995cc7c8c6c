"""Going on with a finished study: `plan` shows that only what changed would run."""

import json
import shutil
from pathlib import Path

import pytest
from small_studies import commit, finish_training, write_data
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.ledger.studies import ledger_of
from orchestrator.run.planning import store_study
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study

pytestmark = pytest.mark.ray

TEXT = """\
study: small
storage: {folder}/runs
models: [{folder}/one]
seeds: [0]
data: {{root: {folder}/data}}
tasks:
  generation/python: {{train: {{reader: jsonl, path: .}}, test: {{reader: jsonl, path: .}}}}
training: {{max_steps: 4, learning_rate: 0.001}}
methods:
  frozen: {{kind: frozen}}
  lora: {{kind: lora}}
evaluation:
  generation: {{max_new_tokens: 64}}
  limits: {{cpu_s: 5}}
  quality: false
"""
STAGES = 7  # three of the frozen trial, four of the adapted one


@pytest.fixture
def path(tmp_path: Path, tiny_base: Path) -> Path:
    """The file of a study that is finished, over two local models of which it names one."""
    write_data(tmp_path / "data")
    for name in ("one", "two"):
        shutil.copytree(tiny_base, tmp_path / name)
        config = tmp_path / name / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"note": name}))
    file = tmp_path / "small.yaml"
    file.write_text(TEXT.format(folder=tmp_path), encoding="utf-8")
    study = load_study(file)
    ledger = ledger_of(study)
    store_study(expand(study), ledger)
    for trial in expand(study).trials:
        if "train" in trial.stages:
            finish_training(ledger, trial)
        for stage, output in (
            ("generate", "completions.jsonl"),
            ("execute", "verdicts.jsonl"),
            ("score", "cells.json"),
        ):
            commit(ledger, trial, stage, files={output: "[]"})
    return file


def planned(path: Path, *, right: str = "", wrong: str = "") -> dict[tuple[str, str], str]:
    """What would run, and why, by trial and stage, once the file has been changed."""
    text = path.read_text(encoding="utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    shown = CliRunner().invoke(app, ["plan", str(path)])
    print(shown.output)
    told = json.loads(CliRunner().invoke(app, ["plan", str(path), "--json"]).output)
    stages = [(trial["trial"], stage) for trial in told["trials"] for stage in trial["stages"]]
    due = {(trial, s["stage"]): s["reason"] for trial, s in stages if s["action"] == "run"}
    assert f"{len(due)} of {len(stages)} stages would run" in shown.output
    return due


def test_finished_study_has_nothing_to_do(path: Path) -> None:
    assert planned(path) == {}


def test_comment_and_layout_rerun_nothing(path: Path) -> None:
    assert planned(path, right="models:", wrong="# A comment.\n\nmodels:") == {}
    assert (
        planned(path, right="{max_steps: 4, learning_rate: 0.001}", wrong="{learning_rate: 1.0e-3, max_steps: 4}") == {}
    )


def test_added_seed_runs_only_the_new_stages(path: Path) -> None:
    due = planned(path, right="seeds: [0]", wrong="seeds: [0, 1]")
    # The frozen model is the same for every seed.
    assert due == {
        ("one/lora/seed1", "train"): "new",
        ("one/lora/seed1", "generate"): "after train",
        ("one/lora/seed1", "execute"): "after generate",
        ("one/lora/seed1", "score"): "after generate",
    }


def test_added_model_runs_only_the_new_stages(path: Path) -> None:
    folder = path.parent
    due = planned(path, right=f"[{folder}/one]", wrong=f"[{folder}/one, {folder}/two]")
    assert {trial for trial, _ in due} == {"two/frozen/seed0", "two/lora/seed0"}
    assert len(due) == STAGES
    assert (due["two/frozen/seed0", "generate"], due["two/lora/seed0", "train"]) == ("new", "new")


@pytest.mark.parametrize(
    ("right", "wrong", "stages", "reason"),
    [
        ("max_new_tokens: 64", "max_new_tokens: 32", {"generate", "execute", "score"},
         "settings changed: generation.max_new_tokens 64 -> 32"),
        ("cpu_s: 5", "cpu_s: 9", {"execute"}, "settings changed: limits.cpu_s 5 -> 9"),
        ("quality: false", "quality: true", {"score"}, "settings changed: quality False -> True"),
    ],
)  # fmt: skip
def test_changed_evaluation_setting_reruns_no_training(
    path: Path, right: str, wrong: str, stages: set[str], reason: str
) -> None:
    due = planned(path, right=right, wrong=wrong)
    assert {stage for _, stage in due} == stages
    assert {trial for trial, _ in due} == {"one/frozen/seed0", "one/lora/seed0"}
    assert reason in due.values()
    assert set(due.values()) <= {reason, "after generate"}
