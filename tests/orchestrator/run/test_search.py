"""Searches: what a study file may say, what is tried, what is kept, and that only the winner is tested."""

import json
import math
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from small_studies import make_study, opened, raw_study, write_data

from orchestrator.errors import StudyError
from orchestrator.ledger.garbage import named_keys
from orchestrator.ledger.studies import ledger_of, load_named
from orchestrator.run.driver import run_study
from orchestrator.run.planning import plan_study, store_study
from orchestrator.run.search import resolved, under_search, unfinished
from orchestrator.run.tpe import ask
from orchestrator.study.cells import candidates_of, expand
from orchestrator.study.file import load_study
from orchestrator.study.schema import Study
from orchestrator.study.space import Range, Search, Values, with_values
from orchestrator.work.session import local_ray
from tasks.readers.source import DataError
from trainers.spec import TrainingSettings

pytestmark = pytest.mark.ray

SPACE = {"training.learning_rate": {"log_uniform": [1e-4, 1e-1]}, "lora.rank": {"grid": [2, 4]}}


LEARNABLE = {"training.learning_rate": {"log_uniform": [1e-4, 1e-1]}, "lora.rank": {"choice": [2, 4]}}


def searching(**changes: Any) -> dict[str, Any]:
    return {"tuned": {"kind": "lora", "search": {"space": SPACE, "num_trials": 2, **changes}}}


TRAINING = {"max_steps": 4, "validate_every": 2, "batch_size": 2}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path, methods=searching(), training=TRAINING, seeds=[0, 1])


def test_candidates_are_draws_times_grid_and_the_same_each_time() -> None:
    search = Search.model_validate({"space": SPACE, "num_trials": 3, "seeds": [7]})
    tried = search.candidates()
    assert [values["lora.rank"] for values in tried] == [2, 4] * 3
    rates = [values["training.learning_rate"] for values in tried]
    assert len(set(rates)) == 3 and all(1e-4 <= float(str(rate)) <= 1e-1 for rate in rates)
    assert search.candidates() == tried
    other = search.model_copy(update={"seeds": (8,)}).candidates()
    assert other != tried


def test_draws_are_even_in_the_logarithm() -> None:
    wide = {"training.learning_rate": {"log_uniform": [1e-6, 1.0]}}
    rates = [
        float(str(values["training.learning_rate"]))
        for values in Search.model_validate({"space": wide, "num_trials": 400}).candidates()
    ]
    assert abs(sum(math.log10(rate) < -3 for rate in rates) / 400 - 0.5) < 0.1


def test_a_count_is_drawn_whole_and_what_is_drawn_twice_is_tried_once() -> None:
    search = Search.model_validate({"space": {"lora.rank": {"uniform": [1, 3]}}, "num_trials": 30})
    assert sorted(int(str(values["lora.rank"])) for values in search.candidates()) == [1, 2, 3]


