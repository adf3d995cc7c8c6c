"""Study files made from runs in MLflow: the same trials, and what is said where that cannot be."""

import gzip
import json
from pathlib import Path

import pytest
from tracked_studies import Room, finish, make_room
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.errors import PolytuneError
from orchestrator.study.cells import expand
from orchestrator.study.file import load_study
from orchestrator.study.trial import TrialSpec
from orchestrator.tracking.mlflow_reading import read_kept
from orchestrator.tracking.replay import replay

METHODS = {
    "frozen": {"kind": "frozen"},
    "apart": {"kind": "lora", "grouping": "apart", "lora": {"rank": 4}},
}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="module")
def room(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Room:
    made = make_room(tmp_path_factory.mktemp("replayed"), uri, name="replayed", methods=METHODS, seeds=(0, 1))
    for trial in made.trials:
        finish(made, trial, curve=[{"step": 1, "loss": 1.0}])
    made.project()
    return made


def keys(trials: tuple[TrialSpec, ...]) -> dict[str, dict[str, str]]:
    return {trial.label: {stage: trial.key(stage) for stage in trial.stages} for trial in trials}


def trials_of(file: Path) -> tuple[TrialSpec, ...]:
    return expand(load_study(file)).trials


def test_study_s_run_gives_a_file_of_the_same_trials(room: Room, tmp_path: Path) -> None:
    file = tmp_path / "again.yaml"
    made = CliRunner().invoke(app, ["replay", "replayed", "--from", room.uri, "--to", str(file)])
    assert made.exit_code == 0, made.output
    assert keys(trials_of(file)) == keys(room.trials)
    assert "6 trials, with the keys of the run" in made.stderr
    assert str(room.ledger.storage) not in file.read_text(encoding="utf-8")


def test_trial_s_run_gives_a_file_of_that_trial_alone(room: Room, tmp_path: Path) -> None:
    label = "micro/apart/summarization/seed1"
    file = tmp_path / "one.yaml"
    file.write_text(replay(read_kept(label, uri=room.uri)).text, encoding="utf-8")
    assert keys(trials_of(file)) == {label: keys(room.trials)[label]}
    by_id = read_kept(room.run(label).info.run_id, uri=room.uri)
    assert replay(by_id).text == file.read_text(encoding="utf-8")


def test_keys_that_are_others_now_are_named(room: Room) -> None:
    kept = read_kept("replayed", uri=room.uri, experiment="replayed")
    stages = json.loads(kept.stages)
    stages["trials"]["micro/frozen/seed0"]["generate"]["key"] = "0" * 64
    made = replay(type(kept)(run=kept.run, study=kept.study, stages=json.dumps(stages), trial=None))
    assert (made.same, made.odd) == (5, ("micro/frozen/seed0",))


def test_run_that_is_not_there_is_told_with_the_nearest(room: Room, tmp_path: Path) -> None:
    with pytest.raises(PolytuneError, match=r"has no run 'replaid'; did you mean replayed\?"):
        read_kept("replaid", uri=room.uri)
    with pytest.raises(PolytuneError, match=r"no experiment 'replaied'; did you mean replayed\?"):
        read_kept("replayed", uri=room.uri, experiment="replaied")
    nowhere = tmp_path / "mlflow.db"
    with pytest.raises(PolytuneError, match="there is no MLflow database"):
        read_kept("replayed", uri=f"sqlite:///{nowhere}")
    assert not nowhere.exists()


def test_name_that_several_runs_have_needs_an_id_or_an_experiment(room: Room, tmp_path: Path) -> None:
    other = make_room(tmp_path, room.uri, name="another", methods=METHODS)
    finish(other, other.trial("frozen"))
    other.project()
    with pytest.raises(PolytuneError, match=r"2 runs named 'micro/frozen/seed0'; name one by its id: .* --experiment"):
        read_kept("micro/frozen/seed0", uri=room.uri)
    assert read_kept("micro/frozen/seed0", uri=room.uri, experiment="another").trial is not None


def test_run_of_somebody_else_s_is_told_apart(room: Room) -> None:
    place = room.client.create_experiment("not ours")
    run = room.client.create_run(place, run_name="foreign")
    with pytest.raises(PolytuneError, match=r"no artifact .*study\.json.*polytune track"):
        read_kept(run.info.run_id, uri=room.uri)


def test_file_that_is_there_is_not_overwritten(room: Room, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine", encoding="utf-8")
    made = CliRunner().invoke(app, ["replay", "replayed", "--from", room.uri, "--to", str(file)])
    assert made.exit_code != 0
    assert file.read_text(encoding="utf-8") == "mine"


def test_samples_are_one_compressed_file_sent_again_only_when_they_changed(room: Room, tmp_path: Path) -> None:
    parent = room.run("replayed")
    kept = Path(room.client.download_artifacts(parent.info.run_id, "samples.jsonl.gz", str(tmp_path)))
    rows = [json.loads(line) for line in gzip.decompress(kept.read_bytes()).decode().splitlines()]
    assert len(rows) == sum(3 * len(trial.tracks) for trial in room.trials)
    written = next(row for row in rows if row["trial"] == "micro/apart/generation/seed0")
    assert written.keys() >= {"track", "problem_id", "finish", "verdict", "detail"}
    assert written["prompt"] and written["output"] == written["reference"]
    stored = Path(parent.info.artifact_uri.removeprefix("file://")) / "samples.jsonl.gz"
    stored.unlink()
    room.project()
    assert not stored.exists(), "what did not change is not sent again"
