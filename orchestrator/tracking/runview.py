"""What MLflow should show of a study, worked out from the ledger alone.

One decision: this half knows no MLflow. A run's whole content is one value, a `RunView`, so that
`tracking.py` has only to compare it with what MLflow holds and write the difference.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from evaluators.similarity import METRICS, title_of
from models.shapes import Unknown, shape_of
from orchestrator.ledger.artifacts import SUMMARY, curve_in, weights_of
from orchestrator.ledger.ledger import Finding, Ledger, StageRecord
from orchestrator.ledger.progress import State, standing_of, state_of
from orchestrator.report.collect import collect
from orchestrator.report.layout import format_count
from orchestrator.report.quality import HEADLINES, read_three_ways
from orchestrator.report.results import CellScores, InstanceRow, StudyResults, TrialOutcome
from orchestrator.study.fingerprint import fingerprint
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

_FULL_WEIGHTS_LIMIT_BYTES = 64 * 2**20
_LONGEST_CAUSE = 2000
_COSTS = ("tokens", "trainable_parameters", "total_parameters", "peak_memory_bytes")
# A track's one figure where there is room for one only: the first of these that it has.
_HEADLINES = ("pass_at_1", *(name for name, metric in METRICS.items() if metric.headline_of))
# What a row of a curve says of itself, not of the training: MLflow has a place of its own for each.
_NOT_METRICS = ("step", "time", "seconds")
_Records = dict[StageName, StageRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value of one metric; `time_ms` is since 1970, as MLflow counts."""

    key: str
    value: float
    time_ms: int
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An artifact: a folder or file to copy, or text to write; sent again only if `mark` changes."""

    name: str
    mark: str
    source: Path | str


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


def trial_view(study: Study, trial: TrialSpec, base: TrialSpec | None, ledger: Ledger, *, seen: Glance) -> RunView:
    """What the run of a trial should show.

    Args:
        study: The trial's study.
        trial: The trial.
        base: The frozen trial of the same model, which tells how much training changed the outputs.
        ledger: What has been done.
        seen: How the trial stands.
    """
    records = ledger.records_of(trial)
    results = collect(study, [trial, *([base] if base else [])], ledger)
    outcome = results.trials[0]
    git = next((record.provenance.get("git", "") for record in records.values()), "")
    cause = next((stage.cause for stage in outcome.stages if stage.cause), "")
    tags = {
        "model": trial.model.name,
        "method": trial.method_name,
        "kind": trial.kind,
        "grouping": trial.grouping,
        "task": trial.group,
        "tracks": ", ".join(trial.tracks),
        "seed": str(trial.seed),
        "git": git,
        "state": seen.state,
        "stages": ", ".join(f"{stage.stage} {stage.state}" for stage in outcome.stages),
        "cause": cause[:_LONGEST_CAUSE],
    }
    figures = (*_costs(outcome, records), *_scores(trial.label, results, records))
    tags["mlflow.note.content"] = _note(trial, seen, cause, figures)
    commit = {"mlflow.source.git.commit": git.partition("+")[0]} if git not in ("", "none") else {}
    attempt = _curve_attempt(trial, ledger, records)
    return RunView(
        name=trial.label,
        state=seen.state,
        start_ms=seen.start_ms,
        end_ms=seen.end_ms,
        tags=tags | commit,
        attempts={stage: record.attempt for stage, record in records.items()},
        params=_params(trial),
        curve_attempt=attempt.name if attempt else "",
        curve=_curve(attempt) if attempt else (),
        figures=figures,
        uploads=tuple(trial_uploads(trial, ledger, records)),
    )


def study_view(study: Study, ledger: Ledger, trials: Sequence[Glance], *, unbegun: int, live: bool) -> RunView:
    """What the study's own run should show, given its trials that were begun, and whether a driver is at work."""
    folder, states = ledger.study_folder(study.study), {trial.state for trial in trials}
    state = State.DONE
    if unbegun or states != {State.DONE}:
        # A trial that waits for its next stage waits in vain where nobody is at work.
        state = State.RUNNING if live else State.FAILED if State.FAILED in states else State.STOPPED
    files = [path for name in ("study.json", "report.html") if (path := folder / name).is_file()]
    return RunView(
        name=study.study,
        state=state,
        start_ms=min(trial.start_ms for trial in trials),
        end_ms=max(trial.end_ms for trial in trials),
        tags={"mlflow.note.content": study.question.text, "state": state},
        attempts={},
        params={},
        curve_attempt="",
        curve=(),
        figures=(),
        uploads=tuple(
            Upload(
                name=path.name,
                mark=hashlib.sha256(path.read_bytes()).hexdigest(),
                source=path.read_text(encoding="utf-8"),
            )
            for path in files
        ),
    )


