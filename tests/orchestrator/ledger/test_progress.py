"""How far trials are, read from the ledger, and how that is shown on a terminal and elsewhere."""

import io
import json
import os
import time
from pathlib import Path

import pytest
from rich.console import Console
from small_studies import finish_training, make_study, trial_of

from orchestrator.commands.watch import Watcher, picture
from orchestrator.ledger.ledger import Failure, Ledger
from orchestrator.ledger.progress import StageProgress, leave_progress, progress_of
from orchestrator.ledger.studies import ledger_of
from orchestrator.study.cells import expand
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


@pytest.fixture
def ledger(study: Study) -> Ledger:
    return ledger_of(study)


@pytest.fixture
def trial(study: Study) -> TrialSpec:
    return trial_of(study, "qlora")


def begin(ledger: Ledger, trial: TrialSpec, *, seconds: float = 0) -> Path:
    folder = ledger.begin(trial.key("train")).folder
    os.utime(folder, (time.time() + seconds, time.time() + seconds))
    return folder


def now(ledger: Ledger, trial: TrialSpec, *, live_since: float | None = None) -> StageProgress:
    return progress_of([trial], ledger, live_since=live_since)[0].now


def test_stage_goes_from_waiting_over_running_to_done(ledger: Ledger, trial: TrialSpec) -> None:
    assert now(ledger, trial).state == "waiting"
    folder = begin(ledger, trial)
    assert now(ledger, trial, live_since=1.0).state == "running"
    row = {"step": 10, "total_steps": 40, "loss": 1.25, "tokens_per_s": 512.0, "seconds": 60.0, "time": time.time()}
    leave_progress(folder, row)
    running = now(ledger, trial, live_since=1.0)
    assert (running.step, running.steps, running.loss, running.tokens_per_s) == (10, 40, 1.25, 512.0)
    assert running.seconds_left == pytest.approx(180, abs=30)
    finish_training(ledger, trial)
    whole = progress_of([trial], ledger, live_since=1.0)[0]
    assert (whole.stages[0].state, whole.seconds, whole.now.stage) == ("done", 7200.0, "generate")


def test_attempt_older_than_its_driver_was_stopped(ledger: Ledger, trial: TrialSpec) -> None:
    begin(ledger, trial)
    assert now(ledger, trial, live_since=time.time() + 60).state == "stopped"
    assert now(ledger, trial, live_since=None).state == "stopped"


def test_attempt_of_another_machine_is_told_by_its_chunks(ledger: Ledger, trial: TrialSpec) -> None:
    metrics = begin(ledger, trial) / "metrics"
    metrics.mkdir()
    rows = [{"step": 7, "loss": 2.0, "tokens_per_s": 5.0}, {"step": 7, "validation/loss": 3.0}]
    (metrics / "00000.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = now(ledger, trial, live_since=1.0)
    assert (found.step, found.loss, found.tokens_per_s) == (7, 2.0, 5.0)


def test_failure_is_shown_with_its_cause_until_it_is_tried_again(ledger: Ledger, trial: TrialSpec) -> None:
    failure = Failure(stage="train", cause="out of memory", kind="memory", traceback="", failed_at=1.0)
    ledger.fail(ledger.begin(trial.key("train")), failure)
    assert (now(ledger, trial).state, now(ledger, trial).cause) == ("failed", "out of memory")
    begin(ledger, trial, seconds=9)
    assert now(ledger, trial, live_since=1.0).state == "running"


def test_table_keeps_what_is_at_work_where_room_is_short(study: Study, ledger: Ledger, trial: TrialSpec) -> None:
    leave_progress(begin(ledger, trial), {"step": 3, "total_steps": 4, "loss": 1.5})
    console = Console(file=io.StringIO(), width=100)
    console.print(picture(progress_of(expand(study).trials, ledger, live_since=1.0), height=4))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "micro/qlora/seed0" in shown and "3/4" in shown and "1.500" in shown
    assert "micro/frozen/seed0" not in shown
    assert "1 running, 1 waiting; 1 not shown" in shown


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_names_are_whole_and_lines_as_wide_as_the_terminal(tmp_path: Path, ledger: Ledger, width: int) -> None:
    name = "adapter-with-a-rather-long-name"
    trials = expand(make_study(tmp_path, methods={name: {"kind": "lora", "grouping": "apart"}})).trials
    leave_progress(begin(ledger, trials[0]), {"step": 30, "total_steps": 40, "loss": 1.5, "tokens_per_s": 1234.0})
    console = Console(file=io.StringIO(), width=width)
    console.print(picture(progress_of(trials, ledger, live_since=1.0), height=20, seconds=65))
    shown = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, shown)) <= width
    names = "".join(line[: shown[0].index("stage")].strip() for line in shown[1:-1])
    assert names == "".join(trial.label for trial in trials)
    assert "30/40" in shown[1] and ("1,234" in shown[1], "━" in shown[1]) == (width > 60, width > 100)
    assert shown[-1] == "1 running, 1 waiting after 65 s"


@pytest.mark.parametrize("terminal", [True, False])
def test_run_is_shown_as_rows_on_a_terminal_and_as_lines_elsewhere(
    study: Study, ledger: Ledger, trial: TrialSpec, terminal: bool
) -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal)
    with Watcher(expand(study), ledger, quiet=False, console=console) as watcher:
        watcher.listener.stage("train", 1)
        leave_progress(begin(ledger, trial, seconds=5), {"step": 3, "total_steps": 4, "loss": 1.5})
        while terminal and "3/4" not in console.file.getvalue():  # type: ignore[attr-defined]
            time.sleep(0.1)
        watcher.listener.done(trial.label, StageName.GENERATE, "")
        watcher.listener.done(trial.label, StageName.TRAIN, "ValueError: no [/INST]")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("train: 1 trial" in shown) is not terminal
    # Whoever reads a pipe sees at once that it lives; a terminal has its table.
    assert (" 0:00  reading data and models of 2 trials" in shown) is not terminal
    assert (f"{trial.label} generate done" in shown) is not terminal
    assert "ValueError: no [/INST]" in shown
