"""Faults that a person meets, each caused for real: what is said, and what of the ledger is left."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_studies import commit, finish_training, make_study, trial_of

from orchestrator.ledger.attempts import run_stage
from orchestrator.ledger.ledger import Attempt, Ledger
from orchestrator.redaction import without_secrets
from orchestrator.run.budget import Limits, Meter
from orchestrator.run.pipelines import record_as_they_arrive
from orchestrator.run.planning import store_study
from orchestrator.run.state import Listener, StudyRun
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.resources import Resources
from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec
from orchestrator.work.training import Place, TrainingOrder, train_trial
from tasks.records import Record

pytestmark = pytest.mark.ray

_MAIN = "import sys; from orchestrator.cli import main; sys.argv[0] = 'polytune'; main()"
STUDY = """\
study: small
storage: {storage}
models: [builtin:micro]
data: {{root: {root}}}
tasks:
  generation/python: {{train: {{reader: jsonl, path: .}}, test: {{reader: jsonl, path: .}}}}
training: {{max_steps: 2, learning_rate: 0.001}}
methods: {{lora: {{kind: lora}}}}
evaluation: {{quality: false}}
"""


class _Wide(Record):
    """A result that takes room."""

    text: str


def polytune(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", _MAIN, *map(str, arguments)]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)


def told(done: "subprocess.CompletedProcess[str]") -> str:
    """What a run that began nothing said, but for the line by which it lives."""
    alive, rest = done.stderr.split("\n", 1)
    assert alive == " 0:00  reading data and models of 1 trial"
    return rest


def write_study(folder: Path, storage: Path | str) -> Path:
    make_study(folder)
    path = folder / "small.yaml"
    path.write_text(STUDY.format(storage=storage, root=folder / "data"), encoding="utf-8")
    return path


def mount(folder: Path, size: str) -> None:
    folder.mkdir(exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "polytune", folder], check=False).returncode:
        pytest.skip("mounting a small file system needs a privilege that this user lacks")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a mebibyte: room for records, none for an adapter with its tokenizer."""
    folder = tmp_path / "disk"
    mount(folder, "512k")
    yield folder
    subprocess.run(["umount", folder], check=True)


def train(trial: TrialSpec, storage: str, study: Study) -> str:
    order = TrainingOrder(trial=trial, resources=Resources(micro_tokens=1024))
    failed = train_trial(order, Place(storage=storage, root=study.data.root))
    return str(failed or "")


def test_full_disk_fails_the_stage_with_its_cause_and_leaves_the_ledger_whole(disk: Path, tmp_path: Path) -> None:
    study = make_study(tmp_path, training={"max_steps": 2, "learning_rate": 0.001}, methods={"lora": {"kind": "lora"}})
    trial, ledger = trial_of(study, "lora"), Ledger(disk / "runs")
    cause = train(trial, str(disk / "runs"), study)
    print(cause)
    assert cause.startswith("the disk is full: ")
    assert "free some space (`polytune gc` lists what no study names), then run again" in cause
    failure = ledger.last_failure(trial.key("train"))
    assert failure is not None and failure[0].kind == "disk" and str(failure[1]) in cause
    assert [path.name for path in failure[1].parent.iterdir()] == ["failure.json"], "the room is given back"
    assert ledger.records_of(trial) == {}
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    assert train(trial, str(disk / "runs"), study) == ""
    assert set(ledger.records_of(trial)) == {"train"}