def _spans(trial: TrialSpec, ledger: Ledger, records: _Records) -> Iterator[tuple[float, float]]:
    """From when to when something was done for a trial: by record, or by the files of what has none."""
    for stage in trial.stages:
        if stage in records:
            yield records[stage].finished_at - records[stage].seconds, records[stage].finished_at
            continue
        for folder in ledger.attempts(trial.key(stage)):
            times = [path.stat().st_mtime for path in (folder, *folder.glob("[!.]*"))]
            yield min(times), max(times)


def _params(trial: TrialSpec) -> dict[str, str]:
    """What identifies a trial, flat, as MLflow compares it: sorted by name, and the settings' names sort last."""
    shape = shape_of(trial.model)
    fields: dict[str, Any] = {
        "model": trial.model.name,
        "model.revision": trial.model.revision or (trial.model.digest or "")[:12] or None,
        "size": None if isinstance(shape, Unknown) else format_count(shape.parameters),
        "method": trial.method_name,
        "task": trial.group,
        "seed": trial.seed,
    }
    for name, block in (("test", trial.generation), ("training", trial.training), ("training.lora", trial.lora)):
        fields |= {f"{name}.{key}": value for key, value in (block.model_dump(mode="json") if block else {}).items()}
    return {
        key: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in fields.items()
        if value is not None
    }


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


def _costs(outcome: TrialOutcome, records: _Records) -> Iterator[Point]:
    """What a trial took, and how much its training changed what the base writes."""
    for stage, record in records.items():
        time_ms = _ms(record.finished_at)
        yield Point(key=f"resources/{stage}_seconds", value=record.seconds, time_ms=time_ms)
        known = next((o.facts for o in outcome.stages if o.stage == stage), {})
        for name in _COSTS:
            if isinstance(value := known.get(name), int | float):
                yield Point(key=f"resources/{name}", value=float(value), time_ms=time_ms)
        if isinstance(value := known.get("adapter_changes_outputs"), int | float):
            yield Point(key="health/adapter_changes_outputs", value=float(value), time_ms=time_ms)


def headlines(tracks: Sequence[str], figures: Collection[str]) -> list[str]:
    """The metric that stands for each track, of those that there are."""
    found = []
    for track in tracks:
        names = [f"{track}/{name}" for name in _HEADLINES if f"{track}/{name}" in figures]
        found += names[:1]
    return found


def _note(trial: TrialSpec, seen: Glance, cause: str, figures: Sequence[Point]) -> str:
    """A run's description, in MLflow's Markdown: what was done, how it stands, and its scores."""
    place = "one model for all tasks" if trial.grouping == "together" else f"a model for {trial.group} alone"
    lines = [f"**{trial.method_name}** on {trial.model.name}, {place}, seed {trial.seed}: {seen.state}."]
    if cause and seen.state != State.DONE:
        lines += ["", "> " + cause[:300].replace("\n", " ")]
    values = {point.key: point.value for point in figures}
    names = {name: "pass@1" if name == "pass_at_1" else title_of(name) for name in _HEADLINES}
    names |= {"parse_rate": "parses", "empty_rate": "empty"}
    shown = [track for track in trial.tracks if any(f"{track}/{name}" in values for name in names)]
    if shown:
        lines += ["", f"| track | {' | '.join(names.values())} |", "|---" + "|---:" * len(names) + "|"]
    for track in shown:
        cells = [values.get(f"{track}/{name}") for name in names]
        lines.append(f"| {track} | {' | '.join('' if cell is None else f'{cell:.3g}' for cell in cells)} |")
    return "\n".join(lines)


