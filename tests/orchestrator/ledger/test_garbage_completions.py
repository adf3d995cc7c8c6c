"""Clean-ups of completions that are kept item by item: those that some study would ask for stay."""

import json
from pathlib import Path

import pytest
from small_studies import commit, complete, finish_training, make_study, problem, trial_of
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.ledger.completions import Owner, Wanted, owner_of
from orchestrator.ledger.garbage import Garbage, find_garbage, remove
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.recorder import Recorder
from orchestrator.run.planning import store_study
from orchestrator.study.cells import expand
from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec

METHODS = {"frozen": {"kind": "frozen"}, "qlora": {"kind": "qlora"}}


@pytest.fixture
def study(tmp_path: Path, ledger: Ledger) -> Study:
    study = make_study(tmp_path, methods=METHODS)
    store_study(expand(study), ledger)
    return study


@pytest.fixture
def frozen(study: Study) -> TrialSpec:
    return trial_of(study, "frozen")


@pytest.fixture
def adapted(study: Study) -> TrialSpec:
    return trial_of(study, "qlora")


def keep(ledger: Ledger, trial: TrialSpec, owner: Owner, *numbers: int) -> str:
    """Keep completions of some problems, a chunk for each; returns the owner's digest."""
    wanted = [Wanted(problem=problem(number), samples=(0,)) for number in numbers]
    with Recorder(ledger.store, owner, wanted, settings=trial.generation, chunk_items=1) as recorder:
        for one in wanted:
            recorder.add(complete(one.problem, one.problem.reference))
    return owner.digest


def whys(found: tuple[Garbage, ...]) -> dict[str, str]:
    return {item.key: item.why for item in found if item.chunks}


def chunks(ledger: Ledger) -> list[str]:
    return [entry.name for entry in ledger.store.entries("completions/")]


def test_completions_of_a_planned_stage_stay_on_whatever_device(
    ledger: Ledger, frozen: TrialSpec, adapted: TrialSpec
) -> None:
    trained = finish_training(ledger, adapted)
    for trial, record in ((frozen, None), (adapted, trained)):
        for device in ("cpu", "cuda"):
            keep(ledger, trial, owner_of(trial, record, device=device), 1, 2)
    assert (find_garbage(ledger), len(chunks(ledger))) == ((), 8)


def test_completions_that_no_study_would_ask_for_go_whole(ledger: Ledger, frozen: TrialSpec, study: Study) -> None:
    warm = frozen.model_copy(update={"generation": frozen.generation.model_copy(update={"temperature": 0.5})})
    own, other = owner_of(frozen, None, device="cpu"), owner_of(warm, None, device="cpu")
    keep(ledger, frozen, own, 1, 2)
    gone = keep(ledger, warm, other, 1, 2, 3)
    old = keep(ledger, frozen, own.model_copy(update={"engine_version": own.engine_version - 1}), 1)
    (first, second) = sorted(find_garbage(ledger), key=lambda item: -item.chunks)
    assert (first.key, first.chunks, first.why) == (gone, 3, "no study would ask for them")
    assert (second.key, second.chunks, second.why) == (old, 1, "no study would ask for them")
    assert first.what == f"of model {str(frozen.model.digest)[:8]}, frozen"
    assert first.size_bytes == sum(e.size_bytes for e in ledger.store.entries(f"completions/{gone}/"))
    assert {item.key for item in remove(ledger)} == {gone, old}
    assert len(chunks(ledger)) == 2
    assert find_garbage(ledger) == ()


def test_completions_of_weights_that_are_made_anew_go_once_the_new_ones_are_there(
    ledger: Ledger, adapted: TrialSpec
) -> None:
    first = finish_training(ledger, adapted, weights="first")
    stale = keep(ledger, adapted, owner_of(adapted, first, device="cpu"), 1)
    ledger.condemn(first, "damaged by hand")
    assert find_garbage(ledger) != () and whys(find_garbage(ledger)) == {}, "the same weights may be made again"
    second = finish_training(ledger, adapted, weights="second")
    keep(ledger, adapted, owner_of(adapted, second, device="cpu"), 1)
    assert whys(remove(ledger)) == {stale: "no study would ask for them"}


def test_completions_that_a_recorded_stage_came_from_stay(ledger: Ledger, frozen: TrialSpec) -> None:
    """Also where today's engine would not give the same."""
    own = owner_of(frozen, None, device="cpu")
    old = keep(ledger, frozen, own.model_copy(update={"engine_version": own.engine_version - 1}), 1)
    facts = {"completions": {"owner": old, "wanted": 1, "known": 0, "asked": 1}}
    commit(ledger, frozen, "generate", files={"completions.jsonl": "[]"}, facts=facts)
    assert find_garbage(ledger) == ()


def test_damaged_chunks_go_alone(ledger: Ledger, frozen: TrialSpec) -> None:
    own = keep(ledger, frozen, owner_of(frozen, None, device="cpu"), 1, 2)
    harmed, whole = chunks(ledger)
    ledger.store.write(harmed, (ledger.store.read(harmed) or b"").replace(b"x", b"y"))
    assert whys(remove(ledger)) == {own: "not what was written"}
    assert chunks(ledger) == [whole]


def test_running_study_keeps_all_completions(ledger: Ledger, frozen: TrialSpec) -> None:
    warm = frozen.model_copy(update={"generation": frozen.generation.model_copy(update={"temperature": 0.5})})
    keep(ledger, warm, owner_of(warm, None, device="cpu"), 1)
    with ledger.lease("small"):
        assert find_garbage(ledger) == ()
    assert len(whys(find_garbage(ledger))) == 1


def test_command_counts_chunks(ledger: Ledger, frozen: TrialSpec) -> None:
    own = owner_of(frozen, None, device="cpu")
    old = keep(ledger, frozen, own.model_copy(update={"engine_version": 0}), 1, 2)
    shown = CliRunner().invoke(app, ["gc", ledger.address]).output
    print(shown)
    assert f"2 chunks of completions {old[:12]} (of model " in shown
    assert ", frozen): no study would ask for them, 0.0 MiB\n" in shown
    (told,) = json.loads(CliRunner().invoke(app, ["gc", ledger.address, "--json"]).output)["items"]
    assert (told["key"], told["chunks"]) == (old, 2)