def test_disk_that_fills_up_in_a_pipeline_fails_only_what_has_no_room(disk: Path, tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=[0, 1, 2], methods={"qlora": {"kind": "qlora"}})
    trials, ledger = expand(study).trials, Ledger(disk / "runs")
    for trial in trials:
        finish_training(ledger, trial)
    with ledger.lease("small") as lease:
        run = StudyRun(expand(study), ledger, lease=lease, listener=Listener(), meter=Meter(study, ledger, Limits()))
        run.done.look()

        def stream(jobs: list[str], told: object, more: object) -> Iterator[tuple[str, list[Any]]]:
            yield from zip(jobs, ([], [_Wide(text="x" * 600_000)], []), strict=True)

        record_as_they_arrive(run, "generate", trials, job=lambda trial: trial.key("generate"), stream=stream)
    assert run.outcome.ran == {"generate": 2}
    ((where, failed),) = run.outcome.failed.items()
    assert (where, failed.kind) == ((trials[1].label, "generate"), "disk")
    assert failed.cause.startswith("the disk is full: OSError: [Errno 28] No space left on device; free some space")
    assert ["generate" in ledger.records_of(trial) for trial in trials] == [True, False, True]


def test_read_only_ledger_is_one_message_before_anything_is_trained(disk: Path, tmp_path: Path) -> None:
    path = write_study(tmp_path, disk / "runs")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    done = polytune("run", path)
    print(done.stderr)
    assert done.returncode == 2
    assert told(done) == (
        f"polytune: the ledger at {disk}/runs cannot be written: Read-only file system; "
        "make it writable for this user, or give the study another storage\n"
    )
    assert list(disk.iterdir()) == []
    planned = polytune("plan", path, "--json")
    assert planned.returncode == 0 and json.loads(planned.stdout)["trials"], "a plan writes nothing"
    reported = polytune("report", path)
    assert reported.returncode == 1 and "Report: not written" in reported.stdout
    assert reported.stderr == (
        f"polytune: the report's page was not written, the ledger at {disk}/runs cannot be written: "
        "Read-only file system; its tables are complete\n"
    )


def test_report_that_finds_no_room_shows_its_tables_and_says_so(disk: Path, tmp_path: Path) -> None:
    path = write_study(tmp_path, disk / "runs")
    store_study(expand(load_study(path)), Ledger(disk / "runs"))
    (disk / "filler").write_bytes(b"x" * 490_000)
    done = polytune("report", path)
    assert done.returncode == 1
    assert "Report: not written" in done.stdout
    assert done.stderr == (
        f"polytune: the report's page was not written, {disk}/runs: No space left on device; its tables are complete\n"
    )


def test_second_driver_is_told_who_runs_the_study(tmp_path: Path) -> None:
    path = write_study(tmp_path, tmp_path / "runs")
    with Ledger(tmp_path / "runs").lease("small"):
        done = polytune("run", path)
    print(done.stderr)
    assert done.returncode == 2
    assert told(done).startswith(f"polytune: small is being run by process {os.getpid()} on ")
    assert not (tmp_path / "runs" / "stages").exists()


def test_ledger_of_a_newer_version_is_one_message(tmp_path: Path) -> None:
    path = write_study(tmp_path, tmp_path / "runs")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "ledger-2.json").write_text('{"format": 2, "polytune": "9.1"}')
    for command in ("run", "plan", "status", "report"):
        done = polytune(command, path)
        assert done.returncode == 2
        assert done.stderr.startswith(
            f"polytune: the ledger at {tmp_path}/runs has format 2, written by polytune 9.1; "
        )
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"wei", "is cut short (3 of 7 bytes)"),
        (b"weighty", "was changed (sha256 "),
    ],
    ids=["torn checkpoint", "flipped byte"],
)
def test_plan_names_the_damaged_artifact_and_what_follows(tmp_path: Path, content: bytes, said: str) -> None:
    path = write_study(tmp_path, tmp_path / "runs")
    (trial,) = expand(load_study(path)).trials
    ledger = Ledger(tmp_path / "runs")
    record = finish_training(ledger, trial)
    commit(ledger, trial, "generate", files={"completions.jsonl": ""})
    file = ledger.folder(record) / "checkpoint-4" / "adapter_model.safetensors"
    file.write_bytes(content)
    done = polytune("plan", path)
    print(done.stdout)
    shown = " ".join(done.stdout.split())
    assert f"train artifact damaged: checkpoint-4/adapter_model.safetensors {said}" in shown
    assert "generate after train" in shown
    assert done.returncode == 0


