"""What MLflow should show of a study, worked out from the ledger alone.

One decision: this half knows no MLflow. A run's whole content is one value, a `RunView`, so that
`tracking.py` has only to compare it with what MLflow holds and write the difference.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluators.similarity import title_of
from orchestrator.ledger.artifacts import curve_in, verdicts_of
from orchestrator.ledger.ledger import Finding, Ledger, StageRecord
from orchestrator.ledger.progress import State, standing_of, state_of
from orchestrator.report.collect import collect
from orchestrator.report.layout import count_nouns
from orchestrator.study.fingerprint import fingerprint
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.tracking.figures import PASS, TABLE, Point, TrackRow, figures_of, table_of, track_rows
from orchestrator.tracking.settings import params_of
from orchestrator.tracking.uploads import Upload, trial_uploads

VIEW_VERSION = 1
"""To be raised with a change of what a run shows or of what a metric means: runs of another version are replaced."""

_LONGEST_CAUSE = 2000
# What a row of a curve says of itself, not of the training: MLflow has a place of its own for each.
_NOT_METRICS = ("step", "time", "seconds")
_Records = dict[StageName, StageRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """What a run should show.

    `attempts` says which attempt of each finished stage its numbers come from, `curve_attempt` which
    attempt's rows the curve holds: that of the finished training, or of the newest one.
    """

    name: str
    state: State
    start_ms: int
    end_ms: int
    tags: dict[str, str]
    attempts: dict[str, str]
    params: dict[str, str]
    curve_attempt: str
    curve: tuple[tuple[Point, ...], ...]
    figures: tuple[Point, ...]
    uploads: tuple[Upload, ...]


def trial_digest(trial: TrialSpec) -> str:
    """A trial's name in MLflow. The label is part of it: a frozen model's stages are alike for all seeds."""
    return fingerprint({"label": trial.label, "stages": {stage: trial.key(stage) for stage in trial.stages}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A cheap look at a trial: how it stands, and a `mark` that changes whenever its view may."""

    state: State
    start_ms: int
    end_ms: int
    mark: str


def glance(trial: TrialSpec, base: TrialSpec | None, ledger: Ledger, *, live_since: float | None) -> Glance | None:
    """How a trial stands; None if nothing of it was begun.

    Args:
        trial: The trial.
        base: The frozen trial of the same model, if the study has one, see `trial_view`.
        ledger: What has been done.
        live_since: When the driver that is at work now began; None if there is none. A ledger cannot
            tell a live attempt from one whose process died: those begun before were cut off.
    """
    records = ledger.records_of(trial)
    spans = [*_spans(trial, ledger, records)]
    if not spans:
        return None
    seen: list[object] = [[stage, record.attempt] for stage, record in records.items()]
    for stage in trial.stages:
        newest = None if stage in records else next(ledger.attempts(trial.key(stage)), None)
        if newest is not None:
            telling = sorted((*newest.glob("metrics/*.jsonl"), *newest.glob("failure.json")))
            seen.append([newest.name, *([file.name, file.stat().st_size] for file in telling)])
    written = ledger.records_of(base).get(StageName.GENERATE) if base else None
    end = max(end for _, end in spans)
    found = Finding(done=records, damaged={})
    stages = [standing_of(stage, trial, ledger, found, live_since=live_since).state for stage in trial.stages]
    return Glance(
        state=state_of(stages, live=live_since is not None and end >= live_since),
        start_ms=_ms(min(start for start, _ in spans)),
        end_ms=_ms(end),
        mark=json.dumps([seen, written.attempt if written else None]),
    )


def trial_view(
    study: Study, trial: TrialSpec, base: TrialSpec | None, ledger: Ledger, *, seen: Glance, varying: frozenset[str]
) -> RunView:
    """What the run of a trial should show.

    Args:
        study: The trial's study.
        trial: The trial.
        base: The frozen trial of the same model, which tells how much training changed the outputs.
        ledger: What has been done.
        seen: How the trial stands.
        varying: The settings that differ within the study, see `settings.varying`.
    """
    records = ledger.records_of(trial)
    results = collect(study, [trial, *([base] if base else [])], ledger)
    outcome = results.trials[0]
    executed = records.get(StageName.EXECUTE)
    verdicts = verdicts_of(ledger, executed) if executed else ()
    rows = track_rows(trial.label, results, records, verdicts, ledger)
    cause = next((stage.cause for stage in outcome.stages if stage.cause), "")
    told = {
        "state": seen.state,
        "stages": ", ".join(f"{stage.stage} {stage.state}" for stage in outcome.stages),
        "cause": cause[:_LONGEST_CAUSE],
        "mlflow.note.content": _note(trial, seen, cause, rows),
        # So MLflow's third view of an experiment finds the table, and shows those of several runs side by side.
        "mlflow.loggedArtifacts": json.dumps([{"path": TABLE, "type": "table"}]) if rows else "",
    }
    attempt = _curve_attempt(trial, ledger, records)
    return RunView(
        name=trial.label,
        state=seen.state,
        start_ms=seen.start_ms,
        end_ms=seen.end_ms,
        tags=_tags(trial, records) | {name: value for name, value in told.items() if value or name == "cause"},
        attempts={stage: record.attempt for stage, record in records.items()},
        params=params_of(trial, varying=varying),
        curve_attempt=attempt.name if attempt else "",
        curve=_curve(attempt) if attempt else (),
        figures=tuple(figures_of(outcome, rows, records)),
        uploads=tuple(trial_uploads(trial, ledger, records, table=table_of(rows) if rows else "")),
    )


