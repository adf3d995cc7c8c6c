"""MLflow over a real ledger: runs, states, curves, artifacts, and what is left alone."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.entities import ViewType
from tracked_studies import (
    BEFORE,
    CURVE,
    FINISHED_AT,
    WEIGHTS,
    Room,
    finish,
    make_room,
    train,
)

from orchestrator.ledger.ledger import Failure
from orchestrator.study.trial import TrialSpec
from orchestrator.tracking.project import TrackingUnavailable, project, tracking_uri, ui_command
from orchestrator.tracking.uploads import trial_uploads


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="module")
def finished(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Two finished trials, projected: the frozen model writes nothing, the adapted one the references."""
    room = make_room(tmp_path_factory.mktemp("finished"), uri, name="finished")
    for trial in room.trials:
        finish(room, trial)
    assert room.project() == (2, len(CURVE))
    return room


@pytest.fixture
def fresh(uri: str, tmp_path: Path) -> Room:
    """Two trials of which nothing is done, in an experiment of their own."""
    return make_room(tmp_path, uri, name=tmp_path.name)


def test_every_trial_is_one_run_below_the_study_s(finished: Room) -> None:
    parent, runs = finished.run("finished"), finished.runs()
    assert {run.info.run_name for run in runs} == {"finished", "micro/frozen/seed0", "micro/lora/seed0"}
    children = [run for run in runs if run is not parent and "polytune.trial" in run.data.tags]
    assert len({run.data.tags["polytune.trial"] for run in children}) == 2
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_second_projection_writes_nothing(finished: Room) -> None:
    before = {run.info.run_id: run.to_dictionary() for run in finished.runs()}
    assert finished.project() == (2, 0)
    assert {run.info.run_id: run.to_dictionary() for run in finished.runs()} == before


def test_curve_has_every_step_once_with_the_training_s_own_times(finished: Room) -> None:
    run = finished.run("micro/lora/seed0")
    history = finished.client.get_metric_history(run.info.run_id, "train/loss/generation/python")
    assert [point.step for point in history] == [row["step"] for row in CURVE]
    assert history[0].value == 2.0
    assert (history[0].timestamp, history[-1].timestamp) == (FINISHED_AT * 1000 - 199_500, FINISHED_AT * 1000)


def test_rows_sent_again_after_a_cut_are_not_logged_twice(finished: Room) -> None:
    run_id = finished.run("micro/lora/seed0").info.run_id
    for name in ("polytune.curve", "polytune.shown"):
        finished.client.set_tag(run_id, name, "")
    finished.project()
    assert len(finished.client.get_metric_history(run_id, "train/loss")) == len(CURVE)


def test_adapter_spec_and_report_are_artifacts(finished: Room, tmp_path: Path) -> None:
    page = finished.ledger.study_folder("finished") / "report.html"
    for text in ("<p>first</p>", "<p>second</p>"):
        page.write_text(text, encoding="utf-8")
        finished.project()
    fetch: Callable[..., str] = finished.client.download_artifacts
    parent, run = finished.run("finished").info.run_id, finished.run("micro/lora/seed0").info.run_id
    assert Path(fetch(parent, "report.html", str(tmp_path))).read_text(encoding="utf-8") == "<p>second</p>"
    adapter = Path(fetch(run, "adapter", str(tmp_path)))
    assert (adapter / "adapter_model.safetensors").read_bytes() == WEIGHTS.encode()
    spec = Path(fetch(run, "trial.json", str(tmp_path))).read_text(encoding="utf-8")
    assert TrialSpec.model_validate_json(spec) == finished.trial("lora")
    assert "host" not in json.loads(Path(fetch(run, "versions.json", str(tmp_path))).read_text(encoding="utf-8"))


def test_full_weights_beyond_64_mb_stay_in_the_ledger(finished: Room) -> None:
    trial = finished.trial("lora").model_copy(update={"kind": "full"})
    train_record = finished.ledger.records_of(finished.trial("lora"))["train"]
    large = {
        name: file.model_copy(update={"size_bytes": 2**26}) if name.startswith("checkpoint-400/") else file
        for name, file in train_record.outputs.items()
    }
    for record, expected in ((train_record, True), (train_record.model_copy(update={"outputs": large}), False)):
        names = {upload.name for upload in trial_uploads(trial, finished.ledger, {"train": record})}
        assert ("model" in names) is expected


