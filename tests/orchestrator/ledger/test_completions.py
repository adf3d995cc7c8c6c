"""Completions kept item by item: what makes one an item, what is found again, and what counts for nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_studies import complete, finish_training, make_study, problem, prose_problem, reference, trial_of

from evaluators.generation.settings import GenerationSettings
from orchestrator.ledger.completions import Owner, Wanted, completions_in, item_key, known_of, missing, owner_of
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.recorder import Recorder
from orchestrator.study.schema import Study

GREEDY = GenerationSettings()
DRAWN = GenerationSettings(samples=3, temperature=0.8)
# Records four problems of six, then waits; `sys.argv`: the ledger and the owner.
_WRITER = """
import sys, time
from small_studies import complete, problem, reference
from evaluators.generation.settings import GenerationSettings
from orchestrator.ledger.completions import Owner, Wanted
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.recorder import Recorder
problems = [problem(n) for n in range(6)]
wanted = [Wanted(problem=p, samples=(0,)) for p in problems]
owner = Owner.model_validate_json(sys.argv[2])
store = Ledger(sys.argv[1]).store
with Recorder(store, owner, wanted, settings=GenerationSettings(), chunk_items=2) as recorder:
    for p in problems[:5]:
        recorder.add(complete(p, p.reference))
    print("five", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path, methods={"frozen": {"kind": "frozen"}, "qlora": {"kind": "qlora"}})


@pytest.fixture
def owner(study: Study) -> Owner:
    return owner_of(trial_of(study, "frozen"), None, device="cpu")


def wanted_of(*numbers: int, samples: tuple[int, ...] = (0,)) -> tuple[Wanted, ...]:
    return tuple(Wanted(problem=problem(number), samples=samples) for number in numbers)


def record(ledger: Ledger, owner: Owner, *numbers: int) -> None:
    wanted = wanted_of(*numbers)
    with Recorder(ledger.store, owner, wanted, settings=GREEDY) as recorder:
        for one in wanted:
            recorder.add(complete(one.problem, one.problem.reference))


def chunks(ledger: Ledger) -> list[str]:
    return [entry.name for entry in ledger.store.entries("completions/")]


def lines_of(ledger: Ledger) -> list[str]:
    """Every completion in every chunk, whole or not."""
    return [line for name in chunks(ledger) for line in (ledger.store.read(name) or b"").decode().splitlines()[1:]]


def left(ledger: Ledger, owner: Owner, *numbers: int) -> list[str]:
    """Which of these problems would be asked."""
    found = missing(wanted_of(*numbers), known_of(ledger.store, owner).said, GREEDY)
    return [one.problem.id for one in found]


def test_what_was_recorded_is_found_as_it_was_by_any_machine(
    ledger: Ledger, owner: Owner, another: Callable[[], Ledger]
) -> None:
    strange = complete(problem(1), "a\u2028b\x85\n\ud800 \x00é", sample=0).model_copy(update={"finish": "length"})
    with Recorder(ledger.store, owner, wanted_of(1, 2), settings=GREEDY) as recorder:
        recorder.add(strange)
    known = known_of(another().store, owner)
    assert completions_in(known.said, wanted_of(1, 2), GREEDY) == [strange]
    assert left(ledger, owner, 1, 2, 3) == ["small/2", "small/3"]
    assert known.damaged == ()


def test_completion_is_put_back_to_whichever_data_set_asks(ledger: Ledger, owner: Owner) -> None:
    record(ledger, owner, 1)
    asked = problem(1, dataset="other")
    (found,) = completions_in(known_of(ledger.store, owner).said, [Wanted(problem=asked, samples=(0,))], GREEDY)
    assert found == complete(asked, reference(1))
    assert (found.problem_id, found.dataset) == ("other/1", "other")


def test_item_is_track_input_and_limit() -> None:
    asked = problem(1)
    key = item_key(asked, GREEDY)
    same = {"id": "x", "dataset": "x", "reference": "x", "tests": None}
    assert item_key(asked.model_copy(update=same), GREEDY) == key
    assert item_key(asked.model_copy(update={"input": "x"}), GREEDY) != key
    assert item_key(asked.model_copy(update={"track": "generation/java"}), GREEDY) != key
    assert item_key(asked, GenerationSettings(max_new_tokens=9)) != key
    # The limit of the track, and of no other.
    assert item_key(asked, GenerationSettings(max_summary_tokens=9)) == key
    assert item_key(prose_problem(1), GenerationSettings(max_summary_tokens=9)) != item_key(prose_problem(1), GREEDY)