def _tags(trial: TrialSpec, records: _Records) -> dict[str, str]:
    git = next((record.provenance.get("git", "") for record in records.values()), "")
    tags = {
        "model": trial.model.name,
        "method": trial.method_name,
        "kind": trial.kind,
        "grouping": trial.grouping,
        "task": trial.group,
        "tracks": ", ".join(trial.tracks),
        "seed": str(trial.seed),
        "git": git,
    }
    return tags | ({"mlflow.source.git.commit": git.partition("+")[0]} if git not in ("", "none") else {})


def study_view(
    study: Study, trials: Sequence[TrialSpec], seen: Sequence[Glance], *, uploads: Sequence[Upload], live: bool
) -> RunView:
    """What the study's own run should show, given its trials, those `seen` begun, and whether a driver is at work."""
    states = {glance.state for glance in seen}
    state = State.DONE
    if len(seen) < len(trials) or states != {State.DONE}:
        # A trial that waits for its next stage waits in vain where nobody is at work.
        state = State.RUNNING if live else State.FAILED if State.FAILED in states else State.STOPPED
    return RunView(
        name=study.study,
        state=state,
        start_ms=min(glance.start_ms for glance in seen),
        end_ms=max(glance.end_ms for glance in seen),
        tags={"mlflow.note.content": _study_note(study, trials, seen), "state": state},
        attempts={},
        params={},
        curve_attempt="",
        curve=(),
        figures=(),
        uploads=tuple(uploads),
    )


def _study_note(study: Study, trials: Sequence[TrialSpec], seen: Sequence[Glance]) -> str:
    """What a study's run says of itself: what is asked, how far it is, and which artifact is what."""
    done = sum(glance.state == State.DONE for glance in seen)
    lines = (
        study.question.text.strip(),
        f"{done} of {count_nouns(len(trials), 'trial')} done. Under Artifacts: the answer is `report.html`; "
        "`samples.jsonl.gz` holds all that the models wrote; `settings.json` what all trials have in common, so that "
        "a run's parameters are what differs.",
        "`polytune replay` makes a study file of this run that gives the same trials.",
    )
    return "\n\n".join(line for line in lines if line)


def _spans(trial: TrialSpec, ledger: Ledger, records: _Records) -> Iterator[tuple[float, float]]:
    """From when to when something was done for a trial: by record, or by the files of what has none."""
    for stage in trial.stages:
        if stage in records:
            yield records[stage].finished_at - records[stage].seconds, records[stage].finished_at
            continue
        for folder in ledger.attempts(trial.key(stage)):
            times = [path.stat().st_mtime for path in (folder, *folder.glob("[!.]*"))]
            yield min(times), max(times)


def _curve_attempt(trial: TrialSpec, ledger: Ledger, records: _Records) -> Path | None:
    """The attempt whose curve a trial shows: the finished training's, else the newest that logged a row."""
    if StageName.TRAIN in records:
        return ledger.folder(records[StageName.TRAIN])
    attempts = ledger.attempts(trial.key(StageName.TRAIN)) if StageName.TRAIN in trial.stages else iter(())
    return next((attempt for attempt in attempts if any(attempt.glob("metrics/*.jsonl"))), None)


def _curve(attempt: Path) -> tuple[tuple[Point, ...], ...]:
    """A training's rows as `train/...` and `validation/...`, at the times when they were logged."""
    return tuple(
        tuple(
            Point(key=_curve_name(name), value=row[name], time_ms=_ms(row["time"]), step=int(row["step"]))
            for name in row
            if name not in _NOT_METRICS
        )
        for row in curve_in(attempt)
    )


def _curve_name(name: str) -> str:
    return name if name.startswith("validation/") else f"train/{name}"


def _note(trial: TrialSpec, seen: Glance, cause: str, rows: Sequence[TrackRow]) -> str:
    """A run's description, in MLflow's Markdown: what was done, how it stands, and its scores."""
    place = "one model for all tasks" if trial.grouping == "together" else f"a model for {trial.group} alone"
    lines = [f"**{trial.method_name}** on {trial.model.name}, {place}, seed {trial.seed}: {seen.state}."]
    if cause and seen.state != State.DONE:
        lines += ["", "> " + cause[:300].replace("\n", " ")]
    if rows:
        lines += ["", "| track | score | | problems | truncated | empty |", "|---|---:|---|---:|---:|---:|"]
    for row in rows:
        headline = row.headline
        score = f"{row.scores[headline]:.1f} | {_title(headline)}" if headline else " | "
        counts = " | ".join(str(row.counts[name]) for name in ("problems", "truncated", "empty"))
        lines.append(f"| {row.name} | {score} | {counts} |")
    return "\n".join(lines)


def _title(headline: str) -> str:
    return "pass@1 %" if headline == PASS else title_of(headline)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
