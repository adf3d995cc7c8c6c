"""From the ledger to results: joins a study's verdicts and scores into rows keyed by problem.

One decision: what is not in the ledger is not in the results; a trial without a score still appears,
with the stage that is missing and its cause.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluators.health import Health
from orchestrator.ledger import Ledger, StageRecord, read_lines
from orchestrator.results import CellScores, InstanceRow, StageOutcome, StudyResults, TrialOutcome
from orchestrator.stages import ScoredCell
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.tally import how_it_ran
from tasks.records import Completion, Verdict

_Records = Mapping[StageName, StageRecord]


def collect(study: Study, trials: Sequence[TrialSpec], ledger: Ledger) -> StudyResults:
    """All results of a study that the ledger holds now."""
    records = {trial.label: ledger.records_of(trial) for trial in trials}
    frozen = {
        (trial.model.name, trial.seed): _texts(ledger, records[trial.label])
        for trial in trials
        if trial.kind == "frozen"
    }
    outcomes, rows, cells = [], [], []
    for trial in trials:
        found = records[trial.label]
        base = frozen.get((trial.model.name, trial.seed)) if trial.kind != "frozen" else None
        outcomes.append(_outcome(trial, ledger, found, base=base))
        trial_rows, trial_cells = _scored(trial, ledger, found)
        rows += trial_rows
        cells += trial_cells
    any_record = next((r for found in records.values() for r in found.values()), None)
    judged = [v for found in records.values() if "execute" in found for v in verdicts_of(ledger, found["execute"])]
    return StudyResults(
        study=study.study,
        question=study.question,
        trials=tuple(outcomes),
        rows=tuple(rows),
        cells=tuple(cells),
        provenance=dict(any_record.provenance) if any_record else {},
        isolation=how_it_ran(judged),
    )


def completions_of(ledger: Ledger, record: StageRecord) -> tuple[Completion, ...]:
    """What a finished generate stage wrote."""
    return tuple(
        Completion.model_validate(row)
        for row in read_lines(ledger.folder(record, under="completions.jsonl") / "completions.jsonl")
    )


def verdicts_of(ledger: Ledger, record: StageRecord) -> tuple[Verdict, ...]:
    """What a finished execute stage found."""
    return tuple(
        Verdict.model_validate(row)
        for row in read_lines(ledger.folder(record, under="verdicts.jsonl") / "verdicts.jsonl")
    )


def curve_of(ledger: Ledger, record: StageRecord) -> tuple[dict[str, float], ...]:
    """Every row that a finished training logged, in order."""
    return curve_in(ledger.folder(record, under="metrics/"))


def curve_in(attempt: Path) -> tuple[dict[str, float], ...]:
    """Every row that an attempt at a training has logged so far, in order.

    A line that is just being written, or that a crash cut off, ends the reading. A row without a time
    of its own has its chunk's.
    """
    rows: list[dict[str, float]] = []
    for chunk in sorted((attempt / "metrics").glob("*.jsonl")):
        written = chunk.stat().st_mtime
        for line in chunk.read_text(encoding="utf-8").splitlines(keepends=True):
            if not line.endswith("}\n"):
                return tuple(rows)
            rows.append({"time": written, **json.loads(line)})
    return tuple(rows)


def _texts(ledger: Ledger, records: _Records) -> dict[tuple[str, int], str]:
    if "generate" not in records:
        return {}
    return {(c.problem_id, c.sample): c.text for c in completions_of(ledger, records["generate"])}


def _outcome(
    trial: TrialSpec, ledger: Ledger, records: _Records, *, base: dict[tuple[str, int], str] | None
) -> TrialOutcome:
    stages = []
    for stage in trial.stages:
        record = records.get(stage)
        if record is None:
            stages.append(_unfinished(trial, stage, ledger))
            continue
        facts: dict[str, Any] = dict(record.facts)
        if stage == "generate" and base:
            texts = _texts(ledger, records)
            shared = texts.keys() & base.keys()
            if shared:
                facts["adapter_changes_outputs"] = sum(texts[key] != base[key] for key in shared) / len(shared)
        stages.append(StageOutcome(stage=stage, state="done", seconds=record.seconds, facts=facts))
    return TrialOutcome(
        trial=trial.label,
        model=trial.model.name,
        method=trial.method_name,
        kind=trial.kind,
        grouping=trial.grouping,
        tracks=trial.tracks,
        seed=trial.seed,
        stages=tuple(stages),
        curve=curve_of(ledger, records["train"]) if "train" in records else (),
    )


def _unfinished(trial: TrialSpec, stage: StageName, ledger: Ledger) -> StageOutcome:
    failure = ledger.last_failure(trial.key(stage))
    if failure is None:
        return StageOutcome(stage=stage, state="missing")
    cause = failure[0].cause.removeprefix("StageFailed: ")
    state = "not-run" if cause.startswith("not run:") else "failed"
    return StageOutcome(stage=stage, state=state, cause=cause, log_path=str(failure[1]))


def _scored(trial: TrialSpec, ledger: Ledger, records: _Records) -> tuple[list[InstanceRow], list[CellScores]]:
    if "score" not in records:
        return [], []
    text = (ledger.folder(records["score"], under="cells.json") / "cells.json").read_text(encoding="utf-8")
    scored = [ScoredCell.model_validate(cell) for cell in json.loads(text)]
    verdicts = (
        {(v.task_id, v.sample): v for v in verdicts_of(ledger, records["execute"])} if "execute" in records else {}
    )
    rows = [row for cell in scored for row in _rows(trial, cell, verdicts)]
    return rows, [_cell(trial, cell, verdicts) for cell in scored]


def _rows(trial: TrialSpec, cell: ScoredCell, verdicts: Mapping[tuple[str, int], Verdict]) -> list[InstanceRow]:
    rows = []
    for raw in cell.rows:
        row: dict[str, Any] = dict(raw)
        verdict = verdicts.get((row["problem_id"], row["sample"]))
        rows.append(
            InstanceRow(
                trial=trial.label,
                track=cell.track,
                dataset=cell.dataset,
                verdict=verdict.verdict if verdict else None,
                detail=verdict.detail if verdict else "",
                **row,
            )
        )
    return rows


def _notes(unjudged: list[str]) -> list[str]:
    """Why samples were not judged: a missing toolchain in its own words, anything else as a count."""
    missing = list(dict.fromkeys(detail for detail in unjudged if detail.startswith("not judged:")))
    others = [detail for detail in unjudged if not detail.startswith("not judged:")]
    noun = "sample" if len(others) == 1 else "samples"
    return [*missing, *([f"{len(others)} {noun} could not be judged, the first: {others[0]}"] if others else [])]


def _cell(trial: TrialSpec, cell: ScoredCell, verdicts: Mapping[tuple[str, int], Verdict]) -> CellScores:
    unjudged = [
        verdict.detail
        for row in cell.rows
        if (verdict := verdicts.get((row["problem_id"], row["sample"]))) and verdict.verdict == "unjudged"  # type: ignore[arg-type]
    ]
    return CellScores(
        trial=trial.label,
        track=cell.track,
        dataset=cell.dataset,
        corpus=cell.corpus,
        signatures=cell.signatures,
        health=Health.model_validate(cell.health),
        health_warnings=cell.health_warnings,
        reference_counts=cell.reference_counts,
        reference_rules=cell.reference_rules,
        notes=(*_notes(unjudged), *cell.notes),
    )
