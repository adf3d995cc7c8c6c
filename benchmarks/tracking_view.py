"""MLflow's pages over a study: how long they take, and what they look like.

Without a study, over one of 200 trials that is made up here: its problems, scores and tables are real, what its models
wrote is drawn by chance around a rate of each method. It is projected twice into a database, the second time with
nothing to do; then MLflow's own server shows it on loopback, and a headless Chromium takes pictures of its pages.

    python benchmarks/tracking_view.py --to /tmp/pages                       # 200 trials
    python benchmarks/tracking_view.py --study runs/quickstart --to docs/images   # the README's pictures
"""

import argparse
import json
import math
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.browser import Shot, take
from benchmarks.tracking import server
from orchestrator.ledger.ledger import Ledger, StageRecord, digests_of
from orchestrator.run.opening import open_as_run
from orchestrator.study.cells import Cells, expand
from orchestrator.study.plainform import plain_form
from orchestrator.study.schema import validate
from orchestrator.study.stages import STAGES, StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.tracking.project import Projection, project
from orchestrator.work.data import read_all_problems
from orchestrator.work.score import cells_of, score_cell
from tasks.records import Completion, Problem, Verdict

STEPS, NOW = 60, 1_790_000_000.0
# MLflow greets a new browser with panels over its pages.
GREETED = """
for (const [name, value] of Object.entries({
  'mlflow.assistant.panelOpen_v1': 'false',
  'mlflow.assistant.fab.autoOpenedOnFirstLoad_v1': 'true',
  '_mlflow_model_registry_promo_modal_dismissed_v1': 'true',
})) { try { localStorage.setItem(name, value) } catch { /* about:blank has none */ } }
"""
_HAS = "document.body.innerText.includes({})"


def made_up(storage: Path, *, seeds: int) -> tuple[Cells, Ledger]:
    """A study of ten trials for each seed, all of them finished."""
    training = {"max_steps": STEPS, "batch_size": 16}
    lora = {"kind": "lora", "training": training | {"learning_rate": 0.005}}
    raw = {
        "study": "two-hundred",
        "question": "Made up: which rank is enough, and is one adapter for all tasks as good as one for each?",
        "storage": str(storage),
        "models": ["builtin:micro"],
        "data": {"test_limit": 6, "train_limit": 2},
        "seeds": list(range(seeds)),
        "tasks": {
            track: {"train": "micro", "test": "micro"}
            for track in ("generation/python", "generation/java", "summarization/python")
        },
        "methods": {
            "frozen": {"kind": "frozen"},
            "full": {"kind": "full", "training": training | {"learning_rate": 0.001}},
            **{f"lora-r{rank}": lora | {"lora": {"rank": rank, "alpha": 2 * rank}} for rank in (2, 4, 8, 16)},
            **{f"lora-apart-r{rank}": lora | {"grouping": "apart", "lora": {"rank": rank}} for rank in (4, 16)},
        },
        "evaluation": {"quality": False},
    }
    study = validate(plain_form(raw))
    cells, ledger = expand(study), Ledger(storage)
    for trial in cells.trials:
        finish(ledger, trial)
    return cells, ledger


def finish(ledger: Ledger, trial: TrialSpec) -> None:
    """Leave all stages of a trial, as its workers would."""
    chance = random.Random(trial.label)
    rate = 0.05 if trial.kind == "frozen" else 0.85 - 0.5 / ((trial.lora.rank if trial.lora else 24) + 0.5)
    if trial.traits.is_trained:
        write(ledger, trial, StageName.TRAIN, files=dict(training_files(trial, chance)))
    problems = read_all_problems(trial.test, root=Path())
    completions = [complete(problem, chance, rate=rate) for problem in problems]
    write(ledger, trial, StageName.GENERATE, files={"completions.jsonl": lines(completions)})
    if StageName.EXECUTE in trial.stages:
        pairs = [(p, c) for p, c in zip(problems, completions, strict=True) if p.tests]
        verdicts = [
            Verdict(task_id=p.id, verdict="passed" if c.text == p.reference else "wrong_answer") for p, c in pairs
        ]
        write(ledger, trial, StageName.EXECUTE, files={"verdicts.jsonl": lines(verdicts)})
    scored = [score_cell(*cell, quality=False).model_dump(mode="json") for cell in cells_of(problems, completions)]
    write(ledger, trial, StageName.SCORE, files={"cells.json": json.dumps(scored)})


def training_files(trial: TrialSpec, chance: random.Random) -> Iterator[tuple[str, str]]:
    """A training's log, weights and summary."""
    floor = 0.1 + chance.random() / 10
    rows = [
        {"step": step, "time": NOW + step, "loss": (loss := floor + 3 * math.exp(-step / 12)), "tokens_per_s": 900.0}
        | ({"validation/loss": loss + 0.1} if step % 10 == 0 else {})
        for step in range(1, STEPS + 1)
    ]
    yield "metrics/00000.jsonl", "".join(json.dumps(row) + "\n" for row in rows)
    yield "checkpoint-1/adapter_model.safetensors", trial.label * 100
    yield STAGES[StageName.TRAIN].file, "{}"


