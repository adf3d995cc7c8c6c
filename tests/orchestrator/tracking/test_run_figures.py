"""What a run shows of a trial: few metrics, the settings that differ, and a table of all the rest."""

import json
from pathlib import Path

import pytest
from report_samples import make_cell, make_trial
from tracked_studies import Room, commit, complete, finish, lines, make_room, read, score

from orchestrator.report.results import InstanceRow
from orchestrator.tracking.figures import scores_of
from orchestrator.tracking.settings import shared, varying
from tasks.records import VerdictName


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="module")
def finished(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Two finished trials, projected: the frozen model writes nothing, the adapted one the references."""
    room = make_room(tmp_path_factory.mktemp("figures"), uri, name="figures")
    for trial in room.trials:
        finish(room, trial)
    room.project()
    return room


def table(room: Room, run: str, folder: Path) -> list[dict[str, object]]:
    """A run's table by track."""
    run_id = room.run(run).info.run_id
    found = json.loads(Path(room.client.download_artifacts(run_id, "tracks.json", str(folder))).read_text())
    return [dict(zip(found["columns"], row, strict=True)) for row in found["data"]]


def test_a_run_says_what_identifies_its_trial(finished: Room) -> None:
    run = finished.run("micro/lora/seed0")
    assert run.data.params == {"model": "builtin:micro", "method": "lora", "task": "all", "seed": "0"}
    expected = {"model": "builtin:micro", "method": "lora", "task": "all", "seed": "0"}
    assert expected.items() <= run.data.tags.items()
    assert run.data.tags["mlflow.source.git.commit"] == "0123456789ab"


def test_settings_that_all_trials_share_are_no_parameters_and_stand_in_the_study_s_run(
    uri: str, tmp_path: Path
) -> None:
    ranks = {f"r{rank}": {"kind": "lora", "lora": {"rank": rank}} for rank in (4, 8)}
    room = make_room(tmp_path, uri, name=tmp_path.name, methods={"frozen": {"kind": "frozen"}, **ranks})
    for trial in room.trials:
        finish(room, trial, curve=[{"step": 1, "loss": 1.0}])
    room.project()
    assert varying(room.trials) == {"method", "training.lora.rank"}
    names = {run.info.run_name: run.data.params for run in room.runs()}
    assert names["micro/r4/seed0"]["training.lora.rank"] == "4"
    assert names["micro/frozen/seed0"]["training.lora.rank"] == "none"
    assert names[room.study.study] == {}
    parent = room.run(room.study.study).info.run_id
    common = json.loads(Path(room.client.download_artifacts(parent, "settings.json", str(tmp_path))).read_text())
    assert common == shared(room.trials)
    assert common["training.learning_rate"] == "0.001"


def test_scores_stand_under_their_track_and_for_the_whole_trial(finished: Room) -> None:
    frozen, adapted = (finished.run(f"micro/{method}/seed0").data.metrics for method in ("frozen", "lora"))
    assert (frozen["generation/python/pass_at_1"], adapted["generation/python/pass_at_1"]) == (0.0, 100.0)
    assert (frozen["pass_at_1"], adapted["pass_at_1"]) == (0.0, 100.0)
    assert adapted["summarization/java/bleu"] == adapted["bleu"] == pytest.approx(100)
    assert adapted["hours"] == pytest.approx(236 / 3600, abs=1e-4)
    assert adapted["health/adapter_changes_outputs"] == 1.0


def test_the_metric_that_the_question_names_stands_for_its_tracks_and_money_is_told(uri: str, tmp_path: Path) -> None:
    asked = {"question": {"text": "?", "metric": "chrf"}, "resources": {"price_per_hour": 3600.0}}
    room = make_room(tmp_path, uri, name=tmp_path.name, **asked)
    finish(room, room.trial("frozen"))
    room.project()
    metrics = room.run("micro/frozen/seed0").data.metrics
    assert {"chrf", "generation/python/chrf", "summarization/java/chrf"} <= metrics.keys()
    assert not {"pass_at_1", "bleu"} & metrics.keys()
    assert metrics["usd"] > 0


def test_counts_are_told_by_track_and_over_all_tracks(finished: Room) -> None:
    frozen, adapted = (finished.run(f"micro/{method}/seed0").data.metrics for method in ("frozen", "lora"))
    assert (frozen["generation/python/completions"], frozen["generation/python/empty"]) == (3, 3)
    assert (frozen["generation/python/passed"], adapted["generation/python/passed"]) == (0, 2)
    assert "summarization/java/passed" not in adapted
    totals = {name.removeprefix("counts/"): value for name, value in adapted.items() if name.startswith("counts/")}
    assert totals == {
        "problems": 6, "completions": 6, "truncated": 0, "empty": 0, "prompt_tokens": 60, "new_tokens": 30,
        "passed": 2, "failed": 0, "unjudged": 1,
    }  # fmt: skip


def test_table_by_track_has_all_that_is_no_metric(finished: Room, tmp_path: Path) -> None:
    first, second = table(finished, "micro/frozen/seed0", tmp_path)
    assert (first["track"], second["track"]) == ("generation/python", "summarization/java")
    assert (first["parses"], first["compile_error"], first["unjudged"]) == (0.0, 2, 1)
    assert {"codebleu", "codebleu_corpus", "bleu", "exact_match"} <= first.keys()
    assert (second["score_of"], second["passed"]) == ("bleu", None)
    assert list(first)[:3] == ["track", "score", "score_of"]
    named = json.loads(finished.run("micro/frozen/seed0").data.tags["mlflow.loggedArtifacts"])
    assert named == [{"path": "tracks.json", "type": "table"}]


def test_a_run_has_few_metrics_of_one_point(finished: Room) -> None:
    run = finished.run("micro/lora/seed0")
    single = [name for name in run.data.metrics if not name.startswith(("train/", "validation/"))]
    assert len(single) < 30


def test_what_is_looked_at_first_is_written_first(finished: Room) -> None:
    """MLflow's page that compares runs opens on the first metric that all of them have, as its database lists them."""
    for method in ("frozen", "lora"):
        assert next(iter(finished.run(f"micro/{method}/seed0").data.metrics)) == "pass_at_1"


def test_data_sets_of_one_track_are_told_apart(uri: str, tmp_path: Path) -> None:
    room = make_room(tmp_path, uri, name=tmp_path.name)
    trial = room.trial("frozen")
    first, *others = [p for p in read(trial.test) if p.track == "generation/python"]
    problems = [first.model_copy(update={"dataset": "mbpp+"}), *others]
    written = [complete(problem, problem.reference) for problem in problems]
    commit(room, trial, "generate", write={"completions.jsonl": lines(written)}, seconds=1)
    score(room, trial, problems=problems, written=written)
    room.project()
    names = {key for key in room.run(trial.label).data.metrics if "/empty" in key and "python" in key}
    assert names == {"generation/python/empty/mbpp_", "generation/python/empty/micro"}


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
    figures = {name: value for name, value in scores_of(cell, rows).items() if name.startswith("quality.")}
    assert figures == {
        "quality.lines_of_code.parsing": 9.0, "quality.lines_of_code.parsing_files": 12.0,
        "quality.lines_of_code.passing": 6.0, "quality.lines_of_code.passing_files": 6.0,
        "quality.lines_of_code.vs_reference": 1.0, "quality.lines_of_code.vs_reference_files": 12.0,
        "quality.cyclomatic_complexity.parsing": 3.0, "quality.cyclomatic_complexity.parsing_files": 12.0,
        "quality.cyclomatic_complexity.passing": 3.0, "quality.cyclomatic_complexity.passing_files": 6.0,
        "quality.cyclomatic_complexity.vs_reference": 1.0, "quality.cyclomatic_complexity.vs_reference_files": 12.0,
    }  # fmt: skip
    few = list(scores_of(cell, [rows[0], rows[1], rows[7]]))
    assert [name for name in few if name.startswith("quality.lines")] == [
        "quality.lines_of_code.vs_reference",
        "quality.lines_of_code.vs_reference_files",
    ]