def test_drawn_completion_is_its_problem_s_alone() -> None:
    same = problem(1).model_copy(update={"id": "another"})
    assert item_key(same, GREEDY) == item_key(problem(1), GREEDY)
    assert item_key(same, DRAWN) != item_key(problem(1), DRAWN)


@pytest.mark.parametrize("field", GenerationSettings.model_fields)
def test_every_setting_of_decoding_decides_the_owner_or_the_item(field: str, study: Study) -> None:
    """One that is added later decides the owner, unless somebody says otherwise."""
    trial = trial_of(study, "frozen").model_copy(update={"generation": DRAWN})
    (value,) = GenerationSettings.model_fields[field].examples or ["none"]
    other = GenerationSettings.model_validate({**DRAWN.model_dump(), field: value if field != "temperature" else 0.7})
    assert other != DRAWN, "an example is no default"
    changed = trial.model_copy(update={"generation": other})
    same_owner = owner_of(changed, None, device="cpu") == owner_of(trial, None, device="cpu")
    same_items = all(item_key(make(1), other) == item_key(make(1), DRAWN) for make in (problem, prose_problem))
    assert (same_owner and same_items) == (field == "samples")


def test_greedy_completions_have_no_seed(study: Study) -> None:
    trial = trial_of(study, "frozen")
    seeded = trial.model_copy(update={"generation": GenerationSettings(seed=7, top_p=0.5)})
    assert owner_of(seeded, None, device="cpu") == owner_of(trial, None, device="cpu")


def test_owner_is_weights_and_how_they_are_asked(study: Study, tmp_path: Path, ledger: Ledger) -> None:
    frozen, adapted = trial_of(study, "frozen"), trial_of(study, "qlora")
    trained = finish_training(ledger, adapted, weights="weights")
    own = owner_of(adapted, trained, device="cpu")
    flipped = finish_training(ledger, adapted.model_copy(update={"seed": 5}), weights="wEights")
    assert adapted.lora is not None
    louder = adapted.model_copy(update={"lora": adapted.lora.model_copy(update={"alpha": 99})})
    others = [
        owner_of(frozen, None, device="cpu"),
        owner_of(adapted, flipped, device="cpu"),
        owner_of(louder, trained, device="cpu"),
        own.model_copy(update={"engine_version": own.engine_version + 1}),
        own.on("cuda"),
    ]
    assert len({one.digest for one in (own, *others)}) == 6
    # Seed, data and limits of programs are the training's or the judge's: the weights say it all.
    same = adapted.model_copy(update={"seed": 9, "test": (), "quality": True, "method_name": "x"})
    assert owner_of(same, trained, device="cpu").digest == own.digest
    assert own.on("cpu") == own
    assert owner_of(frozen, None, device="cpu").on("cuda").precision == "bf16"


def test_owner_survives_a_file(owner: Owner) -> None:
    assert Owner.model_validate_json(owner.model_dump_json()).digest == owner.digest


@pytest.mark.parametrize("harm", ["altered", "cut short", "emptied", "of another owner", "no chunk"])
def test_chunk_that_is_not_what_was_written_counts_for_nothing(harm: str, ledger: Ledger, owner: Owner) -> None:
    record(ledger, owner, 1, 2)
    record(ledger, owner, 3)
    name = next(name for name in chunks(ledger) if b"+ 1" in (ledger.store.read(name) or b""))
    data = ledger.store.read(name) or b""
    if harm == "of another owner":
        name = name.replace(owner.digest, owner.on("cuda").digest)
        owner = owner.on("cuda")
        ledger.store.write(name, data)
        assert left(ledger, owner, 1, 2, 3) == ["small/1", "small/2", "small/3"]
    elif harm == "no chunk":
        name = f"completions/{owner.digest}/notes.txt"
        ledger.store.write(name, b"mine")
        assert left(ledger, owner, 1, 2, 3) == []
    else:
        worse = {"altered": data.replace(b"+ 1", b"+ 8"), "cut short": data[:-40], "emptied": b""}[harm]
        assert worse != data
        ledger.store.write(name, worse)
        assert left(ledger, owner, 1, 2, 3) == ["small/1", "small/2"]
    assert known_of(ledger.store, owner).damaged == (name,)