def complete(problem: Problem, chance: random.Random, *, rate: float) -> Completion:
    """The reference, or half of it."""
    text = problem.reference if chance.random() < rate else problem.reference[: len(problem.reference) // 2]
    cut = chance.random() < 0.02
    return Completion(
        problem_id=problem.id, track=problem.track, dataset=problem.dataset, text=text,
        finish="length" if cut else "stop", prompt_tokens=60, new_tokens=len(text) // 4,
    )  # fmt: skip


def lines(records: Sequence[Completion | Verdict]) -> str:
    """Records as lines of JSON."""
    return "".join(record.model_dump_json() + "\n" for record in records)


def write(ledger: Ledger, trial: TrialSpec, stage: StageName, *, files: dict[str, str]) -> None:
    """Commit a stage that took a time by its trial's size."""
    attempt, done = ledger.begin(trial.key(stage)), ledger.records_of(trial)
    for name, text in files.items():
        (attempt.folder / name).parent.mkdir(exist_ok=True)
        (attempt.folder / name).write_text(text, encoding="utf-8")
    rank = trial.lora.rank if trial.lora else 40
    seconds = {"train": 300.0 + 20 * rank + 10 * len(trial.tracks), "generate": 30.0 * len(trial.tracks)}
    record = StageRecord(
        key=attempt.key,
        stage=stage,
        attempt=attempt.id,
        inputs={done[name].key: done[name].output_digest for name in trial.inputs_of(stage)},
        outputs=digests_of(attempt.folder),
        seconds=seconds.get(stage, 5.0) * random.Random(attempt.id).uniform(0.9, 1.1),
        finished_at=NOW + 100 * len(done),
        facts={"weights": "checkpoint-1", "trainable_parameters": 20_000 * rank} if stage == "train" else {},
    )
    ledger.commit(attempt, record)


def shots(address: str, done: Projection, folder: Path) -> list[Shot]:
    """The pages to look at, each with what says that it is there."""
    runs = "/[1-9]\\d* matching runs/.test(document.body.innerText)"
    drawn = "document.querySelectorAll('.parcoords canvas, svg.main-svg, .js-plotly-plot').length"
    # Both charts of settings come before those of cost, and each is many canvases.
    settings = "new Set([...document.querySelectorAll('.parcoords canvas')].map(e => e.parentElement)).size"
    charts = f"{runs} && {settings} > 1 && document.querySelectorAll('.js-plotly-plot').length > 1"
    named = {"runs": (runs, 700), "charts": (charts, 1300), "compare": (f"{drawn} > 0", 1150)}
    found = [
        Shot(address=address + done.pages[page.capitalize()], ready=ready, file=folder / f"mlflow-{page}.png", height=h)
        for page, (ready, h) in named.items()
    ]
    registry = Shot(
        address=f"{address}/#/models/{next(iter(done.registered), '')}/versions/1",
        ready=_HAS.format("'Scores'"),
        file=folder / "mlflow-registry.png",
        height=1000,
    )
    return [*found, registry]


def show(cells: Cells, ledger: Ledger, folder: Path, *, to: Path) -> None:
    """Project a study into a database of its own, serve it, and take pictures."""
    uri = f"sqlite:///{folder / 'server.db'}"
    for turn in ("first", "second"):
        began = time.perf_counter()
        done = project(cells.study, cells.trials, ledger, uri=uri)
        seconds = time.perf_counter() - began
        print(f"{turn} projection: {done.runs} runs, {done.rows:,} rows, {seconds:.1f} s", flush=True)
    to.mkdir(parents=True, exist_ok=True)
    with server(folder) as address:
        for name, seconds in take(shots(address, done, to), before=GREETED).items():
            print(f"{name}: {seconds:.1f} s until it is drawn", flush=True)


def main() -> None:
    """Make or open a study, and show it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", help="a study that was run, as STORAGE/NAME; without it, one is made up")
    parser.add_argument("--seeds", type=int, default=20, help="how many times ten trials to make up")
    parser.add_argument("--to", type=Path, required=True, help="a folder for the pictures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.study:
            cells, ledger, _ = open_as_run(arguments.study)
        else:
            began = time.perf_counter()
            cells, ledger = made_up(folder / "runs", seeds=arguments.seeds)
            print(f"made up: {len(cells.trials)} trials, {time.perf_counter() - began:.1f} s", flush=True)
        show(cells, ledger, folder, to=arguments.to)


if __name__ == "__main__":
    main()
