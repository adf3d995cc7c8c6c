"""Hours and cost that a study may take: over restarts, and before a stage that would pass them."""

from pathlib import Path
from typing import Any

import pytest
from small_studies import finish_training, make_study, opened, trial_of

from models.shapes import Estimate
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.studies import ledger_of
from orchestrator.plan.estimates import GIB, checkpoints_of, disk_of
from orchestrator.plan.history import History
from orchestrator.run.budget import Limits, Meter, leave_stopped, stopped_because
from orchestrator.run.driver import run_study
from orchestrator.study.cells import expand
from orchestrator.study.resources import Resources
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

pytestmark = pytest.mark.ray


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path, seeds=[0, 1], resources={"price_per_hour": 3.0, "trial_cpus": 2})


def meter_of(study: Study, **limits: Any) -> Meter:
    return Meter(study, ledger_of(study), Limits(**limits))


def checkpoint_bytes(trial: TrialSpec) -> float:
    found = checkpoints_of(trial, Resources())
    assert isinstance(found, Estimate)
    return found.value


def test_hours_and_cost_of_earlier_runs_count(study: Study) -> None:
    trial = trial_of(study, "qlora")
    first = meter_of(study)
    with first:
        first.tick([(trial, "train")])
    again = meter_of(study)
    assert 0 < again.hours_used == first.hours_used
    assert 0 < again.usd_used == first.usd_used
    # Two cores at 3 USD an hour each, for as long as the training held them.
    assert first.usd_used <= first.hours_used * 2 * 3.0 + 1e-12


def test_a_reached_limit_is_said_with_what_was_used(study: Study) -> None:
    with meter_of(study):
        pass
    assert meter_of(study, max_hours=1.0).reached() == ""
    assert meter_of(study, max_hours=0.0).reached() == (
        "--max-hours 0 is reached (used 0.00 h and 0.00 USD in 2 runs); give more to go on"
    )


def test_a_stage_that_would_pass_a_limit_is_not_begun_and_one_of_unknown_length_is(study: Study) -> None:
    first, second = (trial for trial in expand(study).trials if trial.method_name == "qlora")
    ledger = ledger_of(study)
    finish_training(ledger, first)  # took two hours
    meter = meter_of(study, max_hours=1.5)
    assert not meter.may_start(second, "train")
    assert meter.may_start(second, "generate"), "nothing tells how long it takes"
    assert "1 stage was not begun, since the limits would be passed (the first: micro/qlora/seed1 train; " in (
        meter.left_out()
    )
    assert meter_of(study, max_hours=2.5).may_start(second, "train")
    # Two hours of two cores at 3 USD are 12 USD.
    assert not meter_of(study, max_cost=11.0).may_start(second, "train")
    assert meter_of(study, max_cost=13.0).may_start(second, "train")


def test_no_training_begins_whose_weights_would_pass_the_quota(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=[0, 1, 2, 3], methods={"lora": {"kind": "lora"}})
    first, *others = expand(study).trials
    kept = sum(
        file.size_bytes for file in finish_training(ledger_of(study), first, weights="w" * 1000).outputs.values()
    )

    def meter_with(room: float) -> Meter:
        resources = study.resources.model_copy(update={"checkpoints_gib": room / 2**30})
        return meter_of(study.model_copy(update={"resources": resources}))

    # The one that is kept, and two of its size, with what they leave to go on from.
    passing = checkpoint_bytes(first)
    meter = meter_with(3 * kept + 2 * passing)
    assert [meter.may_start(trial, "train") for trial in others] == [True, True, False]
    assert meter.may_start(others[0], "train"), "one that is tried again has its room"
    assert meter.may_start(others[2], "generate")
    assert "1 stage was not begun, since the limits would be passed (the first: micro/lora/seed3 train; " in (
        meter.left_out()
    )
    assert "`polytune gc` lists what no study names" in meter.left_out()
    assert not meter_with(kept).may_start(others[0], "train")
    assert meter_with(kept + passing).may_start(first, "train"), "one that is made anew takes no more room"


def test_checkpoints_of_trainings_under_way_take_room_until_they_are_recorded(tmp_path: Path) -> None:
    study = make_study(tmp_path, seeds=[0, 1], methods={"lora": {"kind": "lora"}})
    first, second = expand(study).trials
    passing, weights = checkpoint_bytes(first), disk_of(first, (StageName.TRAIN,), History(()), study.resources)
    assert isinstance(weights, Estimate)
    room = passing + 2 * weights.value
    resources = study.resources.model_copy(update={"checkpoints_gib": room / GIB})
    meter = meter_of(study.model_copy(update={"resources": resources}))
    assert [meter.may_start(trial, "train") for trial in (first, second)] == [True, False]
    meter.trained(first)
    assert meter.may_start(second, "train")


def test_no_limit_refuses_nothing(study: Study) -> None:
    meter = meter_of(study)
    assert all(meter.may_start(trial, "train") for trial in expand(study).trials)
    assert (meter.reached(), meter.left_out()) == ("", "")


def test_a_study_without_time_left_starts_nothing_and_status_says_why(study: Study) -> None:
    outcome = run_study(*opened(study), limits=Limits(max_hours=0.0))
    assert outcome.ran == {}
    assert outcome.stopped.startswith("--max-hours 0 is reached")
    assert stopped_because(study.study, ledger_of(study)) == outcome.stopped
    assert not (Path(study.storage) / "stages").exists()


def test_word_of_a_stop_is_gone_after_a_run_to_the_end(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "runs")
    leave_stopped("small", ledger, "")
    assert ledger.read_study_file("small", "stopped.json") is None
    leave_stopped("small", ledger, "--max-hours 1 is reached")
    assert stopped_because("small", ledger) == "--max-hours 1 is reached"
    leave_stopped("small", ledger, "")
    assert stopped_because("small", ledger) == ""