def test_damaged_chunk_that_is_written_again_is_whole_again(ledger: Ledger, owner: Owner) -> None:
    record(ledger, owner, 1, 2)
    (name,) = chunks(ledger)
    data = ledger.store.read(name) or b""
    ledger.store.write(name, data[:-1])
    record(ledger, owner, 1, 2)
    assert (chunks(ledger), ledger.store.read(name)) == ([name], data)


def test_two_writers_of_one_chunk_make_one(ledger: Ledger, owner: Owner) -> None:
    start = threading.Barrier(4)

    def write(_: int) -> None:
        wanted = wanted_of(1, 2, 3)
        with Recorder(ledger.store, owner, wanted, settings=GREEDY) as recorder:
            start.wait()
            for one in wanted:
                recorder.add(complete(one.problem, one.problem.reference))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert len(chunks(ledger)) == 1
    assert left(ledger, owner, 1, 2, 3) == []


def test_process_that_is_killed_leaves_what_it_wrote_and_the_next_asks_the_rest(ledger: Ledger, owner: Owner) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _WRITER, ledger.address, owner.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "five\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert len(chunks(ledger)) == 2, "the fifth was in none yet"
    wanted = wanted_of(*range(6))
    with Recorder(ledger.store, owner, wanted, settings=GREEDY) as recorder:
        asked = [one.problem for one in recorder.missing]
        assert [p.id for p in asked] == ["small/4", "small/5"]
        for p in asked:
            recorder.add(complete(p, p.reference))
        assert [c.problem_id for c in recorder.completions] == [one.problem.id for one in wanted]
    assert len(lines_of(ledger)) == len(set(lines_of(ledger))) == 6


def test_generator_that_breaks_off_leaves_what_it_gave(ledger: Ledger, owner: Owner) -> None:
    with (
        pytest.raises(RuntimeError, match="out of luck"),
        Recorder(ledger.store, owner, wanted_of(1, 2), settings=GREEDY) as recorder,
    ):
        recorder.add(complete(problem(1), "x"))
        raise RuntimeError("out of luck")
    assert left(ledger, owner, 1, 2) == ["small/2"]


def test_chunk_is_written_some_time_after_its_first_completion(ledger: Ledger, owner: Owner) -> None:
    """Whether or not another one comes."""
    with Recorder(ledger.store, owner, wanted_of(1, 2), settings=GREEDY, chunk_age_s=0.2) as recorder:
        recorder.add(complete(problem(1), "x"))
        until = time.monotonic() + 30
        while not chunks(ledger) and time.monotonic() < until:
            time.sleep(0.02)
        assert left(ledger, owner, 1, 2) == ["small/2"]


def test_what_is_not_wanted_or_there_is_not_recorded(ledger: Ledger, owner: Owner) -> None:
    """An engine may give all samples of a problem where one is missing."""
    wanted = [Wanted(problem=problem(1), samples=(2,))]
    with Recorder(ledger.store, owner, wanted, settings=DRAWN) as recorder:
        for sample in (0, 1, 2, 2):
            recorder.add(complete(problem(1), f"draw {sample}", sample=sample))
        recorder.add(complete(problem(9), "who asked?"))
        assert [c.text for c in recorder.completions] == ["draw 2"]
    (line,) = lines_of(ledger)
    assert json.loads(line)["sample"] == 2


def test_samples_are_asked_one_by_one_and_equal_items_once() -> None:
    asked = problem(1)
    twin = asked.model_copy(update={"id": "twin"})
    said = {(item_key(asked, DRAWN), 1): {"text": "x"}}
    assert missing([Wanted(problem=asked, samples=(0, 1, 2))], said, DRAWN) == (Wanted(problem=asked, samples=(0, 2)),)
    both = [Wanted(problem=p, samples=(0,)) for p in (asked, twin)]
    assert missing(both, {}, GREEDY) == (both[0],)
    assert missing(both, {}, DRAWN) == tuple(both)


def test_ledger_that_cannot_be_written_fails_no_generation(
    owner: Owner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "completions").write_text("in the way")
    with Recorder(Ledger(tmp_path / "runs").store, owner, wanted_of(1), settings=GREEDY) as recorder:
        recorder.add(complete(problem(1), "x"))
    assert [c.text for c in recorder.completions] == ["x"]
    assert "completions are not kept for a later run: the ledger at" in caplog.text
