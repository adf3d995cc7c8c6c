"""The artifacts of a study's run and of its trials' runs.

One decision: an artifact has a mark that is cheap to work out and changes with it, so that it is sent when it changed
and at no other time; what is large is made only when it is sent.

    run STUDY        report.html and its pictures, samples.jsonl.gz, study.json, stages.json, settings.json
      run TRIAL      trial.json, versions.json, tracks.json, summary.json, adapter/ or model/
"""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import TextIOWrapper
from pathlib import Path

from orchestrator.ledger.artifacts import SUMMARY, completions_of, verdicts_of, weights_of
from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.ledger.manifest import stages_named_by
from orchestrator.report.reading import read_texts
from orchestrator.report.texts import Texts
from orchestrator.study.fingerprint import fingerprint
from orchestrator.study.schema import Study
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from orchestrator.tracking.settings import shared

STUDY_FILE = "study.json"
STAGES_FILE = "stages.json"
TRIAL_FILE = "trial.json"
SAMPLES = "samples.jsonl.gz"
ADAPTER = "adapter"
_FULL_WEIGHTS_LIMIT_BYTES = 64 * 2**20
# What a report leaves beside its page, whatever it is called.
_OF_REPORTS = (".html", ".png", ".svg", ".js")
_Records = Mapping[StageName, StageRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An artifact; sent again only if `mark` changes.

    `source` is a folder or file to copy, text to write, or what writes the file when it is sent.
    """

    name: str
    mark: str
    source: Path | str | Callable[[Path], None] = field(compare=False)


def trial_uploads(trial: TrialSpec, ledger: Ledger, records: _Records, *, table: str = "") -> Iterator[Upload]:
    """A trial's spec, versions, figures, summary and weights; full weights of 64 MiB or more stay in the ledger alone.

    `table` is that of the figures by track, empty while there are none.
    """
    yield text_upload(TRIAL_FILE, trial.model_dump_json(indent=1))
    for record in list(records.values())[:1]:
        versions = {name: value for name, value in record.provenance.items() if name != "host"}
        yield Upload(name="versions.json", mark=record.attempt, source=json.dumps(versions, indent=1))
    if table:
        yield text_upload("tracks.json", table)
    train = records.get(StageName.TRAIN)
    if train is None:
        return
    if SUMMARY in train.outputs:
        source = ledger.folder(train, under=SUMMARY) / SUMMARY
        yield Upload(name=SUMMARY, mark=train.attempt, source=source)
    weights = f"{train.facts['weights']}/"
    if name := weights_artifact(trial, train):
        yield Upload(name=name, mark=train.attempt, source=ledger.folder(train, under=weights) / weights)


def weights_artifact(trial: TrialSpec, train: StageRecord) -> str:
    """The artifact that holds a trained trial's weights; empty where they are too large to be one."""
    if not trial.traits.has_own_weights:
        return ADAPTER
    return "model" if sum(weights_of(train).values()) < _FULL_WEIGHTS_LIMIT_BYTES else ""


def wordings(study: Study, trials: Sequence[TrialSpec]) -> tuple[Upload, ...]:
    """What tells how a study would be run again: its file in full, its stages' keys, the settings that all share.

    A template that a model is given stands there as text, as its trials have it, not as the path of a file.
    """
    models = {trial.model.name: trial.model.chat_template for trial in trials}
    given = tuple(
        model.model_copy(update={"chat_template": models.get(model.name, model.chat_template)})
        for model in study.models
    )
    return (
        text_upload(STUDY_FILE, study.model_copy(update={"models": given}).model_dump_json(indent=1)),
        text_upload(STAGES_FILE, stages_named_by(trials).model_dump_json()),
        text_upload("settings.json", json.dumps(shared(trials), indent=1)),
    )


def answers(study: Study, trials: Sequence[TrialSpec], ledger: Ledger, *, live: bool) -> Iterator[Upload]:
    """A study's answer, with all that its models wrote.

    Samples grow with each trial, so they are sent when no driver is at work.
    """
    for path in sorted(ledger.study_folder(study.study).iterdir()):
        if path.suffix in _OF_REPORTS:
            yield Upload(name=path.name, mark=hashlib.sha256(path.read_bytes()).hexdigest(), source=path)
    if not live:
        found = {trial.label: ledger.records_of(trial) for trial in trials}
        behind = [[label, *(record.attempt for record in records.values())] for label, records in found.items()]
        if any(StageName.GENERATE in records for records in found.values()):
            yield Upload(name=SAMPLES, mark=fingerprint(behind), source=partial(write_samples, study, trials, ledger))


def write_samples(study: Study, trials: Sequence[TrialSpec], ledger: Ledger, path: Path) -> None:
    """All that a study's trials wrote, with what was asked and the verdict, a line of JSON each, compressed.

    The same results give the same bytes. Prompts and references are those of data that can be read now.
    """
    texts = read_texts(study, trials, ledger)
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        TextIOWrapper(packed, encoding="utf-8") as text,
    ):
        for trial in trials:
            for row in _samples(ledger, ledger.records_of(trial), texts):
                text.write(json.dumps({"trial": trial.label, **row}, ensure_ascii=False) + "\n")


def _samples(ledger: Ledger, records: _Records, texts: Texts) -> Iterator[dict[str, object]]:
    if StageName.GENERATE not in records:
        return
    executed = records.get(StageName.EXECUTE)
    verdicts = {(v.task_id, v.sample): v for v in (verdicts_of(ledger, executed) if executed else ())}
    for completion in completions_of(ledger, records[StageName.GENERATE]):
        row = completion.model_dump(mode="json")
        asked = texts.asked_of(completion.track, completion.problem_id)
        verdict = verdicts.get((completion.problem_id, completion.sample))
        yield {
            **{name: row[name] for name in ("track", "dataset", "problem_id", "sample")},
            "prompt": asked.prompt if asked else None,
            "reference": asked.reference if asked else None,
            "output": row["text"],
            **{name: row[name] for name in ("finish", "prompt_tokens", "new_tokens")},
            "verdict": verdict.verdict if verdict else None,
            "detail": verdict.detail if verdict else "",
        }


def text_upload(name: str, text: str) -> Upload:
    """A text as an artifact."""
    return Upload(name=name, mark=hashlib.sha256(text.encode()).hexdigest(), source=text)