def test_training_that_fits_no_device_is_refused_by_run_and_plan(tmp_path: Path) -> None:
    path = write_study(tmp_path, tmp_path / "runs")
    for command in (("run", path), ("run", path, "--dry-run"), ("plan", path)):
        done = polytune(*command, "--set", "resources.device_memory_gib=0.001")
        assert done.returncode == 2
        assert "micro/lora/seed0 needs at least 0." in done.stderr and "the largest has 0.0 GiB" in done.stderr
    assert not (tmp_path / "runs").exists()


SECRETS = {
    "HF_TOKEN": "hf_planted-in-the-environment",
    "MLFLOW_TRACKING_PASSWORD": 'pass"word/with quotes',
    "MLFLOW_TRACKING_TOKEN": "tracking-token-planted",
    "AWS_SECRET_ACCESS_KEY": "aws+secret/planted",
}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return SECRETS


def assert_nowhere(folder: Path) -> None:
    """No file below a folder holds a planted secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        for name, value in SECRETS.items():
            for form in (value, json.dumps(value)[1:-1]):
                assert form.encode() not in content, f"{name} in {path}"


@pytest.mark.usefixtures("planted")
def test_secret_in_an_exception_is_written_nowhere(tmp_path: Path) -> None:
    study = make_study(tmp_path, methods={"lora": {"kind": "lora"}})
    trial, ledger = trial_of(study, "lora"), Ledger(tmp_path / "runs")

    def body(attempt: Attempt) -> dict[str, Any]:
        try:
            raise OSError(f"401 for https://me:{SECRETS['HF_TOKEN']}@hub/model with Bearer {SECRETS['HF_TOKEN']}")
        except OSError as error:
            raise RuntimeError(" ".join([*SECRETS.values(), repr(SECRETS)])) from error

    with pytest.raises(Exception, match="RuntimeError") as caught:
        run_stage(ledger, trial, "train", inputs={}, body=body)
    assert all(value not in str(caught.value) for value in SECRETS.values())
    assert_nowhere(tmp_path / "runs")
    failure = ledger.last_failure(trial.key("train"))
    assert failure and "RuntimeError: *** *** *** ***" in failure[0].traceback
    shown = polytune("logs", write_study(tmp_path, tmp_path / "runs"), "--trial", "micro/lora/seed0", **SECRETS)
    assert all(value not in shown.stdout + shown.stderr for value in SECRETS.values())


@pytest.mark.usefixtures("planted")
def test_secret_in_a_hub_s_address_is_not_in_the_cause_of_a_training_that_cannot_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(tmp_path, models=["org/base"], methods={"lora": {"kind": "lora"}})
    store_study(expand(study), Ledger(study.storage))
    code = (
        "import sys; from orchestrator.work.training import Place, TrainingOrder, train_trial; "
        "order = TrainingOrder.model_validate_json(sys.argv[1]); "
        "print(train_trial(order, Place(storage=sys.argv[2], root=sys.argv[3])))"
    )
    order = TrainingOrder(trial=trial_of(study, "lora"), resources=Resources())
    endpoint = f"http://me:{SECRETS['HF_TOKEN']}@127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-c", code, order.model_dump_json(), study.storage, study.data.root],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hub")},
    )
    print(done.stdout)
    assert "(log: " in done.stdout
    assert all(value not in done.stdout for value in SECRETS.values())
    assert_nowhere(tmp_path / "runs")


@pytest.mark.usefixtures("planted")
def test_secrets_are_known_by_their_variables_names_and_plain_words_stay() -> None:
    assert (
        without_secrets("a word, https://me:pw@host/x and Basic bWU6cHc=") == "a word, https://***@host/x and Basic ***"
    )
    assert without_secrets(f"key {SECRETS['AWS_SECRET_ACCESS_KEY']}") == "key ***"
    assert without_secrets("aws%2Bsecret%2Fplanted") == "***"
