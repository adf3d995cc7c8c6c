"""What a study found, as data frames: every completion with its words, and the figures of the report."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from small_studies import CODE, PROSE, reference

import polytune
from orchestrator.report.collect import collect
from orchestrator.report.evidence import gather
from orchestrator.report.scores import Measure, Score, list_metrics, score_trial
from orchestrator.run.opening import open_study


def only(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    for name, value in values.items():
        frame = frame[frame[name] == value]
    return frame


def test_each_completion_is_a_row_with_all_its_words(quickstart: Path) -> None:
    instances = polytune.load("quickstart").instances
    assert len(instances) == 3 * 2 * 3
    assert not instances.duplicated(["trial", "problem_id", "sample"]).any()
    (row,) = only(instances, method="together", problem_id="small/1").to_dict(orient="records")
    assert row["trial"] == "micro/together/seed0"
    assert (row["model"], row["kind"], row["grouping"], row["seed"]) == ("builtin:micro", "qlora", "together", 0)
    assert (row["track"], row["dataset"], row["sample"]) == (CODE, "small", 0)
    assert row["prompt"] == "Add 1 to x and double it. Name the function solve."
    assert row["reference"] == reference(1)
    assert row["output"] == f"Here it is:\n```python\n{reference(1)}```\n"
    assert row["program"].strip() == reference(1).strip()
    assert (row["verdict"], row["passed"], row["exact_match"]) == ("passed", True, 100.0)
    assert (row["finish"], row["prompt_tokens"], row["new_tokens"]) == ("stop", 10, 5)


def test_prose_has_scores_and_neither_program_nor_verdict(quickstart: Path) -> None:
    prose = only(polytune.load("quickstart").instances, track=PROSE, method="together")
    assert prose[["program", "verdict", "passed"]].isna().all(axis=None)
    assert list(prose.rouge_l) == [100.0] * 3


def test_completions_that_are_not_judged_yet_are_rows(quickstart: Path) -> None:
    frozen = only(polytune.load("quickstart").instances, method="frozen")
    assert len(frozen) == 6 and frozen.output.notna().all()
    assert frozen[["verdict", "passed", "bleu", "empty"]].isna().all(axis=None)


def test_scores_and_means_are_those_of_the_report(quickstart: Path) -> None:
    results = polytune.load("quickstart")
    cells, ledger = open_study("quickstart")
    evidence = gather(collect(cells.study, cells.trials, ledger))
    scored = results.instances.set_index(["trial", "problem_id", "sample"])
    for row in evidence.results.rows:
        found = scored.loc[(row.trial, row.problem_id, row.sample)]
        assert {name: found[name] for name in row.scores} == row.scores
    compared = 0
    for trial in evidence.results.trials:
        for place in evidence.places:
            for metric in list_metrics(evidence, place):
                score = score_trial(evidence, trial, measure=Measure(place=place, metric=metric))
                cell = only(results.cells, trial=trial.trial, track=place.track, dataset=place.dataset)
                if isinstance(score, Score):
                    assert cell[metric].item() == score.value
                    assert score.corpus is None or cell[f"corpus_{metric}"].item() == score.corpus
                    compared += 1
    assert compared > 20


def test_cells_count_problems_and_samples(quickstart: Path) -> None:
    cells = polytune.load("quickstart").cells
    assert len(cells) == 4
    (cell,) = only(cells, method="together", track=CODE).to_dict(orient="records")
    assert (cell["problems"], cell["samples"], cell["unjudged"]) == (3, 3, 0)
    assert cell["pass@1"] == pytest.approx(100 / 3)


def test_costs_are_hours_memory_parameters_and_usd(quickstart: Path) -> None:
    costs = polytune.load("quickstart").costs
    (training,) = only(costs, method="together", stage="train").to_dict(orient="records")
    assert (training["state"], training["seconds"], training["hours"]) == ("done", 1800.0, 0.5)
    assert training["usd"] == 36.0 / 2
    facts = ("peak_memory_bytes", "trainable_parameters", "total_parameters")
    assert [training[name] for name in facts] == [1000, 10, 100]
    (missing,) = only(costs, method="frozen", stage="score").to_dict(orient="records")
    assert missing["state"] == "waiting" and pd.isna(missing["hours"]) and pd.isna(missing["usd"])


def test_a_study_is_found_by_its_file_and_its_results_elsewhere(finished: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(finished / "runs", moved)
    by_name = polytune.load("quickstart", storage=moved)
    by_file = polytune.load(finished / "runs" / "studies" / "quickstart" / "study.json")
    nothing = polytune.load(finished / "runs" / "studies" / "quickstart" / "study.json", storage=tmp_path / "empty")
    pd.testing.assert_frame_equal(by_name.instances, by_file.instances)
    assert len(nothing.instances) == 0 and {"problem_id", "verdict"} <= set(nothing.instances.columns)
    assert set(nothing.costs.state) == {"waiting"}


def test_a_wrong_name_is_told_with_the_nearest(quickstart: Path) -> None:
    with pytest.raises(polytune.PolytuneError, match="did you mean quickstart"):
        polytune.load("quickstar")


def test_data_that_are_gone_are_told(finished: Path, tmp_path: Path) -> None:
    stored = json.loads((finished / "runs" / "studies" / "quickstart" / "study.json").read_text())
    stored["data"]["root"] = str(tmp_path)
    (tmp_path / "moved.yaml").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(polytune.PolytuneError, match="no such"):
        polytune.load(tmp_path / "moved.yaml")
