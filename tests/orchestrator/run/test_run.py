"""Whole studies through Ray, on the built-in model: what a run does, does again, and survives."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_studies import opened

from orchestrator.ledger.studies import ledger_of
from orchestrator.report.collect import collect
from orchestrator.run.driver import run_study
from orchestrator.run.state import Listener, Outcome
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.resources import Resources
from orchestrator.study.schema import Study
from orchestrator.work.session import local_ray
from orchestrator.work.training import Place, TrainingOrder, train_trial

pytestmark = pytest.mark.ray

STUDY = """
study: small
question: Does every stage run?
storage: {storage}
models: [builtin:micro]
data: {{train_limit: 32, validation_limit: 4, test_limit: 6}}
tasks:
  generation/python: {{train: micro, validation: micro, test: micro}}
  translation/java-csharp: {{train: micro, validation: micro, test: micro}}
  summarization/java: {{train: micro, validation: micro, test: micro}}
training: {{learning_rate: 5.0e-3, batch_size: 8, max_steps: 4, validate_every: 2}}
methods: {methods}
evaluation: {{generation: {{max_new_tokens: 48, max_summary_tokens: 24}}}}
resources: {{generation_batch: 6, micro_tokens: 2048}}
"""
SIX = (
    "{frozen: {kind: frozen}, qlora: {kind: qlora}, apart: {kind: qlora, grouping: apart}, "
    "full: {kind: full, training: {learning_rate: 1.0e-3}}}"
)


def write_study(folder: Path, methods: str) -> Path:
    path = folder / "small.yaml"
    path.write_text(STUDY.format(storage=folder / "runs", methods=methods), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """One Ray cluster of two cores for all tests that need one."""
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    with local_ray(Resources(), num_cpus=2):
        yield


@pytest.fixture(scope="module")
def six(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Outcome]:
    """Six trials run to their end; the watchdog is the test runner's own timeout."""
    study = load_study(write_study(tmp_path_factory.mktemp("six"), SIX))
    return study, run_study(*opened(study))


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="full fine-tuning needs g++")


@needs_compiler
@pytest.mark.timeout(420)
def test_six_trials_finish_on_two_cores(six: tuple[Study, Outcome]) -> None:
    study, outcome = six
    assert outcome.failed == {}
    assert outcome.ran == {"train": 5, "generate": 6, "execute": 5, "score": 6}
    results = collect(study, expand(study).trials, ledger_of(study))
    assert all(trial.finished for trial in results.trials)
    # Three trials see all three tracks, three see one each; six problems a track.
    assert len(results.rows) == (3 * 3 + 3) * 6


@needs_compiler
def test_every_training_lowered_its_loss_with_gradients_that_were_not_zero(six: tuple[Study, Outcome]) -> None:
    study, _ = six
    trained = [t for t in collect(study, expand(study).trials, ledger_of(study)).trials if t.kind != "frozen"]
    assert len(trained) == 5
    for trial in trained:
        rows = [row for row in trial.curve if "loss" in row]
        assert rows[-1]["loss"] < rows[0]["loss"], trial.trial
        assert all(row["gradient_norm"] > 0 for row in rows), trial.trial
        validations = [row for row in trial.curve if "validation/loss" in row]
        assert [row["step"] for row in validations] == [2, 4]


@needs_compiler
def test_adapters_change_what_the_base_writes(six: tuple[Study, Outcome]) -> None:
    study, _ = six
    for trial in collect(study, expand(study).trials, ledger_of(study)).trials:
        if trial.kind != "frozen":
            facts = next(stage.facts for stage in trial.stages if stage.stage == "generate")
            assert float(str(facts["adapter_changes_outputs"])) > 0


@needs_compiler
def test_second_run_recomputes_nothing_and_changes_no_file(six: tuple[Study, Outcome]) -> None:
    study, _ = six
    stages = ledger_of(study).storage / "stages"
    before = {path: path.stat().st_mtime_ns for path in stages.rglob("*")}
    again = run_study(*opened(study))
    assert (again.ran, again.failed) == ({}, {})
    assert {path: path.stat().st_mtime_ns for path in stages.rglob("*")} == before


@needs_compiler
def test_new_seed_runs_only_the_new_cells(six: tuple[Study, Outcome]) -> None:
    study, _ = six
    more = Study.model_validate({**study.model_dump(), "seeds": (0, 1), "methods": {"qlora": study.methods["qlora"]}})
    outcome = run_study(*opened(more))
    assert outcome.failed == {}
    assert outcome.ran == {"train": 1, "generate": 1, "execute": 1, "score": 1}


