"""A study's results as data frames.

One decision: frames are made of what the report is made of, by the report's own functions, so a figure in a notebook
is the figure on the page.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polytune.values import in_python

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.ledger.ledger import Ledger
    from orchestrator.report.evidence import Evidence, Place
    from orchestrator.report.results import CellScores, InstanceRow, StageOutcome, StudyResults, TrialOutcome
    from orchestrator.study.cells import Cells
    from orchestrator.study.trial import TrialSpec
    from tasks.records import Completion, Problem, Verdict

    _Key = tuple[str, int]

_TRIAL = ("trial", "model", "method", "kind", "grouping", "seed")
_INSTANCE = (
    *_TRIAL, "track", "dataset", "problem_id", "sample", "prompt", "reference", "output", "program", "verdict",
    "passed", "detail", "finish", "prompt_tokens", "new_tokens", "empty", "parses",
)  # fmt: skip
_CELL = (*_TRIAL, "track", "dataset", "problems", "samples", "unjudged", "notes")
_MEASURED = ("seconds", "hours", "peak_memory_bytes", "trainable_parameters", "total_parameters", "usd")
_COST = (*_TRIAL, "stage", "state", *_MEASURED, "cause")


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a ledger holds of a study now. What is absent (no tests, no score, no price) is not a number.

    Attributes:
        study: Its name.
        question: What it asks.
        instances: A row for each completion of each trial: `trial`, `model`, `method`, `kind`, `grouping`, `seed`,
            `track`, `dataset`, `problem_id`, `sample`; `prompt` (the problem, before the model's chat template),
            `reference`, `output` (what the model wrote, as decoded), `program` (what was cut out of it and run; absent
            for prose), `verdict` (absent where nothing was run), `passed` (absent where it was not judged), `detail`
            (why); `finish`, `prompt_tokens`, `new_tokens`, `empty`, `parses`; then a column for each similarity score
            (0-100) and each quality count.
        cells: A row for each trial, track and data set: `problems`, `samples`, `unjudged`, `notes` (what the report
            warns of there), then a column for each metric: the mean over problems in 0-100 as the report has it,
            `pass@1` among them; `corpus_METRIC` where there is a figure over the whole corpus.
        costs: A row for each trial and stage: `state`, `seconds` and `hours` by the clock, `peak_memory_bytes`,
            `trainable_parameters`, `total_parameters`, `usd` (where the study has `resources.price_per_hour`), `cause`
            of what failed.
        notes: What a reader must know of the figures: tests that could not be run, problems that could not be read.
        provenance: Versions, hardware and state of the code.
    """

    study: str
    question: str
    instances: "pd.DataFrame"
    cells: "pd.DataFrame"
    costs: "pd.DataFrame"
    notes: tuple[str, ...]
    provenance: Mapping[str, str]


def load(study: str | Path, *, storage: str | Path | None = None) -> Results:
    """A study's results, as the ledger holds them now; nothing is run.

    Args:
        study: The name of a study that was run, or the path of a study file.
        storage: Where its ledger lies, a folder or `s3://BUCKET/PREFIX`. By default a name is looked for in `runs`
            below the working directory, and a file says itself where its results are.

    Raises:
        PolytuneError: if there is no such study, its file is at fault, its data or model is not there, or the ledger
            cannot be read.

    >>> results = polytune.load("quickstart")
    >>> results.instances[["method", "track", "problem_id", "verdict"]].dropna().head(2)
         method              track problem_id       verdict
    6  together  generation/python    small/1        passed
    7  together  generation/python    small/2  wrong_answer
    >>> results.cells[["trial", "track", "pass@1"]].dropna().round(1)
                              trial              track  pass@1
    0          micro/together/seed0  generation/python    33.3
    2  micro/apart/generation/seed0  generation/python    66.7
    """
    from orchestrator.report.collect import collect
    from orchestrator.run.opening import open_study

    with in_python():
        cells, ledger = open_study(study, storage=storage)
    found = collect(cells.study, cells.trials, ledger)
    problems, unread = _problems(cells)
    notes = dict.fromkeys((*unread, *(note for cell in found.cells for note in cell.notes)))
    return Results(
        study=found.study,
        question=found.question,
        instances=_frame(list(_instances(cells.trials, ledger, found, problems=problems)), first=_INSTANCE),
        cells=_frame(list(_cells(found)), first=_CELL),
        costs=_frame(list(_costs(found)), first=_COST).astype(dict.fromkeys(_MEASURED, float)),
        notes=tuple(notes),
        provenance=found.provenance,
    )


def _frame(rows: "Sequence[Mapping[str, Any]]", *, first: Sequence[str]) -> "pd.DataFrame":
    """Rows as a frame: these columns first, there even where no row is, then the others in the order of their names."""
    import pandas as pd

    others = sorted({name for row in rows for name in row} - set(first))
    return pd.DataFrame(rows, columns=[*first, *others])


def _of_trial(trial: "TrialOutcome") -> dict[str, Any]:
    return {name: getattr(trial, name) for name in _TRIAL}


