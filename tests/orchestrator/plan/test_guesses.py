"""A first guess of time and disk: marked, from the data that a study names, and gone once something was measured."""

import re
from pathlib import Path
from typing import Any

import pytest
from small_studies import finish_training, lines, make_study, opened, problem, trial_of
from typer.testing import CliRunner

from models.shapes import Estimate, Unknown
from orchestrator.cli import app
from orchestrator.errors import StudyError
from orchestrator.ledger.ledger import Ledger
from orchestrator.plan.expected import expected
from orchestrator.plan.guesses import Guesser
from orchestrator.plan.machine import Machine
from orchestrator.plan.plan import plan
from orchestrator.run.planning import plan_study
from orchestrator.study.cells import expand
from orchestrator.study.resources import Resources
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from tasks.records import Example

TWO_CORES = Machine(cores=2, gpus=0, memory=Unknown(reason="not asked"))
CODER = {"models": ["Qwen/Qwen2.5-Coder-1.5B-Instruct"]}


def hours(trial: TrialSpec, stage: StageName, root: Path, **resources: Any) -> float:
    found = Guesser(Resources(**resources), root=root).hours(trial, stage)
    assert isinstance(found, Estimate) and found.guess
    return found.value


def test_fresh_ledger_has_a_guess_for_every_stage_and_says_that_it_is_one(tmp_path: Path) -> None:
    planned, _ = plan_study(*opened(make_study(tmp_path)))
    shown = [stage.hours for p in planned for stage in p.stages]
    assert all(isinstance(value, Estimate) and value.guess and value.value > 0 for value in shown)
    line = expected(planned, Resources(), TWO_CORES)
    assert line.startswith("expected: about ") and "(a guess)" in line and line.endswith("of disk")


def test_measured_stage_takes_the_place_of_its_guess(tmp_path: Path) -> None:
    study, ledger = make_study(tmp_path), Ledger(tmp_path / "runs")
    finish_training(ledger, trial_of(study, "qlora"))
    other = trial_of(make_study(tmp_path, seeds=[1]), "qlora")
    guesser = Guesser(Resources(), root=tmp_path / "data")
    (found,) = plan([other], ledger, resources=Resources(), guesser=guesser)
    assert found.stages[0].hours == Estimate(value=2.0, basis="from 1 earlier record")
    assert isinstance(found.hours, Estimate) and found.hours.guess, "what comes after it is still guessed"


def test_guess_grows_with_epochs_rows_and_weights_and_falls_with_cores(tmp_path: Path) -> None:
    root = tmp_path / "data"
    train = StageName.TRAIN

    def trial(**changes: Any) -> TrialSpec:
        return trial_of(make_study(tmp_path, **changes), "qlora")

    two, four = (trial(training={"epochs": n, "learning_rate": 0.001}, **CODER) for n in (2000, 4000))
    once = hours(two, train, root)
    assert hours(four, train, root) == pytest.approx(2 * once, rel=0.05)
    assert hours(two, train, root, trial_cpus=2) == pytest.approx(once / 2, rel=0.05)
    assert hours(two, train, root, trial_gpus=1) < once / 20
    full = trial_of(make_study(tmp_path, methods={"full": {"kind": "full"}}, training=two_settings(), **CODER), "full")
    assert hours(full, train, root) == pytest.approx(1.5 * once, rel=0.1)
    few = hours(trial(training=two_settings()), train, root)
    pairs = [Example(id=f"{i}", track="generation/python", input=f"say {i}", output=f"{i}") for i in range(2000)]
    (root / "train.jsonl").write_text(lines(pairs), encoding="utf-8")
    code = {"generation/python": {role: {"reader": "jsonl", "path": "."} for role in ("train", "test")}}
    (root / "test.jsonl").write_text(lines([problem(1)]), encoding="utf-8")
    assert hours(trial(tasks=code, training=two_settings()), train, root) > 100 * few


def two_settings() -> dict[str, Any]:
    return {"epochs": 2000, "learning_rate": 0.001}


def test_rows_that_nothing_tells_are_unknown_until_a_limit_says_them(tmp_path: Path) -> None:
    hub = {"reader": "hub", "repository": "org/pairs", "columns": {"input": "a", "output": "b"}}
    tasks = {"generation/python": {"train": hub, "test": {"reader": "jsonl", "path": "."}}}
    open_ended = trial_of(make_study(tmp_path, tasks=tasks, training=two_settings()), "qlora")
    guesser = Guesser(Resources(), root=tmp_path / "data")
    found = guesser.hours(open_ended, StageName.TRAIN)
    assert isinstance(found, Unknown) and "set data.*_limit" in found.reason
    limited = {"generation/python": {**tasks["generation/python"], "train": {**hub, "limit": 500}}}
    trial = trial_of(make_study(tmp_path, tasks=limited, training=two_settings()), "qlora")
    assert isinstance(guesser.hours(trial, StageName.TRAIN), Estimate)


def test_guess_refuses_and_prices_nothing_by_itself(tmp_path: Path) -> None:
    study = make_study(tmp_path, resources={"price_per_hour": 1000.0})
    planned, _ = plan_study(*opened(study))
    assert all(isinstance(p.cost, Estimate) and p.cost.guess and not p.refusals(here=True) for p in planned)


def test_clock_counts_what_runs_side_by_side(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=list(range(40)), methods={"qlora": {"kind": "qlora"}})
    guesser = Guesser(Resources(), root=tmp_path / "data")
    planned = plan(expand(study).trials, Ledger(tmp_path / "runs"), resources=Resources(), guesser=guesser)
    by_cores = {
        cores: expected(planned, Resources(), Machine(cores=cores, gpus=0, memory=TWO_CORES.memory))
        for cores in (2, 20)
    }
    minutes = {cores: float(line.split()[2]) for cores, line in by_cores.items()}
    assert " min " in by_cores[2] and minutes[2] > 5, by_cores
    assert by_cores[20].split()[3] == "s" or minutes[20] < minutes[2] / 4, by_cores


def test_warm_up_that_the_rows_give_no_steps_for_is_refused_by_the_plan(tmp_path: Path) -> None:
    training = {"epochs": 2, "learning_rate": 0.001, "warmup_steps": 50}
    with pytest.raises(StudyError, match=r"qlora/seed0: training.warmup_steps is 50, and the training has 1 steps"):
        plan_study(*opened(make_study(tmp_path, training=training)))
    plan_study(*opened(make_study(tmp_path, training=training | {"epochs": 200})))


def test_init_says_how_long_its_study_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init"])
    assert done.exit_code == 0, done.output
    assert re.search(r"^Expected: about \d+ min \(a guess\), [\d.]+ MiB of disk$", done.output, re.MULTILINE)


def test_init_on_own_data_asks_a_question_of_one_track(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text("prompt,completion\nsay one,print(1)\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["init", "--data", "pairs.csv"])
    assert done.exit_code == 0, done.output
    study = (tmp_path / "study.yaml").read_text(encoding="utf-8")
    assert "Does QLoRA on this data beat the model as it came?" in study and "apart" not in study


def test_init_says_that_a_study_it_wrote_cannot_run_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text("ask,told\nsay one,print(1)\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["init", "--data", "pairs.csv"])
    assert done.exit_code != 0 and (tmp_path / "study.yaml").is_file()
    assert "study.yaml is written, and cannot run before this is mended" in done.output