def test_damaged_adapter_is_trained_anew_and_what_stands_on_its_equal_is_kept(cluster: None, tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path, "{lora: {kind: lora}}"))
    ledger, (trial,) = ledger_of(study), expand(study).trials
    assert run_study(*opened(study)).ran == {"train": 1, "generate": 1, "execute": 1, "score": 1}
    before = ledger.records_of(trial)
    for damage, said in ((torn, "is cut short"), (flipped, "was changed (sha256 ")):
        record = ledger.records_of(trial)["train"]
        file = ledger.folder(record) / str(record.facts["weights"]) / "adapter_model.safetensors"
        file.write_bytes(damage(file.read_bytes()))
        notes: list[str] = []
        again = run_study(*opened(study), listener=Listener(note=notes.append))
        assert (again.ran, again.failed) == ({"train": 1}, {})
        assert [note for note in notes if "artifact damaged: " in note and f"adapter_model.safetensors {said}" in note]
        after = ledger.records_of(trial)
        assert after["train"].attempt != record.attempt
        assert {stage: after[stage] for stage in ("generate", "execute", "score")} == {
            stage: before[stage] for stage in ("generate", "execute", "score")
        }


def torn(content: bytes) -> bytes:
    """As a crash of the machine leaves a file."""
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """With one bit changed."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_trial_that_raises_does_not_stop_the_others(cluster: None, tmp_path: Path) -> None:
    methods = "{good: {kind: lora}, bad: {kind: lora, training: {max_length: 8}}}"
    study = load_study(write_study(tmp_path, methods))
    outcome = run_study(*opened(study))
    assert outcome.ran == {"train": 1, "generate": 1, "execute": 1, "score": 1}
    (((label, stage), failed),) = outcome.failed.items()
    assert (label, stage, failed.kind) == ("micro/bad/seed0", "train", "settings")
    assert "fits training.max_length=8 tokens" in failed.cause
    assert "failure.json" in failed.log_path


def test_full_fine_tuning_without_a_compiler_is_not_run_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_study(write_study(tmp_path, "{full: {kind: full, training: {learning_rate: 1.0e-3}}}"))
    (trial,) = expand(study).trials
    monkeypatch.setenv("PATH", str(tmp_path))
    failed = train_trial(TrainingOrder(trial=trial, resources=Resources()), Place(storage=study.storage, root="."))
    assert failed is not None and failed.kind == "missing"
    assert failed.cause.startswith("no g++")
    assert "apt-get install g++" in failed.cause
    train = collect(study, (trial,), ledger_of(study)).trials[0].stages[0]
    assert (train.state, train.cause[:7]) == ("not-run", "no g++,")


def test_a_model_by_a_relative_path_is_trained_and_no_key_is_in_ray_s_files(tmp_path: Path, tiny_base: Path) -> None:
    shutil.copytree(tiny_base, tmp_path / "model")
    study = write_study(tmp_path, "{lora: {kind: lora}}")
    text = (
        study.read_text(encoding="utf-8").replace("builtin:micro", "./model").replace("test_limit: 6", "test_limit: 1")
    )
    study.write_text(text, encoding="utf-8")
    # Sockets lie below it, whose paths must be short.
    with tempfile.TemporaryDirectory(prefix="pt-", ignore_cleanup_errors=True) as short:
        keys = {"AWS_ACCESS_KEY_ID": "AKIANOTFORRAYSFILES", "AWS_SECRET_ACCESS_KEY": "not-for-ray-s-files"}
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "run", "small.yaml", "--json"],
            cwd=tmp_path,
            env={**os.environ, "RAY_TMPDIR": short, **keys},
            capture_output=True,
            check=False,
        )
        logs = [path for path in Path(short).rglob("*") if path.is_file()]
        assert logs, "Ray left no files here"
        assert [path for path in logs if any(key.encode() in path.read_bytes() for key in keys.values())] == []
    assert done.returncode == 0, done.stdout + done.stderr


def run_command(study: Path, folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "run", str(study), "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for(folder: Path, pattern: str, process: "subprocess.Popen[bytes]", *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline, f"{pattern} did not appear"
        time.sleep(0.05)


@pytest.mark.timeout(600)
def test_killed_run_goes_on_with_the_stages_that_are_missing(tmp_path: Path) -> None:
    path = write_study(tmp_path, "{frozen: {kind: frozen}, lora: {kind: lora}}")
    stages = tmp_path / "runs" / "stages"
    for pattern in ("*/attempts/*/.progress.json", "*/record-*.json"):
        process = run_command(path, tmp_path)
        wait_for(stages, pattern, process, seconds=200)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = {record: record.stat().st_mtime_ns for record in stages.glob("*/record-*.json")}
    assert finished, "the second kill came after the first record"
    last = run_command(path, tmp_path)
    out, err = last.communicate(timeout=300)
    assert last.returncode == 0, err.decode()
    answer = json.loads(out)
    assert sum(answer["ran"].values()) == 7 - len(finished)
    assert all(record.stat().st_mtime_ns == stamp for record, stamp in finished.items())
    assert len(list(stages.glob("*/record-*.json"))) == 7
