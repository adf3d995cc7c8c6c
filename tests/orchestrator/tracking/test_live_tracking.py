"""MLflow while a study runs: real processes that die, a real server on loopback that goes and comes back.

One decision: the study's work is left in the ledger here, chunk by chunk, as its workers leave it; what is
under test is the writer beside it.
"""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from small_studies import finish_training, make_study, trial_of
from tracking_servers import free_port, server, until

from orchestrator.errors import StudyHeld
from orchestrator.ledger.ledger import Attempt, Failure
from orchestrator.ledger.studies import ledger_of
from orchestrator.run.planning import store_study
from orchestrator.study.cells import expand
from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec
from orchestrator.tracking.live import LiveTracking
from orchestrator.tracking.project import TrackingUnavailable, project

pytestmark = pytest.mark.ray

BEFORE = 1.0  # A driver that began before everything here.
T0 = 1_750_000_000.0


class Room:
    """A study whose training is under way."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.study: Study = make_study(folder, study=folder.name)
        self.trials, self.ledger = expand(self.study).trials, ledger_of(self.study)
        self.trial: TrialSpec = trial_of(self.study, "qlora")
        self.uri = uri
        store_study(expand(self.study), self.ledger)

    def project(self, *, live_since: float | None = BEFORE) -> int:
        return project(self.study, self.trials, self.ledger, uri=self.uri, live_since=live_since).rows

    def begin(self) -> Attempt:
        attempt = self.ledger.begin(self.trial.key("train"))
        later = time.time() + len(list(self.ledger.attempts(self.trial.key("train"))))
        os.utime(attempt.folder, (later, later))
        return attempt

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri)

    def runs(self, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
        experiment = self.client.get_experiment_by_name(self.study.study)
        return list(self.client.search_runs([experiment.experiment_id], run_view_type=view)) if experiment else []

    def run(self, name: str = "") -> Run:
        (found,) = [run for run in self.runs() if run.info.run_name == (name or self.trial.label)]
        return found

    def shown(self) -> Counter[tuple[str, str, int]]:
        """How often each run has each metric at each step, in all runs there ever were."""
        found: Counter[tuple[str, str, int]] = Counter()
        for run in self.runs(ViewType.ALL):
            for name in run.data.metrics:
                history = self.client.get_metric_history(run.info.run_id, name)
                found.update((run.info.run_id, name, point.step) for point in history)
        return found


def log(attempt: Attempt, chunk: int, steps: range, *, late: float = 0.0) -> None:
    """Leave a chunk of rows with an attempt."""
    folder = attempt.folder / "metrics"
    folder.mkdir(exist_ok=True)
    rows = [{"step": step, "loss": 3 / step, "tokens_per_s": 9.0, "time": T0 + step + late} for step in steps]
    (folder / f"{chunk:05d}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, to be copied: it takes seconds to make one."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def room(tmp_path: Path, database: Path) -> Room:
    shutil.copy(database, tmp_path / "mlflow.db")
    return Room(tmp_path / "study", f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def served(tmp_path: Path, database: Path) -> "Iterator[tuple[Room, subprocess.Popen[bytes], int]]":
    shutil.copy(database, tmp_path / "mlflow.db")
    port = free_port()
    with server(tmp_path, port) as process:
        yield Room(tmp_path / "study", f"http://127.0.0.1:{port}"), process, port


def test_rows_appear_chunk_by_chunk_while_the_training_goes_on(room: Room) -> None:
    attempt = room.begin()
    log(attempt, 0, range(1, 51))
    assert room.project() == 50
    first = room.run()
    assert (first.info.status, first.data.metrics["train/loss"]) == ("RUNNING", 3 / 50)
    log(attempt, 1, range(51, 61))
    (attempt.folder / "metrics" / "00002.jsonl").write_text('{"step": 61, "lo', encoding="utf-8")
    assert room.project() == 10
    assert room.run().info.run_id == first.info.run_id
    assert set(room.shown().values()) == {1}


def test_training_begun_again_goes_on_in_the_same_run_with_every_step_once(room: Room) -> None:
    dead = room.begin()
    log(dead, 0, range(1, 51))
    room.project()
    first = room.run()
    alive = room.begin()
    log(alive, 0, range(1, 41), late=1000)
    assert room.project() == 0
    log(alive, 1, range(41, 71), late=1000)
    assert room.project() == 20
    again = room.run()
    assert again.info.run_id == first.info.run_id
    assert again.data.tags["polytune.curve"] == f"{dead.id},{alive.id}:70"
    history = room.client.get_metric_history(first.info.run_id, "train/loss")
    assert [point.step for point in history] == list(range(1, 71))
    assert [history[0].timestamp, history[-1].timestamp] == [(T0 + 1) * 1000, (T0 + 1070) * 1000]


def test_run_left_running_by_a_dead_driver_is_closed_by_the_next(room: Room) -> None:
    attempt = room.begin()
    log(attempt, 0, range(1, 11))
    room.project()
    assert room.run().info.status == room.run(room.study.study).info.status == "RUNNING"
    room.project(live_since=time.time() + 3600)  # The next driver is at work on the study, and not on this training.
    assert (room.run().info.status, room.run(room.study.study).info.status) == ("KILLED", "RUNNING")
    room.project(live_since=None)
    assert room.run().info.status == room.run(room.study.study).info.status == "KILLED"


CRASH = """
import os, signal, sys
from pathlib import Path
from orchestrator.study.cells import expand
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from orchestrator.ledger.studies import ledger_of
from orchestrator.study.schema import Study
from orchestrator.tracking.project import project


