"""From the ledger to results: joins a study's verdicts and scores into rows keyed by problem.

One decision: what is not in the ledger is not in the results; a trial without a score still appears,
with the stage that is missing and its cause.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from evaluators.health import Health
from orchestrator.ledger.artifacts import ScoredCell, ScoredRow, cells_of, completions_of, curve_of, verdicts_of
from orchestrator.ledger.ledger import Finding, Ledger, StageRecord
from orchestrator.ledger.progress import standing_of
from orchestrator.report.layout import count_nouns
from orchestrator.report.reading import read_texts
from orchestrator.report.results import CellScores, InstanceRow, StageOutcome, StudyResults, TrialOutcome
from orchestrator.report.setup import describe_setup
from orchestrator.report.tally import how_it_ran
from orchestrator.study.resources import Resources
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec, units_held
from tasks.records import UnjudgedReason, Verdict

_Records = Mapping[StageName, StageRecord]


def collect(study: Study, trials: Sequence[TrialSpec], ledger: Ledger) -> StudyResults:
    """All results of a study that the ledger holds now."""
    findings = {trial.label: ledger.find(trial) for trial in trials}
    records = {label: found.done for label, found in findings.items()}
    frozen = {
        (trial.model.name, trial.seed): _texts(ledger, records[trial.label])
        for trial in trials
        if not trial.traits.is_trained
    }
    outcomes, rows, cells = [], [], []
    for trial in trials:
        found = records[trial.label]
        base = frozen.get((trial.model.name, trial.seed)) if trial.traits.is_trained else None
        outcomes.append(_outcome(trial, ledger, findings[trial.label], base=base, resources=study.resources))
        trial_rows, trial_cells = _scored(trial, ledger, found)
        rows += trial_rows
        cells += trial_cells
    any_record = next((r for found in records.values() for r in found.values()), None)
    judged = [
        v
        for found in records.values()
        if StageName.EXECUTE in found
        for v in verdicts_of(ledger, found[StageName.EXECUTE])
    ]
    return StudyResults(
        study=study.study,
        question=study.question.text,
        asked=study.question,
        trials=tuple(outcomes),
        rows=tuple(rows),
        cells=tuple(cells),
        provenance=dict(any_record.provenance) if any_record else {},
        isolation=how_it_ran(judged),
        setup=describe_setup(trials),
        read_texts=partial(read_texts, study, trials, ledger),
    )


def _texts(ledger: Ledger, records: _Records) -> dict[tuple[str, int], str]:
    if StageName.GENERATE not in records:
        return {}
    return {(c.problem_id, c.sample): c.text for c in completions_of(ledger, records[StageName.GENERATE])}


def _outcome(
    trial: TrialSpec,
    ledger: Ledger,
    found: Finding,
    *,
    base: dict[tuple[str, int], str] | None,
    resources: Resources,
) -> TrialOutcome:
    stages = [_stage(stage, trial, ledger, found, base=base) for stage in trial.stages]
    return TrialOutcome(
        trial=trial.label,
        model=trial.model.name,
        method=trial.method_name,
        kind=trial.kind,
        grouping=trial.grouping,
        tracks=trial.tracks,
        seed=trial.seed,
        stages=tuple(_priced(stage, trial, resources) for stage in stages),
        curve=curve_of(ledger, found.done[StageName.TRAIN]) if StageName.TRAIN in found.done else (),
    )


def _priced(stage: StageOutcome, trial: TrialSpec, resources: Resources) -> StageOutcome:
    """The stage with what it cost: what it held, for as long as it ran."""
    if stage.seconds is None or resources.price_per_hour is None:
        return stage
    hours = stage.seconds / 3600
    return replace(stage, usd=hours * units_held(trial, stage.stage, resources) * resources.price_per_hour)


def _stage(
    stage: StageName, trial: TrialSpec, ledger: Ledger, found: Finding, *, base: dict[tuple[str, int], str] | None
) -> StageOutcome:
    standing = standing_of(stage, trial, ledger, found)
    record = standing.record
    if record is None:
        return StageOutcome(stage=stage, state=standing.state, cause=standing.cause, log_path=standing.log_path)
    facts: dict[str, Any] = dict(record.facts)
    texts = _texts(ledger, found.done) if stage == StageName.GENERATE and base else {}
    if base and (shared := texts.keys() & base.keys()):
        facts["adapter_changes_outputs"] = sum(texts[key] != base[key] for key in shared) / len(shared)
    return StageOutcome(stage=stage, state=standing.state, seconds=record.seconds, facts=facts)


def _scored(trial: TrialSpec, ledger: Ledger, records: _Records) -> tuple[list[InstanceRow], list[CellScores]]:
    if StageName.SCORE not in records:
        return [], []
    scored = cells_of(ledger, records[StageName.SCORE])
    verdicts = (
        {(v.task_id, v.sample): v for v in verdicts_of(ledger, records[StageName.EXECUTE])}
        if StageName.EXECUTE in records
        else {}
    )
    rows = [row for cell in scored for row in _rows(trial, cell, verdicts)]
    return rows, [_cell(trial, cell, verdicts) for cell in scored]


def _rows(trial: TrialSpec, cell: ScoredCell, verdicts: Mapping[tuple[str, int], Verdict]) -> list[InstanceRow]:
    return [_row(trial, cell, row, verdicts.get((row.problem_id, row.sample))) for row in cell.rows]


def _row(trial: TrialSpec, cell: ScoredCell, row: ScoredRow, verdict: Verdict | None) -> InstanceRow:
    return InstanceRow(
        trial=trial.label,
        track=cell.track,
        dataset=cell.dataset,
        problem_id=row.problem_id,
        sample=row.sample,
        empty=row.empty,
        parses=row.parses,
        verdict=verdict.verdict if verdict else None,
        detail=verdict.detail if verdict else "",
        reason=verdict.reason if verdict else None,
        scores=row.scores,
        counts=row.counts,
        rules=row.rules,
    )


# What is the same for every sample, so that its own words say it once and for all.
_OF_ALL = (UnjudgedReason.TOOLCHAIN_MISSING, UnjudgedReason.LANGUAGE_NOT_RUN, UnjudgedReason.NEEDS_PROJECT)


def _notes(unjudged: Sequence[Verdict]) -> Iterator[str]:
    """Why samples were not judged: what is the same for all in its own words, anything else as a count by reason."""
    yield from dict.fromkeys(verdict.detail for verdict in unjudged if verdict.reason in _OF_ALL)
    by_reason: dict[UnjudgedReason | None, list[Verdict]] = {}
    for verdict in unjudged:
        if verdict.reason not in _OF_ALL:
            by_reason.setdefault(verdict.reason, []).append(verdict)
    for found in by_reason.values():
        yield f"{count_nouns(len(found), 'sample')} could not be judged, the first: {found[0].detail}"


def _cell(trial: TrialSpec, cell: ScoredCell, verdicts: Mapping[tuple[str, int], Verdict]) -> CellScores:
    unjudged = [
        verdict
        for row in cell.rows
        if (verdict := verdicts.get((row.problem_id, row.sample))) and verdict.verdict == "unjudged"
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
        missing_tools=cell.missing_tools,
    )
