"""Searches under way: limits, refusals, ends and restarts, and who is told what they found.

One decision: in place of Tune a loop of this file asks the real queue and commits real records, so everything
but the training itself is as in a run.
"""

import contextlib
import json
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_studies import make_study, opened

from orchestrator.errors import StageFailed
from orchestrator.ledger.attempts import record_failure, record_success
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.studies import ledger_of
from orchestrator.run import driver, search
from orchestrator.run.budget import Limits, Meter
from orchestrator.run.driver import run_study
from orchestrator.run.queue import TrainingQueue
from orchestrator.run.search import Searches, resolved
from orchestrator.study.cells import Cells, expand
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

SPACE = {"training.learning_rate": {"log_uniform": [1e-4, 1e-1]}, "lora.rank": {"uniform": [1, 4]}}
# A training with this rank fails each time.
BROKEN_RANK = 3


def searching(
    tmp_path: Path, *, grouping: str = "together", resources: dict[str, Any] | None = None, **more: Any
) -> Study:
    method = {"kind": "lora", "grouping": grouping, "search": {"space": SPACE, "seeds": [1], **more}}
    training = {"max_steps": 4, "validate_every": 2, "batch_size": 2}
    return make_study(tmp_path, methods={"tuned": method}, training=training, resources=resources or {})


class Trainings:
    """Trains what a queue gives by a formula, one at a time; `cut` of them, then it is as if the driver died."""

    def __init__(
        self, ledger: Ledger, *, cut: int = 10**6, before: Callable[[TrainingQueue], None] | None = None
    ) -> None:
        self.ledger, self.cut, self.before = ledger, cut, before
        self.trained: list[str] = []

    def __call__(self, queue: TrainingQueue, **unused: Any) -> None:
        while (order := queue.next()) is not None:
            if len(self.trained) == self.cut:
                raise InterruptedError("cut off")
            if self.before is not None:
                self.before(queue)
            self._train(queue, order.trial)

    def _train(self, queue: TrainingQueue, trial: TrialSpec) -> None:
        assert trial.lora is not None and trial.training is not None
        self.trained.append(trial.key("train"))
        attempt = self.ledger.begin(trial.key("train"))
        if trial.lora.rank == BROKEN_RANK:
            queue.end(trial, record_failure(self.ledger, attempt, "train", ValueError("three is broken")))
            return
        loss = (math.log10(trial.training.learning_rate) + 3) ** 2 + trial.lora.rank
        (attempt.folder / "metrics").mkdir()
        row = json.dumps({"step": 2, "validation/loss": loss})
        (attempt.folder / "metrics" / "00000.jsonl").write_text(row + "\n", encoding="utf-8")
        record_success(self.ledger, attempt, trial, "train", inputs={}, seconds=1.0, facts={"weights": "w"})
        queue.end(trial, None)


@pytest.fixture
def trained_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Trainings], None]:
    monkeypatch.setattr(driver, "local_ray", lambda *_, **__: contextlib.nullcontext())

    def use(trainings: Trainings) -> None:
        monkeypatch.setattr(search, "run_trainings", trainings)

    return use


def searches_of(study: Study, ledger: Ledger, meter: Meter | None = None) -> Searches:
    found = resolved(expand(study), ledger)
    return Searches(found, ledger, meter=meter or Meter(study, ledger, Limits()), note=lambda text: None)


def kept(ledger: Ledger, study: Study) -> dict[str, str]:
    """What searches left in the study's folder."""
    folder = ledger.study_folder(study.study)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("search-*")}


def test_a_search_is_counted_while_it_trains_and_stopped_at_the_limit(
    tmp_path: Path, trained_by: Callable[[Trainings], None]
) -> None:
    # A training that ends only when the queue is stopped: without a look at the limits meanwhile it would not.
    study = searching(tmp_path, num_trials=3, resources={"price_per_hour": 3600.0})
    ended = threading.Event()

    def wait(queue: TrainingQueue) -> None:
        while not queue.stopped and not ended.wait(0.05):
            pass

    trainings = Trainings(ledger_of(study), before=wait)
    trained_by(trainings)
    threading.Timer(60, ended.set).start()
    outcome = run_study(*opened(study), limits=Limits(max_cost=1.5))
    assert outcome.stopped.startswith("--max-cost 1.5 is reached")
    assert len(trainings.trained) <= 1 and not ended.is_set()
    ended.set()
    (cause,) = outcome.failed.values()
    assert "--max-cost 1.5 is reached" in cause.cause