place, uri, path = sys.argv[1:]
whole = getattr(SqlAlchemyStore, place)

def die(self, *arguments, **options):
    # Before a count of rows is written, when their values are: the moment between batch and bookkeeping.
    if place == "_set_tags" and not any(tag.key == "polytune.curve" for tag in arguments[1]):
        return whole(self, *arguments, **options)
    if place != "_set_tags":
        whole(self, *arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(SqlAlchemyStore, place, die)
study = Study.model_validate_json(Path(path).read_text())
project(study, expand(study).trials, ledger_of(study), uri=uri, live_since=1.0)
"""


@pytest.mark.parametrize("place", ["_set_tags", "log_batch", "create_run", "set_tag"])
def test_writer_killed_at_any_step_leaves_nothing_twice_and_nothing_out(room: Room, place: str) -> None:
    attempt = room.begin()
    log(attempt, 0, range(1, 601))
    stored = room.ledger.study_folder(room.study.study) / "study.json"
    killed = subprocess.run(
        [sys.executable, "-c", CRASH, place, room.uri, str(stored)], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = room.shown()
    if place == "_set_tags":
        assert sum(before.values()) == 1200
    room.project()
    after = room.shown()
    assert sum(after.values()) == 1200
    assert set(after.values()) == {1}
    assert len(room.runs(ViewType.ALL)) == 2
    assert room.run().data.tags["polytune.curve"] == f"{attempt.id}:600"


def test_writer_killed_at_random_moments_leaves_nothing_twice_and_nothing_out(room: Room) -> None:
    attempt = room.begin()
    stored = room.ledger.study_folder(room.study.study) / "study.json"
    code = "from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as S\n" + CRASH.partition("whole =")[0]
    code += CRASH.partition("setattr(SqlAlchemyStore, place, die)")[2]
    for kill in range(3):
        for chunk in range(4):
            log(attempt, 4 * kill + chunk, range(1 + 2000 * kill + 500 * chunk, 1 + 2000 * kill + 500 * (chunk + 1)))
        process = subprocess.Popen([sys.executable, "-c", code, "none", room.uri, str(stored)])
        began = sum(room.shown().values())
        until(lambda: process.poll() is not None or sum(room.shown().values()) > began)  # noqa: B023
        process.kill()
        process.wait()
    room.project()
    assert sum(room.shown().values()) == 12_000
    assert set(room.shown().values()) == {1}


def test_server_that_dies_is_one_warning_and_is_caught_up_when_it_is_back(
    served: "tuple[Room, subprocess.Popen[bytes], int]", tmp_path: Path
) -> None:
    room, process, port = served
    said: list[str] = []
    attempt = room.begin()
    log(attempt, 0, range(1, 11))
    os.utime(attempt.folder, (time.time() + 60, time.time() + 60))
    tracking = LiveTracking(room.ledger, uri=room.uri, say=said.append, interval_s=0.2)
    with tracking:
        tracking.follow(room.study, room.trials)
        until(lambda: bool(room.runs()) and len(room.runs()) == 2 and "train/loss" in room.run().data.metrics)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log(attempt, 1, range(11, 21))
        until(lambda: len(said) == 1)
        log(attempt, 2, range(21, 31))
        time.sleep(2)  # Several more attempts, none of which says anything.
        assert len(said) == 1
        with server(tmp_path, port):
            until(lambda: len(said) == 2)
            assert set(room.shown().values()) == {1}
            assert room.run().data.metrics["train/loss"] == 3 / 30
    assert "polytune track" in said[0]
    assert said[1] == "MLflow is up to date again"
    assert threading.active_count() < 50


def test_study_that_broke_off_leaves_no_run_running(served: "tuple[Room, subprocess.Popen[bytes], int]") -> None:
    room, _, _ = served
    attempt = room.begin()
    log(attempt, 0, range(1, 11))
    os.utime(attempt.folder, (time.time() + 60, time.time() + 60))
    tracking = LiveTracking(room.ledger, uri=room.uri, say=print, interval_s=0.2)
    with pytest.raises(KeyboardInterrupt), tracking:
        tracking.follow(room.study, room.trials)
        until(lambda: len(room.runs()) == 2 and room.run().info.status == "RUNNING")
        raise KeyboardInterrupt
    assert {run.info.status for run in room.runs()} == {"KILLED"}


def test_who_does_not_hold_the_study_leaves_its_runs_alone(
    served: "tuple[Room, subprocess.Popen[bytes], int]",
) -> None:
    room, _, _ = served
    attempt = room.begin()
    log(attempt, 0, range(1, 11))
    os.utime(attempt.folder, (time.time() + 60, time.time() + 60))
    held = StudyHeld("a driver elsewhere runs it")
    live = LiveTracking(room.ledger, uri=room.uri, say=print, interval_s=0.2)
    with pytest.raises(StudyHeld), live:
        live.follow(room.study, room.trials)
        until(lambda: len(room.runs()) == 2 and room.run().info.status == "RUNNING")
        # A second driver was refused before it followed anything.
        with pytest.raises(StudyHeld), LiveTracking(room.ledger, uri=room.uri, say=print, interval_s=0.2):
            raise held
        assert room.run().info.status == "RUNNING"
        # This one lost the study to another, whose runs they are now.
        raise held
    assert room.run().info.status == "RUNNING"


def test_server_that_takes_calls_and_never_answers_holds_nothing_up_for_long(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    log(room.begin(), 0, range(1, 3))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TrackingUnavailable):
            project(room.study, room.trials, room.ledger, uri=f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_emptied_server_is_rebuilt_from_the_ledger_alone(room: Room, database: Path, tmp_path: Path) -> None:
    finish_training(room.ledger, room.trial)
    room.project(live_since=None)

    def content() -> list[object]:
        return sorted(
            (r.info.run_name, r.info.status, r.info.start_time, r.info.end_time, sorted(r.data.metrics.items()),
             sorted(r.data.params.items())) for r in room.runs()
        )  # fmt: skip

    before, counted = content(), sorted(Counter(key[1:] for key in room.shown().elements()).items())
    shutil.copy(database, tmp_path / "mlflow.db")
    room.project(live_since=None)
    assert content() == before
    assert sorted(Counter(key[1:] for key in room.shown().elements()).items()) == counted


def test_run_that_somebody_deleted_in_mlflow_is_made_anew(room: Room) -> None:
    finish_training(room.ledger, room.trial)
    room.project(live_since=None)
    room.client.delete_run(room.run().info.run_id)
    assert room.project(live_since=None) == 4


def test_no_secret_of_the_environment_reaches_mlflow(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789abcdefghij")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p@ss/word99")
    cause = "401 for hf_0123456789abcdefghij at https://me:p%40ss%2Fword99@hub; p@ss/word99"
    failure = Failure(stage="train", cause=cause, kind="code", traceback=cause, failed_at=T0)
    room.ledger.fail(room.begin(), failure)
    stored = room.ledger.study_folder(room.study.study) / "study.json"
    stored.write_text(stored.read_text(encoding="utf-8").replace("question", f"question {cause}"), encoding="utf-8")
    room.project(live_since=None)
    assert room.run().info.status == "FAILED"
    assert room.run().data.tags["cause"] == "401 for *** at https://***@hub; ***"
    with sqlite3.connect(room.uri.removeprefix("sqlite:///")) as connection:
        texts = ["\n".join(connection.iterdump())]
    texts += [path.read_text(encoding="utf-8") for path in room.ledger.storage.glob("mlartifacts/**/*.json")]
    assert len(texts) > 2
    assert not [text for text in texts if "0123456789abcdefghij" in text or "word99" in text]