def test_values_take_the_place_of_settings() -> None:
    training, lora = with_values(TrainingSettings(max_steps=4), None, {"training.learning_rate": 0.5, "lora.rank": 3})
    assert (training.learning_rate, training.max_steps, lora and lora.rank) == (0.5, 4, 3)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "exactly one of log_uniform, uniform, choice and grid"),
        ({"uniform": [0, 1], "choice": [1]}, "exactly one of log_uniform, uniform, choice and grid"),
        ({"uniform": [1, 0]}, "the lower bound must be below the upper"),
        ({"log_uniform": [0, 1]}, "log_uniform needs bounds above 0"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Range.model_validate(entry)


FAULTS = """\
study: wrong
models: [builtin:micro]
tasks: {generation/python: {train: micro, validation: micro, test: micro}}
training: {max_steps: 4, validate_every: 2}
methods:
  fixed:
    kind: lora
    training: {learning_rate: 0.1}
    search:
      space:
        training.learning_rate: {log_uniform: [0.001, 0.1]}
  unknown:
    kind: lora
    search:
      space:
        training.learning_rat: {uniform: [0.001, 0.1]}
  misspelt:
    kind: lora
    search:
      num_trails: 3
      space:
        lora.rank: {choice: [2, 4]}
  unfit:
    kind: lora
    search:
      space:
        lora.rank: {choice: [2, 0]}
"""


def test_every_fault_of_a_search_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(FAULTS, encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(path)
    said = str(caught.value)
    print(said)
    assert (
        "line 11, methods.fixed.search.space.training.learning_rate: the study fixes it to 0.1 as well; "
        "leave one of the two out"
    ) in said
    assert "line 15, methods.unknown.search.space: training.learning_rat is nothing that can be searched; " in said
    assert "did you mean training.learning_rate?" in said
    assert "line 20, methods.misspelt.search.num_trails: unknown key; did you mean num_trials?" in said
    assert "methods.unfit: search.space.lora.rank: Input should be greater than or equal to 1, got 0" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training": {"max_steps": 4}}, "set training.validate_every"),
        ({"methods": {"f": {"kind": "frozen", "search": {"space": SPACE}}}}, "use another kind than frozen"),
        ({"methods": searching(metric="validation/similarity")}, "needs training.select_by: similarity"),
        ({"methods": searching(space={"training.loss": {"uniform": [0, 1]}})}, "is no number and has no bounds"),
        ({"methods": searching(space={"training.warmup_steps": {"log_uniform": [0.5, 50]}})}, "begins at 1, got 0.5"),
        ({"methods": searching(algorithm="asha", seeds=[0, 1])}, "so it takes one of seeds"),
        ({"methods": searching(algorithm="tpe", num_trials=20)}, "write choice in place of grid"),
        ({"methods": searching(algorithm="tpe", space=LEARNABLE)}, "so it needs num_trials above that, got 2"),
        ({"methods": {"f": {"kind": "full", "search": {"space": SPACE}}}}, "leave lora out of search.space"),
    ],
)
def test_a_search_that_cannot_be_decided_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        make_study(tmp_path, **{"methods": searching(), "training": TRAINING, **changes})


def test_candidates_have_no_problems_and_there_is_no_trial_before_there_is_a_winner(study: Study) -> None:
    assert expand(study).trials == ()
    (found,) = candidates_of(expand(study), "tuned").values()
    assert len(found) == 4
    assert all(trial.test == () and trial.validation for candidate in found for trial in candidate)
    assert len({trial.label for candidate in found for trial in candidate}) == 4
    assert unfinished(expand(study)) == {"tuned": 4}
    said = "the search for tuned has not finished: 4 trainings on the validation split come first"
    assert said in plan_study(*opened(study))[1]


def test_what_an_unfinished_search_has_asked_for_is_named_so_that_gc_leaves_it(study: Study) -> None:
    ledger = ledger_of(study)
    store_study(expand(study), ledger)
    (candidates,) = candidates_of(expand(study), "tuned").values()
    assert {trial.key("train") for candidate in candidates for trial in candidate} <= named_keys(ledger)