def _scores(label: str, results: StudyResults, records: _Records) -> Iterator[Point]:
    """`TRACK/METRIC` of each cell; the data set's name follows where a track has several."""
    cells = [cell for cell in results.cells if cell.trial == label]
    places: dict[tuple[str, str], list[InstanceRow]] = {(cell.track, cell.dataset): [] for cell in cells}
    for row in results.rows:
        if row.trial == label:
            places[row.track, row.dataset].append(row)
    tracks = [cell.track for cell in cells]
    for cell in cells:
        suffix = "/" + re.sub(r"[^\w.\- ]", "_", cell.dataset) if tracks.count(cell.track) > 1 else ""
        for name, value in figures_of(cell, places[cell.track, cell.dataset]).items():
            yield Point(
                key=f"{cell.track}/{name}{suffix}", value=value, time_ms=_ms(records[StageName.SCORE].finished_at)
            )


def figures_of(cell: CellScores, rows: Sequence[InstanceRow]) -> dict[str, float]:
    """A cell's scores with their health.

    Rates and pass@1 are 0-1. Similarity is 0-100, the mean over problems that reports show, with the
    figure of the whole corpus as `_corpus`. The headline counts of quality are means per file, three ways, as
    `quality.NAME.parsing`, `.passing` and `.vs_reference`, each with the number of files behind it as `..._files`.
    """
    tested = [row for row in rows if row.verdict is not None]
    judged = [row for row in tested if row.verdict != "unjudged"]
    parsed = [row.parses for row in rows if row.parses is not None]
    figures = {"empty_rate": fmean(row.empty for row in rows)}
    if parsed:
        figures["parse_rate"] = fmean(parsed)
    if tested:
        figures["unjudged_rate"] = 1 - len(judged) / len(tested)
    if judged:
        figures["pass_at_1"] = _mean_by_problem((row.problem_id, row.verdict == "passed") for row in judged)
    for name in sorted({name for row in rows for name in row.scores}):
        figures[name] = _mean_by_problem((row.problem_id, row.scores[name]) for row in rows if name in row.scores)
    figures |= {f"{name}_corpus": value for name, value in cell.corpus.items()}
    return figures | dict(_quality(cell, rows))


def _quality(cell: CellScores, rows: Sequence[InstanceRow]) -> Iterator[tuple[str, float]]:
    """The headline counts three ways; one that no file has is no figure."""
    for title, count in HEADLINES.items():
        ways = read_three_ways(rows, cell, count)
        for way, figure in (("parsing", ways.parsing), ("passing", ways.passing), ("vs_reference", ways.difference)):
            if figure is not None:
                name = f"quality.{title.replace(' ', '_')}.{way}"
                yield name, figure.per_file
                yield f"{name}_files", float(figure.files)


def _mean_by_problem(values: Iterable[tuple[str, float]]) -> float:
    """The mean over problems of the mean over a problem's samples, which for passes is pass@1."""
    problems: dict[str, list[float]] = {}
    for problem, value in values:
        problems.setdefault(problem, []).append(value)
    return fmean(fmean(samples) for samples in problems.values())


def trial_uploads(trial: TrialSpec, ledger: Ledger, records: _Records) -> Iterator[Upload]:
    """A trial's spec, versions, summary and weights; full weights of 64 MiB or more stay in the ledger alone."""
    spec = trial.model_dump_json(indent=1)
    yield Upload(name="trial.json", mark=fingerprint(trial), source=spec)
    for record in list(records.values())[:1]:
        versions = {name: value for name, value in record.provenance.items() if name != "host"}
        yield Upload(name="versions.json", mark=record.attempt, source=json.dumps(versions, indent=1))
    train = records.get(StageName.TRAIN)
    if train is None:
        return
    if SUMMARY in train.outputs:
        source = ledger.folder(train, under=SUMMARY) / SUMMARY
        yield Upload(name=SUMMARY, mark=train.attempt, source=source)
    weights = f"{train.facts['weights']}/"
    size = sum(weights_of(train).values())
    whole = trial.traits.has_own_weights
    if not whole or size < _FULL_WEIGHTS_LIMIT_BYTES:
        name = "model" if whole else "adapter"
        yield Upload(name=name, mark=train.attempt, source=ledger.folder(train, under=weights) / weights)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
