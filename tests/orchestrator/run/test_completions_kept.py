"""Nothing is generated twice: what generate stages ask for when most of it is there already.

Stages run in this process, so no Ray is started, but for the run that is killed. Weights are those of a model of
0.2 M parameters and of adapters that were really trained on it, for a step.
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_studies import CODE, commit, lines, make_study, problem, trial_of
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.watch import picture
from orchestrator.ledger.artifacts import completions_of
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.progress import progress_of
from orchestrator.run.budget import Limits, Meter
from orchestrator.run.pipelines import PIPELINES
from orchestrator.run.planning import store_study
from orchestrator.run.state import Listener, StudyRun
from orchestrator.study.cells import expand
from orchestrator.study.resources import Resources
from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec
from orchestrator.work.training import Place, TrainingOrder, train_trial
from tasks.records import Completion

METHODS = {"frozen": {"kind": "frozen"}, "one": {"kind": "lora"}, "two": {"kind": "lora", "lora": {"rank": 4}}}
# Runs the due generate stages of a study in this process; `sys.argv`: the folder, and what of the study is otherwise.
_RUN = """
import json, sys
from pathlib import Path
from test_completions_kept import generate, study_of
generate(study_of(Path(sys.argv[1]), **json.loads(sys.argv[2])))
"""


def study_of(folder: Path, *, model: str, problems: int = 6, **changes: Any) -> Study:
    """A study of a track with so many problems."""
    files = {"reader": "jsonl", "path": "."}
    usual = {
        "models": [model],
        "tasks": {CODE: {"train": files, "validation": files, "test": files}},
        "methods": {"frozen": {"kind": "frozen"}},
        "training": {"max_steps": 1, "learning_rate": 0.01},
        "evaluation": {"quality": False, "generation": {"max_new_tokens": 8}},
        "resources": {"generation_batch": 3, "micro_tokens": 1024},
    }
    study = make_study(folder, **usual | changes)
    written = lines([problem(number) for number in range(problems)])
    path = folder / "data" / "test.jsonl"
    if path.read_text(encoding="utf-8") != written:
        path.write_text(written, encoding="utf-8")
    return study


def generate(study: Study, *, notes: list[str] | None = None) -> dict[str, dict[str, int]]:
    """Run the generate stages that are due; returns what each counted, by method."""
    ledger, cells = Ledger(study.storage), expand(study)
    listener = Listener(note=[].append if notes is None else notes.append)
    with ledger.lease(study.study) as lease:
        run = StudyRun(cells, ledger, lease=lease, listener=listener, meter=Meter(study, ledger, Limits()))
        store_study(cells, ledger)
        run.done.look()
        due = run.done.due("generate")
        PIPELINES["generate"](run, due, in_process=True)
        assert run.outcome.failed == {}
        facts = {trial.method_name: run.done.record(trial, "generate").facts["completions"] for trial in due}
    return {method: {name: fact[name] for name in ("known", "asked")} for method, fact in facts.items()}


def train(study: Study, *methods: str) -> None:
    for method in methods:
        order = TrainingOrder(trial=trial_of(study, method), resources=Resources(micro_tokens=1024))
        assert train_trial(order, Place(storage=study.storage, root=study.data.root)) is None


def written(study: Study, trial: TrialSpec) -> tuple[Completion, ...]:
    ledger = Ledger(study.storage)
    return completions_of(ledger, ledger.records_of(trial)["generate"])


def items_in_chunks(study: Study) -> Counter[tuple[str, str, int]]:
    """How often each item of each owner was generated."""
    found: Counter[tuple[str, str, int]] = Counter()
    store = Ledger(study.storage).store
    for entry in store.entries("completions/"):
        owner = entry.name.split("/")[1]
        rows = [json.loads(line) for line in (store.read(entry.name) or b"").decode().splitlines()[1:]]
        found.update((owner, row["item"], row["sample"]) for row in rows)
    return found


def forget_generation(study: Study, trial: TrialSpec) -> None:
    """As if the stage had not come to its end."""
    ledger = Ledger(study.storage)
    ledger.forget([entry.name for entry in ledger.store.entries(f"stages/{trial.key('generate')}/")])


@pytest.fixture
def small(tmp_path: Path, tiny_base: Path) -> Callable[..., Study]:
    """The study over the tiny base, with what a test wants otherwise."""
    return lambda **changes: study_of(tmp_path, model=str(tiny_base), **changes)


def test_killed_generation_goes_on_with_what_is_missing(
    small: Callable[..., Study], tmp_path: Path, tiny_base: Path
) -> None:
    how = {"model": str(tiny_base), "problems": 30}
    study = small(problems=30)
    whole = study_of(tmp_path / "whole", **how)
    assert generate(whole) == {"frozen": {"known": 0, "asked": 30}}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", _RUN, str(tmp_path), json.dumps(how)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        while not items_in_chunks(study) and process.poll() is None:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    there = len(items_in_chunks(study))
    assert there in range(3, 30, 3), "it was killed half-way"
    assert "generate" not in Ledger(study.storage).records_of(trial_of(study, "frozen"))
    counts = generate(study)
    print(f"killed with {there} of 30 there: {counts}")
    assert counts == {"frozen": {"known": there, "asked": 30 - there}}
    assert set(items_in_chunks(study).values()) == {1} and len(items_in_chunks(study)) == 30
    assert written(study, trial_of(study, "frozen")) == written(whole, trial_of(whole, "frozen"))


def test_test_set_that_grew_by_ten_asks_ten_and_a_smaller_limit_asks_none(small: Callable[..., Study]) -> None:
    study = small()
    assert generate(study) == {"frozen": {"known": 0, "asked": 6}}
    first = written(study, trial_of(study, "frozen"))
    study = small(problems=16)
    grown = generate(study)
    print(f"six problems more ten: {grown}")
    assert grown == {"frozen": {"known": 6, "asked": 10}}
    assert written(study, trial_of(study, "frozen"))[:6] == first
    study = small(problems=16, data={"test_limit": 4})
    limited = generate(study)
    print(f"at most four of sixteen: {limited}")
    assert limited == {"frozen": {"known": 4, "asked": 0}}
    assert len(written(study, trial_of(study, "frozen"))) == 4
    assert set(items_in_chunks(study).values()) == {1} and len(items_in_chunks(study)) == 16


def test_job_that_misses_nothing_starts_no_process_and_reads_no_weights(
    small: Callable[..., Study], tiny_base: Path, tmp_path: Path
) -> None:
    study = small()
    generate(study)
    trial = trial_of(study, "frozen")
    before = written(study, trial)
    forget_generation(study, trial)
    code = (
        "import sys; from pathlib import Path; from test_completions_kept import generate, study_of;"
        f"print(generate(study_of(Path({str(tmp_path)!r}), model={str(tiny_base)!r})), 'torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "{'frozen': {'known': 6, 'asked': 0}} False\n"
    assert written(study, trial) == before


def test_changed_byte_of_an_adapter_asks_all_of_its_own_and_nothing_else(small: Callable[..., Study]) -> None:
    study = small(methods=METHODS)
    train(study, "one", "two")
    none = {"known": 0, "asked": 6}
    assert generate(study) == {"frozen": none, "one": none, "two": none}
    ledger, trials = Ledger(study.storage), {method: trial_of(study, method) for method in METHODS}
    record = ledger.records_of(trials["one"])["train"]
    attempt = ledger.folder(record)
    files = {path.relative_to(attempt): path.read_bytes() for path in attempt.rglob("*") if path.is_file()}
    ledger.condemn(record, "to be made again")
    _commit_with_a_byte_changed(ledger, trials["one"], files, facts=dict(record.facts))
    for trial in trials.values():
        forget_generation(study, trial)
    counts = generate(study)
    print(f"one byte of adapter one: {counts}")
    there = {"known": 6, "asked": 0}
    assert counts == {"frozen": there, "one": none, "two": there}
    assert set(items_in_chunks(study).values()) == {1} and len(items_in_chunks(study)) == 24


def _commit_with_a_byte_changed(
    ledger: Ledger, trial: TrialSpec, files: dict[Path, bytes], *, facts: dict[str, Any]
) -> None:
    """A training's record anew, whose adapter differs in the last byte of its last tensor."""
    from orchestrator.ledger.ledger import StageRecord, digests_of

    attempt = ledger.begin(trial.key("train"))
    for name, data in files.items():
        path = attempt.folder / name
        path.parent.mkdir(exist_ok=True)
        adapter = name.name == "adapter_model.safetensors"
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if adapter else data)
    ledger.commit(
        attempt,
        StageRecord(
            key=attempt.key,
            stage="train",
            attempt=attempt.id,
            inputs={},
            outputs=digests_of(attempt.folder),
            seconds=1.0,
            finished_at=1.0,
            facts=facts,
            spec=trial.identity("train"),
        ),
    )