def test_failed_trial_says_its_cause_and_is_the_same_run_once_it_succeeds(
    fresh: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    trial = fresh.trial("lora")
    cause = "OSError: 401 for https://me:secret@hub/model with hf_abcdefgh"
    failure = Failure(stage="train", cause=cause, kind="code", traceback="...", failed_at=FINISHED_AT)
    fresh.ledger.fail(fresh.ledger.begin(trial.key("train")), failure)
    fresh.project()
    failed = fresh.run(trial.label)
    assert failed.info.status == fresh.run(fresh.study.study).info.status == "FAILED"
    assert failed.data.tags["cause"] == "OSError: 401 for https://***@hub/model with ***"
    finish(fresh, trial)
    fresh.project()
    succeeded = fresh.run(trial.label)
    assert (succeeded.info.run_id, succeeded.info.status) == (failed.info.run_id, "FINISHED")
    assert succeeded.data.tags["cause"] == ""


def test_run_is_running_only_while_it_trains(fresh: Room) -> None:
    trial = fresh.trial("lora")
    assert fresh.project() == (0, 0)
    fresh.ledger.begin(trial.key("train"))
    fresh.project(live_since=BEFORE)
    assert fresh.run(trial.label).info.status == fresh.run(fresh.study.study).info.status == "RUNNING"
    fresh.project()
    assert fresh.run(trial.label).info.status == "KILLED"
    train(fresh, trial, curve=CURVE[:4])
    fresh.project()
    assert fresh.run(trial.label).info.status == "SCHEDULED"


def test_trial_trained_anew_gets_a_new_run(fresh: Room) -> None:
    trial = fresh.trial("lora")
    finish(fresh, trial, curve=CURVE[:10])
    fresh.project()
    old = fresh.run(trial.label).info.run_id
    for path in (fresh.ledger.storage / "stages" / trial.key("train")).glob("record-*.json"):
        path.unlink()
    train(fresh, trial, curve=CURVE[:6])
    assert fresh.project() == (1, 6)
    new = fresh.run(trial.label)
    assert len(fresh.client.get_metric_history(new.info.run_id, "train/loss")) == 6
    assert fresh.client.get_run(old).info.lifecycle_stage == "deleted"


def test_run_that_an_older_version_wrote_is_replaced_since_its_numbers_meant_other_things(fresh: Room) -> None:
    trial = fresh.trial("frozen")
    finish(fresh, trial)
    fresh.project()
    old = fresh.run(trial.label).info.run_id
    for name in ("polytune.view", "polytune.shown"):
        fresh.client.delete_tag(old, name)
    fresh.project()
    assert fresh.run(trial.label).info.run_id != old
    assert fresh.client.get_run(old).info.lifecycle_stage == "deleted"


def test_run_of_a_trial_that_the_study_dropped_is_marked_and_closed(fresh: Room) -> None:
    frozen, adapted = fresh.trial("frozen"), fresh.trial("lora")
    finish(fresh, frozen)
    fresh.ledger.begin(adapted.key("train"))
    fresh.project(live_since=BEFORE)
    project(fresh.study, [frozen], fresh.ledger, uri=fresh.uri)
    dropped = fresh.run(adapted.label)
    assert (dropped.info.status, dropped.data.tags["polytune.current"]) == ("KILLED", "false")
    assert fresh.run(frozen.label).data.tags["polytune.current"] == "true"


def test_two_ledgers_on_one_server_leave_each_other_alone(fresh: Room, tmp_path: Path) -> None:
    other = make_room(tmp_path / "elsewhere", fresh.uri, name=fresh.study.study)
    for room in (fresh, other):
        finish(room, room.trial("frozen"))
    for room in (fresh, other, fresh):
        room.project()
    assert [run.info.run_name for run in fresh.runs(ViewType.ALL)].count("micro/frozen/seed0") == 2
    assert not fresh.runs(ViewType.DELETED_ONLY)


def test_server_that_is_down_is_one_message_without_its_password(finished: Room) -> None:
    with pytest.raises(TrackingUnavailable, match="nothing answers there") as caught:
        project(finished.study, finished.trials, finished.ledger, uri="http://me:hunter22@127.0.0.1:9")
    assert "hunter22" not in str(caught.value)
    assert "polytune track" in str(caught.value)


def test_ui_is_served_on_this_machine_alone_from_an_address_that_ps_does_not_show() -> None:
    command, environment = ui_command("sqlite:////data/runs/mlflow.db", port=5001)
    assert command[:3] == [sys.executable, "-m", "mlflow"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert "sqlite:////data/runs/mlflow.db" not in command
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "sqlite:////data/runs/mlflow.db"
    with pytest.raises(TrackingUnavailable, match="open that address"):
        ui_command("http://tracking.example:5000", port=5001)


def test_environment_names_another_mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000")
    assert tracking_uri(tmp_path) == "http://tracking.example:5000"


def test_files_of_a_storage_that_was_moved_are_found_and_written_where_it_is_now(tmp_path: Path) -> None:
    before, now = tmp_path / "before", tmp_path / "now"
    room = make_room(before, f"sqlite:///{before}/mlflow.db", name="moved")
    before.mkdir()
    finish(room, room.trial("lora"))
    room.project()
    kept, again = room.run("micro/lora/seed0").info.run_id, room.run("moved").info.run_id
    before.rename(now)
    room = make_room(now, f"sqlite:///{now}/mlflow.db", name="moved")
    room.client.delete_run(again)
    finish(room, room.trial("frozen"))
    room.project()
    assert not before.exists(), "nothing is written where the storage lay"
    for run in room.runs():
        assert run.info.artifact_uri.startswith(now.as_uri())
    assert [file.path for file in room.client.list_artifacts(kept, "adapter")]
