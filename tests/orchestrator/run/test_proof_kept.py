"""A generate stage's record has a proof of its completions, also where all of them were there before it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_studies import complete, problem, trial_of
from test_completions_kept import METHODS, forget_generation, generate, study_of, train, written

from orchestrator.ledger.completions import Wanted, owner_of, read_chunks
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.recorder import Recorder
from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec


@pytest.fixture
def small(tmp_path: Path, tiny_base: Path) -> Callable[..., Study]:
    """A study over the tiny base, with what a test wants otherwise."""
    return lambda **changes: study_of(tmp_path, model=str(tiny_base), **changes)


def proof_of(study: Study, trial: TrialSpec) -> Any:
    return Ledger(study.storage).records_of(trial)["generate"].facts.get("proof")


def without_proofs(study: Study) -> None:
    """Chunks as they were written before there were proofs in them."""
    store = Ledger(study.storage).store
    for entry in store.entries("completions/"):
        head, *rows = (store.read(entry.name) or b"").decode().splitlines()
        plain = {name: value for name, value in json.loads(head).items() if name != "proof"}
        data = "\n".join([json.dumps(plain, sort_keys=True), *rows, ""]).encode()
        store.delete([entry.name])
        store.create(f"{entry.name.rpartition('/')[0]}/{hashlib.sha256(data).hexdigest()}.jsonl", data)


def test_record_of_completions_that_were_all_there_has_the_proof_of_when_they_were_written(
    small: Callable[..., Study],
) -> None:
    study = small(methods=METHODS)
    train(study, "one", "two")
    generate(study)
    trials = {method: trial_of(study, method) for method in METHODS}
    first = {method: proof_of(study, trial) for method, trial in trials.items()}
    assert all(proof["probes"] >= 3 for proof in first.values())
    assert first["frozen"]["adapter_logits"] is None
    assert first["one"]["adapter_logits"] > 0
    for trial in trials.values():
        forget_generation(study, trial)
    there = {"known": 6, "asked": 0}
    assert generate(study) == {"frozen": there, "one": there, "two": there}
    assert {method: proof_of(study, trial) for method, trial in trials.items()} == first


def test_completions_of_before_there_were_proofs_are_proven_by_asking_the_shortest_again(
    small: Callable[..., Study],
) -> None:
    study = small()
    generate(study)
    trial = trial_of(study, "frozen")
    before = written(study, trial)
    without_proofs(study)
    forget_generation(study, trial)
    counts = generate(study)
    print(f"no proof was there: {counts}")
    assert counts == {"frozen": {"known": 2, "asked": 4}}
    assert proof_of(study, trial)["probes"] == 4
    assert written(study, trial) == before
    forget_generation(study, trial)
    assert generate(study) == {"frozen": {"known": 6, "asked": 0}}
    assert proof_of(study, trial)["probes"] == 4


def test_process_that_begins_anew_finds_the_proof_of_the_one_that_was_killed(
    small: Callable[..., Study], tmp_path: Path
) -> None:
    study = small()
    trial, store = trial_of(study, "frozen"), Ledger(study.storage).store
    owner, wanted = owner_of(trial, None, device="cpu"), [Wanted(problem=problem(1), samples=(0,))]
    with Recorder(store, owner, wanted, settings=trial.generation) as first:
        first.proof = {"probes": 4}
        first.add(complete(problem(1), "text"), of=problem(1))
    second = Recorder(store, owner, wanted, settings=trial.generation)
    assert (second.missing, second.proof) == ((), {"probes": 4})
    (chunk,) = [chunk for _, chunk in read_chunks(store, [entry.name for entry in store.entries("completions/")])]
    assert chunk is not None
    assert chunk.proof == {"probes": 4}


def test_stage_of_which_no_prompt_fits_says_that_nothing_was_proven(small: Callable[..., Study]) -> None:
    study = small(evaluation={"quality": False, "generation": {"max_new_tokens": 100_000}})
    generate(study)
    trial = trial_of(study, "frozen")
    assert {c.finish for c in written(study, trial)} == {"skipped"}
    assert proof_of(study, trial)["probes"] == 0
