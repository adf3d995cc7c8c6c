"""MLflow over a real ledger, whose stages are written here as their workers leave them.

One decision: one database for the whole file, since MLflow takes seconds to make one; each test has
an experiment, and where it changes stages a ledger, of its own.
"""

import functools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from report_samples import make_cell, make_trial

from orchestrator.ledger.ledger import Failure, Ledger, StageRecord, digests_of
from orchestrator.report.results import InstanceRow
from orchestrator.study.cells import expand
from orchestrator.study.plainform import plain_form
from orchestrator.study.schema import Study, validate
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrackSource, TrialSpec
from orchestrator.tracking.project import TrackingUnavailable, project, tracking_uri, ui_command
from orchestrator.tracking.runview import figures_of, trial_uploads
from orchestrator.work.data import read_all_problems
from orchestrator.work.score import cells_of, score_cell
from tasks.records import Completion, Problem, Verdict, VerdictName

FINISHED_AT = 1_750_000_000.0
BEFORE = FINISHED_AT - 1e6  # A driver that began before everything here is at work on all of it.
WEIGHTS = "the weights of a small adapter"
PROVENANCE = {"git": "0123456789ab+changes", "torch": "2.13.0", "host": "somebodys-laptop"}
CURVE = [
    {"step": step, "loss": 3 / step, "loss/generation/python": 2 / step, "time": FINISHED_AT - 200 + step / 2}
    for step in range(1, 401)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A study with its ledger, and the MLflow that it is projected to."""

    study: Study
    trials: tuple[TrialSpec, ...]
    ledger: Ledger
    uri: str

    def project(self, **options: Any) -> tuple[int, int]:
        done = project(self.study, self.trials, self.ledger, uri=self.uri, **options)
        assert len(done.pages) == (2 if done.runs else 0)
        return done.runs, done.rows

    def trial(self, method: str) -> TrialSpec:
        return next(trial for trial in self.trials if trial.method_name == method)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri)

    def runs(self, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
        experiment = self.client.get_experiment_by_name(self.study.study)
        return list(self.client.search_runs([experiment.experiment_id], run_view_type=view)) if experiment else []

    def run(self, name: str) -> Run:
        (found,) = [run for run in self.runs() if run.info.run_name == name]
        return found


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


def make_room(storage: Path, uri: str, *, name: str) -> Room:
    raw = {
        "study": name,
        "storage": str(storage),
        "models": ["builtin:micro"],
        "data": {"test_limit": 3},
        "training": {"max_steps": 400, "learning_rate": 0.001},
        "tasks": {track: {"train": "micro", "test": "micro"} for track in ("generation/python", "summarization/java")},
        "methods": {"frozen": {"kind": "frozen"}, "lora": {"kind": "lora"}},
        "evaluation": {"quality": False},
    }
    study = validate(plain_form(raw))
    return Room(study=study, trials=expand(study).trials, ledger=Ledger(storage), uri=uri)


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


@functools.cache
def read(sources: tuple[TrackSource, ...]) -> tuple[Problem, ...]:
    """A trial's problems; the built-in suite takes a second to draw."""
    return read_all_problems(sources, root=Path())


def finish(room: Room, trial: TrialSpec, *, curve: Sequence[dict[str, float]] = CURVE) -> None:
    """Leave every stage of a trial in the ledger."""
    problems = read(trial.test)
    if trial.kind != "frozen":
        train(room, trial, curve=curve)
    written = [complete(problem, "" if trial.kind == "frozen" else problem.reference) for problem in problems]
    commit(room, trial, "generate", write={"completions.jsonl": lines(written)}, seconds=20)
    tested = [c for c, problem in zip(written, problems, strict=True) if problem.tests]
    verdicts = [judge(completion, reached=index > 0) for index, completion in enumerate(tested)]
    commit(room, trial, "execute", write={"verdicts.jsonl": lines(verdicts)}, seconds=5)
    score(room, trial, problems=problems, written=written)


def train(room: Room, trial: TrialSpec, *, curve: Sequence[dict[str, float]]) -> None:
    facts = {"weights": "checkpoint-400", "seconds": 200.0, "tokens": 5000, "peak_memory_bytes": 2**30}
    half = len(curve) // 2
    write = {
        "metrics/00000.jsonl": "".join(json.dumps(row) + "\n" for row in curve[:half]),
        "metrics/00001.jsonl": "".join(json.dumps(row) + "\n" for row in curve[half:]),
        "checkpoint-400/adapter_model.safetensors": WEIGHTS,
        "summary.json": json.dumps(facts),
    }
    commit(room, trial, "train", write=write, seconds=210, facts=facts)


def score(room: Room, trial: TrialSpec, *, problems: Sequence[Problem], written: Sequence[Completion]) -> None:
    cells = [score_cell(*cell, quality=False).model_dump(mode="json") for cell in cells_of(problems, written)]
    commit(room, trial, "score", write={"cells.json": json.dumps(cells)}, seconds=1)


def complete(problem: Problem, text: str) -> Completion:
    return Completion(
        problem_id=problem.id, track=problem.track, dataset=problem.dataset, text=text, finish="stop",
        prompt_tokens=10, new_tokens=5,
    )  # fmt: skip


def judge(completion: Completion, *, reached: bool) -> Verdict:
    """What running it would show, had the machine `reached` it."""
    if not reached:
        return Verdict(task_id=completion.problem_id, verdict="unjudged", detail="the machine went down")
    return Verdict(task_id=completion.problem_id, verdict="passed" if completion.text else "compile_error")


def lines(records: Sequence[Completion | Verdict]) -> str:
    return "".join(record.model_dump_json() + "\n" for record in records)


def commit(
    room: Room, trial: TrialSpec, stage: StageName, *, write: dict[str, str], seconds: float, facts: Any = None
) -> None:
    attempt, done = room.ledger.begin(trial.key(stage)), room.ledger.records_of(trial)
    for name, text in write.items():
        (attempt.folder / name).parent.mkdir(exist_ok=True)
        (attempt.folder / name).write_text(text, encoding="utf-8")
    record = StageRecord(
        key=attempt.key,
        stage=stage,
        attempt=attempt.id,
        inputs={done[name].key: done[name].output_digest for name in trial.inputs_of(stage)},
        outputs=digests_of(attempt.folder),
        seconds=seconds,
        finished_at=FINISHED_AT + 100 * len(done),
        facts=facts or {},
        provenance=PROVENANCE,
    )
    assert room.ledger.commit(attempt, record) == record


def test_every_trial_is_one_run_below_the_study_s(finished: Room) -> None:
    parent, runs = finished.run("finished"), finished.runs()
    assert {run.info.run_name for run in runs} == {"finished", "micro/frozen/seed0", "micro/lora/seed0"}
    children = [run for run in runs if run is not parent and "polytune.trial" in run.data.tags]
    assert len({run.data.tags["polytune.trial"] for run in children}) == 2
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_run_says_what_identifies_its_trial(finished: Room) -> None:
    run = finished.run("micro/lora/seed0")
    assert run.data.params["training.lora.rank"] == "8"
    assert run.data.params["training.learning_rate"] == "0.001"
    assert "training.epochs" not in run.data.params
    expected = {"model": "builtin:micro", "method": "lora", "task": "all", "seed": "0"}
    assert expected.items() <= run.data.tags.items()
    assert run.data.tags["mlflow.source.git.commit"] == "0123456789ab"


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
    finished.client.set_tag(run_id, "polytune.curve", "")
    finished.project()
    assert len(finished.client.get_metric_history(run_id, "train/loss")) == len(CURVE)


def test_scores_stand_under_their_track_beside_their_health(finished: Room) -> None:
    frozen, adapted = (finished.run(f"micro/{method}/seed0").data.metrics for method in ("frozen", "lora"))
    assert (frozen["generation/python/pass_at_1"], adapted["generation/python/pass_at_1"]) == (0.0, 1.0)
    assert adapted["generation/python/unjudged_rate"] == pytest.approx(1 / 3)
    assert (frozen["generation/python/empty_rate"], frozen["generation/python/parse_rate"]) == (1.0, 0.0)
    assert adapted["generation/python/codebleu"] == pytest.approx(100)
    assert adapted["summarization/java/bleu"] == pytest.approx(100)
    assert adapted["resources/train_seconds"] == 210
    assert adapted["health/adapter_changes_outputs"] == 1.0


def test_quality_is_told_three_ways_each_with_the_files_behind_it() -> None:
    def file(index: int, *, parses: bool, verdict: VerdictName, lines_: float) -> InstanceRow:
        return InstanceRow(
            trial="t", track="generation/java", dataset="micro", problem_id=f"p/{index}", sample=0, empty=False,
            parses=parses, verdict=verdict, scores={"codebleu": 50.0},
            counts={"lizard.nloc": lines_, "lizard.ccn": 3.0} if parses else {},
        )  # fmt: skip

    rows = [
        file(0, parses=False, verdict="compile_error", lines_=0),
        *(file(i, parses=True, verdict="passed", lines_=6) for i in range(1, 7)),
        *(file(i, parses=True, verdict="wrong_answer", lines_=12) for i in range(7, 13)),
    ]
    # References have 8 lines each, and a complexity of 2.
    cell = make_cell(make_trial("t", kind="qlora", tracks=("generation/java",)), "generation/java", rows=rows)
    figures = {name: value for name, value in figures_of(cell, rows).items() if name.startswith("quality.")}
    assert figures == {
        "quality.lines_of_code.parsing": 9.0, "quality.lines_of_code.parsing_files": 12.0,
        "quality.lines_of_code.passing": 6.0, "quality.lines_of_code.passing_files": 6.0,
        "quality.lines_of_code.vs_reference": 1.0, "quality.lines_of_code.vs_reference_files": 12.0,
        "quality.cyclomatic_complexity.parsing": 3.0, "quality.cyclomatic_complexity.parsing_files": 12.0,
        "quality.cyclomatic_complexity.passing": 3.0, "quality.cyclomatic_complexity.passing_files": 6.0,
        "quality.cyclomatic_complexity.vs_reference": 1.0, "quality.cyclomatic_complexity.vs_reference_files": 12.0,
    }  # fmt: skip
    few = list(figures_of(cell, [rows[0], rows[1], rows[7]]))
    assert [name for name in few if name.startswith("quality.lines")] == [
        "quality.lines_of_code.vs_reference",
        "quality.lines_of_code.vs_reference_files",
    ]


def test_data_sets_of_one_track_are_told_apart(fresh: Room) -> None:
    trial = fresh.trial("frozen")
    first, *others = [p for p in read(trial.test) if p.track == "generation/python"]
    problems = [first.model_copy(update={"dataset": "mbpp+"}), *others]
    written = [complete(problem, problem.reference) for problem in problems]
    commit(fresh, trial, "generate", write={"completions.jsonl": lines(written)}, seconds=1)
    score(fresh, trial, problems=problems, written=written)
    fresh.project()
    names = {key for key in fresh.run(trial.label).data.metrics if "/parse_rate" in key}
    assert names == {"generation/python/parse_rate/mbpp_", "generation/python/parse_rate/micro"}


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