def _problems(cells: "Cells") -> "tuple[dict[tuple[str, str], Problem], tuple[str, ...]]":
    """The study's test problems by track and id, and what of them cannot be read now."""
    from orchestrator.work.data import read_all_problems
    from tasks.readers import DataError

    found: dict[tuple[str, str], Problem] = {}
    unread = []
    sources = dict.fromkeys(source for trial in cells.trials for source in trial.test)
    for source in sources:
        try:
            found |= {(p.track, p.id): p for p in read_all_problems((source,), root=Path(cells.study.data.root))}
        except DataError as error:
            unread.append(
                f"{source.track}: no prompts, references and programs, since the problems are not read: {error}"
            )
    return found, tuple(unread)


def _instances(
    trials: "Sequence[TrialSpec]",
    ledger: "Ledger",
    found: "StudyResults",
    *,
    problems: "Mapping[tuple[str, str], Problem]",
) -> Iterator[dict[str, Any]]:
    """Every completion in the ledger, judged and scored or not."""
    from orchestrator.ledger.artifacts import completions_of, verdicts_of
    from orchestrator.study.stages import StageName

    outcomes = {trial.trial: trial for trial in found.trials}
    scored = {(row.trial, row.problem_id, row.sample): row for row in found.rows}
    for trial in trials:
        records = ledger.records_of(trial)
        if StageName.GENERATE not in records:
            continue
        judged: dict[_Key, Verdict] = {}
        if StageName.EXECUTE in records:
            judged = {(v.task_id, v.sample): v for v in verdicts_of(ledger, records[StageName.EXECUTE])}
        for completion in completions_of(ledger, records[StageName.GENERATE]):
            key = (completion.problem_id, completion.sample)
            yield {
                **_of_trial(outcomes[trial.label]),
                **_of_completion(completion, problems.get((completion.track, completion.problem_id))),
                **_of_verdict(judged.get(key)),
                **_of_row(scored.get((trial.label, *key))),
            }


def _of_completion(completion: "Completion", problem: "Problem | None") -> dict[str, Any]:
    from evaluators.sandbox.programs import program_of

    program = None
    if problem is not None and problem.parsed_track.writes_code:
        program = program_of(problem, completion.text, sample=completion.sample).source
    return {
        "prompt": problem and problem.input,
        "reference": problem and problem.reference,
        "output": completion.text,
        "program": program,
        **completion.model_dump(exclude={"text"}),
    }


def _of_verdict(verdict: "Verdict | None") -> dict[str, Any]:
    if verdict is None:
        return {}
    passed = None if verdict.verdict == "unjudged" else verdict.verdict == "passed"
    return {"verdict": verdict.verdict, "passed": passed, "detail": verdict.detail}


def _of_row(row: "InstanceRow | None") -> dict[str, Any]:
    return {"empty": row.empty, "parses": row.parses, **row.scores, **row.counts} if row else {}


def _cells(found: "StudyResults") -> Iterator[dict[str, Any]]:
    """What each trial has at each place, by the report's own means."""
    from orchestrator.report.evidence import gather

    evidence = gather(found)
    for trial in found.trials:
        for place in evidence.places:
            if rows := evidence.rows_at(trial, place):
                yield {
                    **_of_trial(trial),
                    "track": place.track,
                    "dataset": place.dataset,
                    "problems": len({row.problem_id for row in rows}),
                    "samples": len(rows),
                    "unjudged": sum(row.verdict == "unjudged" for row in rows),
                    "notes": _notes(evidence.cell_at(trial, place)),
                    **dict(_figures(evidence, trial, place)),
                }


def _notes(cell: "CellScores | None") -> str:
    return " ".join((*cell.notes, *cell.health_warnings)) if cell else ""


def _figures(evidence: "Evidence", trial: "TrialOutcome", place: "Place") -> Iterator[tuple[str, float]]:
    from orchestrator.report.scores import list_metrics, mean_of

    for metric in list_metrics(evidence, place):
        mean = mean_of(evidence.rows_at(trial, place), metric=metric)
        if mean is not None:
            yield metric, mean
    cell = evidence.cell_at(trial, place)
    for name, value in (cell.corpus if cell else {}).items():
        yield f"corpus_{name}", value


def _costs(found: "StudyResults") -> Iterator[dict[str, Any]]:
    for trial in found.trials:
        for stage in trial.stages:
            yield {**_of_trial(trial), **_cost(stage)}


def _cost(stage: "StageOutcome") -> dict[str, Any]:
    """What a stage took; USD as `polytune plan` counts them, for what it held as long as it ran."""
    hours = None if stage.seconds is None else stage.seconds / 3600
    facts = ("peak_memory_bytes", "trainable_parameters", "total_parameters")
    return {
        "stage": str(stage.stage),
        "state": str(stage.state),
        "seconds": stage.seconds,
        "hours": hours,
        **{name: stage.facts.get(name) for name in facts},
        "usd": stage.usd,
        "cause": stage.cause or None,
    }


__all__ = ["Results", "load"]