def test_stale_entry_is_noticed_and_asked_again(small: Callable[..., Study]) -> None:
    generate(small(problems=3))
    study, notes = small(), list[str]()
    # A chunk of what the shorter test set asked, and one of the rest.
    assert generate(study) == {"frozen": {"known": 3, "asked": 3}}
    trial = trial_of(study, "frozen")
    before = written(study, trial)
    forget_generation(study, trial)
    store = Ledger(study.storage).store
    name = store.entries("completions/")[0].name
    head, *rows = (store.read(name) or b"").decode().splitlines()
    planted = [json.dumps(json.loads(row) | {"text": "planted"}) for row in rows]
    store.write(name, "\n".join([head, *planted, ""]).encode())
    assert generate(study, notes=notes) == {"frozen": {"known": 3, "asked": 3}}
    print(*notes, sep="\n")
    (note,) = notes
    assert note.endswith(f"frozen/seed0 generate: {name} is not what was written; what it held is asked again")
    assert written(study, trial) == before


def test_software_that_made_what_was_there_is_recorded_and_told_where_it_is_another(
    small: Callable[..., Study],
) -> None:
    study, notes = small(), list[str]()
    generate(study)
    trial, ledger = trial_of(study, "frozen"), Ledger(study.storage)
    forget_generation(study, trial)
    assert generate(study, notes=notes) == {"frozen": {"known": 6, "asked": 0}}
    assert notes == []
    forget_generation(study, trial)
    for entry in ledger.store.entries("completions/"):
        data = re.sub(rb"torch [^,]+", b"torch 1.0", ledger.store.read(entry.name) or b"")
        ledger.store.delete([entry.name])
        folder = entry.name.rpartition("/")[0]
        ledger.store.create(f"{folder}/{hashlib.sha256(data).hexdigest()}.jsonl", data)
    assert generate(study, notes=notes) == {"frozen": {"known": 6, "asked": 0}}
    (note,) = notes
    assert re.search(
        r"completions that were there were made with torch 1\.0, .*, and this is torch .*; they are kept as they are$",
        note,
    )
    (made_with,) = ledger.records_of(trial)["generate"].facts["completions"]["made_with"]
    assert made_with.startswith("torch 1.0, cuda ")


