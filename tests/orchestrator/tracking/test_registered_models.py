"""The registry's entries: which adapters are entered, once each, and what an entry says."""

from pathlib import Path

import pytest
from tracked_studies import Room, finish, make_room, train
from tracking_servers import free_port, server

from orchestrator.ledger.ledger import Failure
from orchestrator.tracking.mlflow_reading import read_kept
from orchestrator.tracking.project import project
from orchestrator.tracking.replay import replay

LORAS = {"frozen": {"kind": "frozen"}, "low": {"kind": "lora", "lora": {"rank": 4}}, "high": {"kind": "lora"}}
CURVE = [{"step": 1, "loss": 1.0}]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def room(uri: str, tmp_path: Path) -> Room:
    return make_room(tmp_path, uri, name=tmp_path.name, methods=LORAS)


def entries(room: Room) -> dict[str, list[str]]:
    """The trials of all versions, the oldest first, by the registered model."""
    found: dict[str, list[str]] = {}
    for version in sorted(room.client.search_model_versions(), key=lambda v: int(v.version)):
        if version.name.startswith(room.study.study):
            found.setdefault(version.name, []).append(version.tags["trial"])
    return found


def test_best_adapter_is_entered_once_with_its_card(room: Room, tmp_path: Path) -> None:
    for trial in room.trials:
        finish(room, trial, curve=CURVE, right=trial.method_name == "low")
    for _ in range(2):
        done = project(room.study, room.trials, room.ledger, uri=room.uri)
        name = f"{room.study.study}.micro.all"
        assert dict(done.registered) == {name: "1"}
        assert entries(room) == {name: ["micro/low/seed0"]}
    version = room.client.get_model_version_by_alias(name, "best")
    assert version.run_id == room.run("micro/low/seed0").info.run_id
    assert version.tags["pass_at_1"] == "100.0"
    assert "The best of 2 adapters" in version.description
    assert "# micro/low/seed0" in version.description
    assert not version.description.startswith("---")
    kept = Path(room.client.download_artifacts(version.run_id, "adapter", str(tmp_path / "fetched")))
    assert version.source.endswith("/adapter")
    assert "## Scores" in (kept / "README.md").read_text(encoding="utf-8")
    assert (kept / "adapter_model.safetensors").is_file()


def test_a_server_s_registry_is_entered_once_too(tmp_path: Path) -> None:
    port = free_port()
    with server(tmp_path, port):
        room = make_room(tmp_path / "study", f"http://127.0.0.1:{port}", name="served", methods=LORAS)
        for trial in room.trials:
            finish(room, trial, curve=CURVE)
        for _ in range(2):
            room.project()
            assert entries(room) == {"served.micro.all": ["micro/high/seed0"]}
        version = room.client.get_model_version_by_alias("served.micro.all", "best")
        assert version.source.startswith("mlflow-artifacts:")
        folder = Path(room.client.download_artifacts(version.run_id, "adapter", str(tmp_path)))
        assert "# micro/high/seed0" in (folder / "README.md").read_text(encoding="utf-8")
        assert replay(read_kept("served", uri=room.uri)).same == len(room.trials)


def test_nothing_is_entered_while_an_adapter_may_still_win(room: Room) -> None:
    low, high = room.trial("low"), room.trial("high")
    finish(room, low, curve=CURVE)
    train(room, high, curve=CURVE)
    room.project()
    assert entries(room) == {}
    room.ledger.fail(
        room.ledger.begin(high.key("generate")),
        Failure(stage="generate", cause="no memory", kind="code", traceback="...", failed_at=1.0),
    )
    room.project()
    assert entries(room) == {f"{room.study.study}.micro.all": ["micro/low/seed0"]}


def test_a_better_adapter_is_a_new_version_and_takes_the_alias(room: Room) -> None:
    low, high = room.trial("low"), room.trial("high")
    finish(room, low, curve=CURVE, right=False)
    project(room.study, [low], room.ledger, uri=room.uri)
    finish(room, high, curve=CURVE, right=True)
    room.project()
    name = f"{room.study.study}.micro.all"
    assert entries(room) == {name: ["micro/low/seed0", "micro/high/seed0"]}
    assert room.client.get_model_version_by_alias(name, "best").tags["trial"] == "micro/high/seed0"


def test_alias_of_another_ledger_stays_where_it_is(room: Room, tmp_path: Path) -> None:
    other = make_room(tmp_path / "elsewhere", room.uri, name=room.study.study, methods=LORAS)
    for one in (room, other):
        finish(one, one.trial("low"), curve=CURVE)
        project(one.study, [one.trial("low")], one.ledger, uri=one.uri)
    name = f"{room.study.study}.micro.all"
    assert len(entries(room)[name]) == 2
    best = room.client.get_model_version_by_alias(name, "best")
    assert str(best.version) == "1"


def test_a_study_without_adapters_enters_nothing(uri: str, tmp_path: Path) -> None:
    room = make_room(tmp_path, uri, name=tmp_path.name, methods={"frozen": {"kind": "frozen"}})
    finish(room, room.trials[0])
    room.project()
    assert entries(room) == {}


def test_apart_adapters_have_an_entry_for_each_task(uri: str, tmp_path: Path) -> None:
    apart = {"apart": {"kind": "lora", "grouping": "apart"}}
    room = make_room(tmp_path, uri, name=tmp_path.name, methods=apart, seeds=(0, 1))
    for trial in room.trials:
        finish(room, trial, curve=CURVE, right=trial.seed == 1)
    room.project()
    study = room.study.study
    assert entries(room) == {
        f"{study}.micro.generation": ["micro/apart/generation/seed1"],
        f"{study}.micro.summarization": ["micro/apart/summarization/seed1"],
    }
