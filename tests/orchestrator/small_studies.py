"""Studies of a few problems, with their data on disk and their finished stages in a ledger.

One decision: stages are left in the ledger through its own interface, as workers leave them, so that
what is read back went the way of a real run; only the models' words are made up.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestrator.ledger.ledger import Ledger, StageRecord, digests_of
from orchestrator.ledger.studies import ledger_of
from orchestrator.run.search import resolved
from orchestrator.study.cells import Cells, expand
from orchestrator.study.plainform import plain_form
from orchestrator.study.schema import Study, validate
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from tasks.records import CallTests, Case, Completion, Example, Parameter, Problem

CODE, PROSE = "generation/python", "summarization/python"
FINISHED_AT = 1_750_000_000.0


def reference(number: int) -> str:
    """A correct answer to `problem(number)`."""
    return f"def solve(x):\n    total = x + {number}\n    return total * 2\n"


def problem(number: int, *, dataset: str = "small") -> Problem:
    """A problem on code, with tests."""
    return Problem(
        id=f"{dataset}/{number}",
        track=CODE,
        dataset=dataset,
        input=f"Add {number} to x and double it. Name the function solve.",
        reference=reference(number),
        tests=CallTests(
            entry_point="solve",
            parameters=(Parameter(name="x", type="int"),),
            returns="int",
            cases=tuple(Case(arguments=(x,), expected=(x + number) * 2) for x in (1, 2)),
        ),
    )


def prose_problem(number: int) -> Problem:
    """A problem on prose, which has no tests."""
    return Problem(
        id=f"prose/{number}",
        track=PROSE,
        dataset="small",
        input=reference(number),
        reference=f"Adds {number} to the argument and returns twice the sum.",
    )


def complete(asked: Problem, text: str, *, sample: int = 0) -> Completion:
    """What a model might have written."""
    return Completion(
        problem_id=asked.id,
        track=asked.track,
        dataset=asked.dataset,
        sample=sample,
        text=text,
        finish="stop",
        prompt_tokens=10,
        new_tokens=5,
    )


def write_data(folder: Path, *, first: int = 1) -> Path:
    """Files of two tracks: two training and validation pairs each, and three problems."""
    folder.mkdir(parents=True, exist_ok=True)
    problems = [make(number) for make in (problem, prose_problem) for number in range(first, first + 3)]
    (folder / "test.jsonl").write_text(lines(problems), encoding="utf-8")
    for split in ("train", "validation"):
        pairs = [
            Example(id=f"{split}/{track}/{i}", track=track, input=f"say {i + first}", output=f"{i + first}")
            for track in (CODE, PROSE)
            for i in range(2)
        ]
        (folder / f"{split}.jsonl").write_text(lines(pairs), encoding="utf-8")
    return folder


def raw_study(**changes: Any) -> dict[str, Any]:
    """A study file's content: two tracks, a frozen and an adapted model. A change of None leaves a key out."""
    files = {"reader": "jsonl", "path": "."}
    raw = {
        "study": "small",
        "models": ["builtin:micro"],
        "tasks": {track: {"train": files, "validation": files, "test": files} for track in (CODE, PROSE)},
        "training": {"max_steps": 4, "learning_rate": 0.001},
        "methods": {"frozen": {"kind": "frozen"}, "qlora": {"kind": "qlora"}},
        "evaluation": {"quality": False},
    } | changes
    # A copy, since tracks share their sources here and a test may change one of them.
    return deepcopy({key: value for key, value in raw.items() if value is not None})


def make_study(folder: Path, **changes: Any) -> Study:
    """The study over data and a ledger below `folder`; the data are written unless they are there."""
    if not (folder / "data").exists():
        write_data(folder / "data")
    data = {"root": str(folder / "data"), **changes.pop("data", {})}
    return validate(plain_form(raw_study(data=data, storage=str(folder / "runs"), **changes)))


def trial_of(study: Study, method: str) -> TrialSpec:
    """The study's first trial by a method."""
    return next(trial for trial in expand(study).trials if trial.method_name == method)


def opened(study: Study) -> tuple[Cells, Ledger]:
    """The study's cells, with what its searches found, and its ledger, as a command opens them."""
    ledger = ledger_of(study)
    return resolved(expand(study), ledger), ledger


def lines(records: Sequence[BaseModel]) -> str:
    """Records as JSON lines."""
    return "".join(record.model_dump_json() + "\n" for record in records)


def commit(
    ledger: Ledger, trial: TrialSpec, stage: StageName, *, files: Mapping[str, str], **fields: Any
) -> StageRecord:
    """Leave a finished stage in the ledger; returns the record that counts."""
    attempt, done = ledger.begin(trial.key(stage)), ledger.records_of(trial)
    for name, text in files.items():
        (attempt.folder / name).parent.mkdir(exist_ok=True)
        (attempt.folder / name).write_text(text, encoding="utf-8")
    record = {
        "key": attempt.key,
        "stage": stage,
        "attempt": attempt.id,
        "inputs": {done[name].key: done[name].output_digest for name in trial.inputs_of(stage)},
        "outputs": digests_of(attempt.folder),
        "seconds": 2.0,
        "finished_at": FINISHED_AT,
        "spec": trial.identity(stage),
    }
    return ledger.commit(attempt, StageRecord.model_validate(record | fields))


def finish_training(ledger: Ledger, trial: TrialSpec, *, weights: str = "weights") -> StageRecord:
    """Leave a finished training of four steps, in two chunks."""
    rows = [json.dumps({"step": step, "loss": 4 / step}) + "\n" for step in (1, 2, 3, 4)]
    files = {
        "metrics/00000.jsonl": "".join(rows[:3]),
        "metrics/00001.jsonl": rows[3],
        "checkpoint-4/adapter_model.safetensors": weights,
    }
    return commit(ledger, trial, "train", files=files, seconds=7200.0, facts={"weights": "checkpoint-4"})