def test_problems_that_are_one_to_the_model_are_asked_once(small: Callable[..., Study], tmp_path: Path) -> None:
    study = small()
    twins = [problem(1), problem(1, dataset="other"), problem(2)]
    (tmp_path / "data" / "test.jsonl").write_text(lines(twins), encoding="utf-8")
    assert generate(study) == {"frozen": {"known": 0, "asked": 2}}
    first, second, third = written(study, trial_of(study, "frozen"))
    assert [c.problem_id for c in (first, second, third)] == ["small/1", "other/1", "small/2"]
    assert (second.text, second.dataset) == (first.text, "other")


def test_more_samples_ask_only_those_that_are_not_there(small: Callable[..., Study]) -> None:
    def asking(samples: int) -> dict[str, Any]:
        drawn = {"max_new_tokens": 8, "temperature": 1.0, "samples": samples}
        return {"evaluation": {"quality": False, "generation": drawn}}

    assert generate(small(**asking(2))) == {"frozen": {"known": 0, "asked": 12}}
    study = small(**asking(5))
    assert generate(study) == {"frozen": {"known": 12, "asked": 18}}
    assert set(items_in_chunks(study).values()) == {1} and len(items_in_chunks(study)) == 30
    order = [(c.problem_id, c.sample) for c in written(study, trial_of(study, "frozen"))]
    assert order == [(f"small/{number}", sample) for number in range(6) for sample in range(5)]


def test_what_was_there_is_shown_in_one_line_and_only_if_there_was_any(
    small: Callable[..., Study], capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(study: Study) -> str:
        console = Console(width=100)
        with console.capture() as captured:
            console.print(picture(progress_of(expand(study).trials, Ledger(study.storage), live_since=None)))
        return captured.get()

    study = small()
    generate(study)
    assert "there already" not in shown(study)
    study = small(problems=16)
    generate(study)
    assert shown(study).endswith("\n6 of 16 completions were there already\n")


def test_time_of_what_was_mostly_there_is_no_measure_of_a_whole_one(small: Callable[..., Study]) -> None:
    from models.shapes import Unknown
    from orchestrator.plan.history import History

    study = small()
    trial = trial_of(study, "frozen")

    def hours() -> object:
        found = Ledger(study.storage).all_records().values()
        return History(record for record in found if record is not None).hours(trial, "generate")

    generate(study)
    assert not isinstance(hours(), Unknown)
    forget_generation(study, trial)
    generate(study)
    assert isinstance(hours(), Unknown)


def test_ledger_of_before_has_nothing_due_for_want_of_chunks(small: Callable[..., Study]) -> None:
    study = small()
    trial, ledger = trial_of(study, "frozen"), Ledger(study.storage)
    store_study(expand(study), ledger)
    for stage, file in (("generate", "completions.jsonl"), ("execute", "verdicts.jsonl"), ("score", "cells.json")):
        commit(ledger, trial, stage, files={file: "[]"})
    assert generate(study) == {}
    assert CliRunner().invoke(app, ["gc", ledger.address]).output == "0 items, 0.0 MiB: nothing to remove\n"
