"""A small study called quickstart, finished in `./runs` but for its frozen trial, which is not judged yet.

One decision: its programs are judged and its texts scored by the real evaluators; only the models' words are made up.
"""

import json
from pathlib import Path

import pytest
from small_studies import CODE, commit, complete, lines, make_study, opened, problem, reference

from orchestrator.run.planning import store_study
from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec
from orchestrator.work.data import read_all_problems
from orchestrator.work.judge import execute
from orchestrator.work.score import cells_of, score_cell
from tasks.records import Problem

WRONG = "def solve(x):\n    return x\n"
WRITTEN = {
    "frozen": {},
    "together": {"small/1": f"Here it is:\n```python\n{reference(1)}```\n", "small/2": WRONG, "small/3": ""},
    "apart": {"small/1": WRONG},
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder whose `runs` holds the study."""
    folder = tmp_path_factory.mktemp("quickstart")
    study = make_study(
        folder,
        study="quickstart",
        methods={
            "frozen": {"kind": "frozen"},
            "together": {"kind": "qlora", "grouping": "together"},
            "apart": {"kind": "qlora", "grouping": "apart"},
        },
        resources={"price_per_hour": 36.0},
    )
    cells, ledger = opened(study)
    store_study(cells, ledger)
    for trial in cells.trials:
        finish(study, trial)
    return folder


def finish(study: Study, trial: TrialSpec) -> None:
    """Leave a trial in the ledger as a run does."""
    _, ledger = opened(study)
    problems = read_all_problems(trial.test, root=Path(study.data.root))
    written = tuple(complete(asked, WRITTEN[trial.method_name].get(asked.id, asked.reference)) for asked in problems)
    if trial.kind != "frozen":
        facts = {"weights": "best", "peak_memory_bytes": 1000, "trainable_parameters": 10, "total_parameters": 100}
        files = {"best/adapter_model.safetensors": trial.label}
        commit(ledger, trial, "train", files=files, seconds=1800.0, facts=facts)
    commit(ledger, trial, "generate", files={"completions.jsonl": lines(written)})
    if trial.kind == "frozen":
        return
    if "execute" in trial.stages:
        verdicts = execute(problems, written, limits=trial.limits)
        commit(ledger, trial, "execute", files={"verdicts.jsonl": lines(verdicts)})
    cells = [score_cell(*cell, quality=False).model_dump(mode="json") for cell in cells_of(problems, written)]
    commit(ledger, trial, "score", files={"cells.json": json.dumps(cells)})


@pytest.fixture
def quickstart(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the test: its `runs` holds the study."""
    monkeypatch.chdir(finished)
    return finished


@pytest.fixture
def problems() -> list[Problem]:
    """Three problems on code, with tests."""
    assert problem(1).track == CODE
    return [problem(number) for number in (1, 2, 3)]