def test_a_fault_in_data_stops_a_search_before_anything_is_trained(tmp_path: Path, study: Study) -> None:
    (tmp_path / "data" / "test.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"test\.jsonl"):
        run_study(*opened(study))
    assert ledger_of(study).store.entries("stages/") == []


WIDE = {
    "training.learning_rate": {"log_uniform": [1e-6, 1.0]},
    "training.weight_decay": {"uniform": [0.0, 1.0]},
    "lora.rank": {"uniform": [1, 64]},
    "lora.targets": {"choice": [["q_proj"], ["q_proj", "v_proj"]]},
}


def loss_at(values: Values) -> float:
    """Lowest at a learning rate of 1e-3 and rank 16, with both targets."""
    rate, rank = float(str(values["training.learning_rate"])), int(str(values["lora.rank"]))
    return (math.log10(rate) + 3) ** 2 + ((rank - 16) / 16) ** 2 + (values["lora.targets"] == ["q_proj"])


def asked_of_tpe(search: Search, *, broken: int = -1) -> list[tuple[Values, float | None]]:
    seen: list[tuple[Values, float | None]] = [(values, loss_at(values)) for values in search.candidates()]
    while more := ask(search, seen):
        seen += [(values, None if len(seen) + i == broken else loss_at(values)) for i, values in enumerate(more)]
    return seen


def test_tpe_asks_as_often_as_it_may_and_the_same_each_time() -> None:
    search = Search.model_validate({"algorithm": "tpe", "space": WIDE, "num_trials": 23})
    seen = asked_of_tpe(search)
    assert len(seen) == search.trainings == 23
    assert asked_of_tpe(search) == seen
    for seed in (5, -42, 2**33):
        assert asked_of_tpe(search.model_copy(update={"seeds": (seed,)})) != seen
    # What a setting takes is what is asked for; a candidate that came to nothing is no obstacle.
    for values, _ in asked_of_tpe(search, broken=12):
        with_values(TrainingSettings(max_steps=4), None, values)
        assert isinstance(values["lora.rank"], int)


def test_tpe_goes_where_candidates_did_well() -> None:
    worst = []
    for seed in range(5):
        search = Search.model_validate({"algorithm": "tpe", "space": WIDE, "num_trials": 40, "seeds": [seed]})
        losses = [float(str(value)) for _, value in asked_of_tpe(search)]
        worst.append(median(losses[-10:]) < median(losses[:10]))
    assert all(worst)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("algorithm", "tried"),
    [({}, 4), ({"algorithm": "asha"}, 4), ({"algorithm": "tpe", "space": LEARNABLE, "num_trials": 12}, 12)],
    ids=["random", "asha", "tpe"],
)
def test_the_winner_alone_is_tested_and_every_decision_is_kept(
    tmp_path: Path, algorithm: dict[str, Any], tried: int
) -> None:
    write_data(tmp_path / "data")
    raw = raw_study(
        data={"root": str(tmp_path / "data")},
        storage="runs",
        methods=searching(**algorithm),
        training={**TRAINING, "max_steps": 6},
        evaluation={"quality": False, "generation": {"max_new_tokens": 8, "max_summary_tokens": 8}},
        seeds=[5],
    )
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**raw, "storage": str(tmp_path / "runs")}), encoding="utf-8")
    study = load_study(path)
    ledger = ledger_of(study)
    with local_ray(study.resources, num_cpus=2):
        outcome = run_study(*opened(study))
        again = run_study(*opened(study))
        # As if the search had been cut off before it wrote down what it found: it asks for the same again.
        (kept,) = (tmp_path / "runs" / "studies" / "small").glob("search-" + "[0-9a-f]" * 16 + ".json")
        wrote = kept.read_bytes()
        kept.unlink()
        third = run_study(*opened(study))
    assert (third.ran, kept.read_bytes()) == ({}, wrote)
    assert under_search(expand(study), ledger) != () == under_search(resolved(expand(study), ledger), ledger)
    assert (outcome.failed, outcome.stopped) == ({}, "")
    # One ordinary trial: the winner, with the study's own seed and not the search's.
    assert outcome.ran == {"train": 1, "generate": 1, "execute": 1, "score": 1}
    assert (again.ran, again.failed) == ({}, {})
    found = resolved(expand(study), ledger)
    (trial,) = found.trials
    decisions = json.loads(kept.read_text(encoding="utf-8"))
    assert len(decisions["decisions"]) == tried
    assert {d["state"] for d in decisions["decisions"]} <= {"done", "stopped"}
    best = min((d for d in decisions["decisions"] if d["state"] == "done"), key=lambda d: d["value"])
    assert decisions["chosen"] == best["values"]
    assert trial.training is not None and trial.lora is not None
    assert trial.training.learning_rate == best["values"]["training.learning_rate"]
    assert (trial.lora.rank, trial.seed) == (best["values"]["lora.rank"], 5)
    # Whoever reads the study by its name finds the winner too, though no value of it is written there.
    named = resolved(expand(load_named(f"{tmp_path}/runs/small")), ledger)
    assert named.trials == (trial,)
    # The candidates wrote nothing and saw no problem.
    generated = [p for p in (tmp_path / "runs" / "stages").glob("*/record-*.json") if '"generate"' in p.read_text()]
    assert len(generated) == 1