def test_a_training_without_room_stops_its_own_search_alone(
    tmp_path: Path, trained_by: Callable[[Trainings], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = searching(tmp_path, grouping="apart", num_trials=4)
    ledger = ledger_of(study)
    trained_by(Trainings(ledger))
    meter = Meter(study, ledger, Limits())

    def may_start(trial: TrialSpec, stage: StageName) -> bool:
        return trial.group != "generation"

    monkeypatch.setattr(meter, "may_start", may_start)
    searches = searches_of(study, ledger, meter)
    searches.run()
    assert list(searches.failed) == ["micro/generation tuned"]
    assert [trial.group for trial in resolved(expand(study), ledger).trials] == ["summarization"]


def test_a_search_by_tpe_that_is_cut_off_again_and_again_finds_the_same_and_trains_nothing_twice(
    tmp_path: Path, trained_by: Callable[[Trainings], None]
) -> None:
    whole = searching(tmp_path / "whole", algorithm="tpe", num_trials=22)
    trainings = Trainings(ledger_of(whole))
    trained_by(trainings)
    searches_of(whole, ledger_of(whole)).run()
    study = searching(tmp_path / "cut", algorithm="tpe", num_trials=22)
    ledger = ledger_of(study)
    rounds: list[list[str]] = []
    while not resolved(expand(study), ledger).trials:
        cut = Trainings(ledger, cut=6)
        trained_by(cut)
        with contextlib.suppress(InterruptedError):
            searches_of(study, ledger).run()
        rounds.append(cut.trained)
    assert len(rounds) > 3
    assert kept(ledger, study) == kept(ledger_of(whole), whole)
    found = json.loads(next(text for text in kept(ledger, study).values() if "decisions" in text))
    broken = {decision["key"] for decision in found["decisions"] if decision["state"] == "failed"}
    assert broken, "no candidate failed, so nothing is shown about those that do"
    assert {d["cause"] for d in found["decisions"] if d["state"] == "failed"} == {"ValueError: three is broken"}
    # What failed is tried again only while its own round is open.
    again = [key for made in rounds for key in made]
    assert set(again) == set(trainings.trained)
    assert {key for key in again if again.count(key) > 1} <= broken
    assert not broken & set(rounds[-1]) - set(trainings.trained[-4:])


def test_whoever_watches_is_told_of_the_winner(
    tmp_path: Path, trained_by: Callable[[Trainings], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = searching(tmp_path, num_trials=2)
    trained_by(Trainings(ledger_of(study)))
    monkeypatch.setattr(driver, "_run_due", lambda run: None)
    told: list[Cells] = []
    run_study(*opened(study), listener=driver.Listener(study=told.append))
    assert [len(seen.trials) for seen in told] == [0, 1]


def test_a_fault_in_the_search_itself_is_raised(
    tmp_path: Path, trained_by: Callable[[Trainings], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = searching(tmp_path, num_trials=2)
    trained_by(Trainings(ledger_of(study), cut=0))
    with pytest.raises(InterruptedError):
        run_study(*opened(study))


def test_a_search_in_which_every_training_fails_says_how(
    tmp_path: Path, trained_by: Callable[[Trainings], None]
) -> None:
    study = searching(tmp_path, num_trials=2, space={"lora.rank": {"choice": [BROKEN_RANK]}})
    trained_by(Trainings(ledger_of(study)))
    searches = searches_of(study, ledger_of(study))
    searches.run()
    (failed,) = searches.failed.values()
    assert isinstance(failed, StageFailed) and "three is broken" in failed.cause
