"""A real ledger, whose stages are written here as their workers leave them, and the MLflow that it is projected to.

One decision: what tests of tracking share stands here; each of their files has one database, since MLflow takes seconds
to make one, and each test has an experiment, and where it changes stages a ledger, of its own.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from orchestrator.ledger.ledger import Ledger, StageRecord, digests_of
from orchestrator.study.cells import expand
from orchestrator.study.plainform import plain_form
from orchestrator.study.schema import Study, validate
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrackSource, TrialSpec
from orchestrator.tracking.project import project
from orchestrator.work.data import read_all_problems
from orchestrator.work.score import cells_of, score_cell
from tasks.records import Completion, Problem, Verdict

FINISHED_AT = 1_750_000_000.0
BEFORE = FINISHED_AT - 1e6  # A driver that began before everything here is at work on all of it.
WEIGHTS = "the weights of a small adapter"
PROVENANCE = {"git": "0123456789ab+changes", "torch": "2.13.0", "host": "somebodys-laptop"}
CURVE = [
    {"step": step, "loss": 3 / step, "loss/generation/python": 2 / step, "time": FINISHED_AT - 200 + step / 2}
    for step in range(1, 401)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A study with its ledger, and the MLflow that it is projected to."""

    study: Study
    trials: tuple[TrialSpec, ...]
    ledger: Ledger
    uri: str

    def project(self, **options: Any) -> tuple[int, int]:
        done = project(self.study, self.trials, self.ledger, uri=self.uri, **options)
        assert set(done.pages) == ({"Runs", "Charts", "Compare"} if done.runs else set())
        return done.runs, done.rows

    def trial(self, method: str) -> TrialSpec:
        return next(trial for trial in self.trials if trial.method_name == method)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri)

    def runs(self, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
        experiment = self.client.get_experiment_by_name(self.study.study)
        return list(self.client.search_runs([experiment.experiment_id], run_view_type=view)) if experiment else []

    def run(self, name: str) -> Run:
        (found,) = [run for run in self.runs() if run.info.run_name == name]
        return found


METHODS: dict[str, Any] = {"frozen": {"kind": "frozen"}, "lora": {"kind": "lora"}}


def make_room(
    storage: Path,
    uri: str,
    *,
    name: str,
    methods: dict[str, Any] | None = None,
    seeds: Sequence[int] = (0,),
    **more: Any,
) -> Room:
    """A study of two tracks, of which nothing is done; `more` are settings of the study file."""
    raw: dict[str, Any] = {
        "study": name,
        "storage": str(storage),
        "models": ["builtin:micro"],
        "data": {"test_limit": 3},
        "training": {"max_steps": 400, "learning_rate": 0.001},
        "tasks": {track: {"train": "micro", "test": "micro"} for track in ("generation/python", "summarization/java")},
        "seeds": list(seeds),
        "methods": methods or METHODS,
        "evaluation": {"quality": False},
        **more,
    }
    study = validate(plain_form(raw))
    return Room(study=study, trials=expand(study).trials, ledger=Ledger(storage), uri=uri)


@functools.cache
def read(sources: tuple[TrackSource, ...]) -> tuple[Problem, ...]:
    """A trial's problems; the built-in suite takes a second to draw."""
    return read_all_problems(sources, root=Path())


def finish(
    room: Room, trial: TrialSpec, *, curve: Sequence[dict[str, float]] = CURVE, right: bool | None = None
) -> None:
    """Leave every stage of a trial in the ledger; it writes references where it is `right`, else nothing."""
    if room.ledger.records_of(trial).keys() == set(trial.stages):
        return  # A frozen model that does not sample is one computation for all seeds.
    problems = read(trial.test)
    if trial.kind != "frozen":
        train(room, trial, curve=curve)
    right = trial.kind != "frozen" if right is None else right
    written = [complete(problem, problem.reference if right else "") for problem in problems]
    commit(room, trial, "generate", write={"completions.jsonl": lines(written)}, seconds=20)
    tested = [c for c, problem in zip(written, problems, strict=True) if problem.tests]
    if StageName.EXECUTE not in trial.stages:
        score(room, trial, problems=problems, written=written)
        return
    verdicts = [judge(completion, reached=index > 0) for index, completion in enumerate(tested)]
    commit(room, trial, "execute", write={"verdicts.jsonl": lines(verdicts)}, seconds=5)
    score(room, trial, problems=problems, written=written)


def train(room: Room, trial: TrialSpec, *, curve: Sequence[dict[str, float]]) -> None:
    facts = {"weights": "checkpoint-400", "seconds": 200.0, "tokens": 5000, "peak_memory_bytes": 2**30}
    half = len(curve) // 2
    write = {
        "metrics/00000.jsonl": "".join(json.dumps(row) + "\n" for row in curve[:half]),
        "metrics/00001.jsonl": "".join(json.dumps(row) + "\n" for row in curve[half:]),
        "checkpoint-400/adapter_model.safetensors": WEIGHTS,
        "summary.json": json.dumps(facts),
    }
    commit(room, trial, "train", write=write, seconds=210, facts=facts)


def score(room: Room, trial: TrialSpec, *, problems: Sequence[Problem], written: Sequence[Completion]) -> None:
    cells = [score_cell(*cell, quality=False).model_dump(mode="json") for cell in cells_of(problems, written)]
    commit(room, trial, "score", write={"cells.json": json.dumps(cells)}, seconds=1)


def complete(problem: Problem, text: str) -> Completion:
    return Completion(
        problem_id=problem.id, track=problem.track, dataset=problem.dataset, text=text, finish="stop",
        prompt_tokens=10, new_tokens=5,
    )  # fmt: skip


def judge(completion: Completion, *, reached: bool) -> Verdict:
    """What running it would show, had the machine `reached` it."""
    if not reached:
        return Verdict(task_id=completion.problem_id, verdict="unjudged", detail="the machine went down")
    return Verdict(task_id=completion.problem_id, verdict="passed" if completion.text else "compile_error")


def lines(records: Sequence[Completion | Verdict]) -> str:
    return "".join(record.model_dump_json() + "\n" for record in records)


def commit(
    room: Room, trial: TrialSpec, stage: StageName, *, write: dict[str, str], seconds: float, facts: Any = None
) -> None:
    attempt, done = room.ledger.begin(trial.key(stage)), room.ledger.records_of(trial)
    for name, text in write.items():
        (attempt.folder / name).parent.mkdir(exist_ok=True)
        (attempt.folder / name).write_text(text, encoding="utf-8")
    record = StageRecord(
        key=attempt.key,
        stage=stage,
        attempt=attempt.id,
        inputs={done[name].key: done[name].output_digest for name in trial.inputs_of(stage)},
        outputs=digests_of(attempt.folder),
        seconds=seconds,
        finished_at=FINISHED_AT + 100 * len(done),
        facts=facts or {},
        provenance=PROVENANCE,
    )
    assert room.ledger.commit(attempt, record) == record
