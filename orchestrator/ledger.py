"""The ledger of finished stages: the only truth about what has been done.

No other code knows where a stage's files lie:

    STORAGE/stages/KEY/attempts/UUID/...            an attempt's files, whatever became of it
    STORAGE/stages/KEY/attempts/UUID/failure.json   how it failed, if it did
    STORAGE/stages/KEY/record-INPUTS.json           the success: which attempt, and what it read and wrote
    STORAGE/studies/NAME/study.json                 the resolved study
    STORAGE/mlflow.db                               a projection, see tracking.py

One decision: a record is created only if absent (`O_EXCL`), after its attempt's files are on disk, and
nothing is renamed or appended. INPUTS is a digest of the upstream outputs that the stage read, so a
record made from other weights or other completions simply is not found.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from orchestrator.errors import LedgerError
from orchestrator.fingerprint import fingerprint
from orchestrator.trial import StageName, TrialSpec
from tasks.records import Record

# Stands among the inputs of an execution that was made again because a compiler had been missing: its record
# goes by another name than the first one's, and is looked for before it.
JUDGED_AGAIN = {"toolchains": "installed since"}


class FileDigest(Record):
    """Content and size of one file of an attempt."""

    sha256: str
    size_bytes: int


class StageRecord(Record):
    """A finished stage. `inputs` are digests of the outputs that it read, by upstream key."""

    format: Literal[1] = 1
    key: str
    stage: StageName
    attempt: str
    inputs: dict[str, str]
    outputs: dict[str, FileDigest]
    seconds: float
    finished_at: float
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    provenance: dict[str, str] = Field(default_factory=dict)

    @property
    def output_digest(self) -> str:
        """One hash over everything that the stage wrote."""
        return fingerprint({name: file.sha256 for name, file in self.outputs.items()})


class Failure(Record):
    """How an attempt failed."""

    stage: StageName
    cause: str
    kind: str
    traceback: str
    failed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A folder for one try at a stage."""

    key: str
    id: str
    folder: Path


class Ledger:
    """Stages and studies under one storage folder."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage

    def begin(self, key: str) -> Attempt:
        """Open a fresh attempt; its files count for nothing until `commit`."""
        attempt = uuid.uuid4().hex
        folder = self.storage / "stages" / key / "attempts" / attempt
        folder.mkdir(parents=True)
        return Attempt(key=key, id=attempt, folder=folder)

    def commit(self, attempt: Attempt, record: StageRecord) -> StageRecord:
        """Make an attempt the stage's result, unless another already is; returns the one that counts."""
        path = self._record_path(record.key, record.inputs)
        if not create_only(path, record.model_dump_json(indent=1)):
            existing = self.record(record.key, record.inputs)
            assert existing is not None
            return existing
        return record

    def record(self, key: str, inputs: Mapping[str, str]) -> StageRecord | None:
        """The record of a stage made from these very inputs, if its files are all there."""
        path = self._record_path(key, inputs)
        try:
            record = StageRecord.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise LedgerError(
                f"{path} is not a record that this version can read ({error.error_count()} faults); it was edited, or "
                "written by a newer polytune: upgrade, or remove the file to run the stage again"
            ) from None
        folder = self.folder(record)
        for name, file in record.outputs.items():
            if not (folder / name).is_file() or (folder / name).stat().st_size != file.size_bytes:
                raise LedgerError(f"{folder / name} is missing or cut short; remove {path} to run the stage again")
        return record

    def records_of(self, trial: TrialSpec) -> dict[StageName, StageRecord]:
        """The finished stages of a trial, each made from the current outputs upstream."""
        found: dict[StageName, StageRecord] = {}
        for stage in trial.stages:
            upstream = trial.inputs_of(stage)
            if all(name in found for name in upstream):
                inputs = {found[name].key: found[name].output_digest for name in upstream}
                key = trial.key(stage)
                record = self.record(key, inputs | JUDGED_AGAIN) if stage == "execute" else None
                record = record or self.record(key, inputs)
                if record is not None:
                    found[stage] = record
        return found

    def folder(self, record: StageRecord) -> Path:
        """Where a finished stage's files lie."""
        return self.storage / "stages" / record.key / "attempts" / record.attempt

    def fail(self, attempt: Attempt, failure: Failure) -> Path:
        """Leave word of how an attempt failed."""
        path = attempt.folder / "failure.json"
        create_only(path, failure.model_dump_json(indent=1))
        return path

    def last_failure(self, key: str) -> tuple[Failure, Path] | None:
        """The latest failed attempt of a stage."""
        paths = (self.storage / "stages" / key / "attempts").glob("*/failure.json")
        found = [(Failure.model_validate_json(path.read_text(encoding="utf-8")), path) for path in paths]
        return max(found, key=lambda pair: pair[0].failed_at, default=None)

    def attempts(self, key: str) -> Iterator[Path]:
        """Folders of all attempts at a stage, newest first."""
        folders = (self.storage / "stages" / key / "attempts").glob("*")
        yield from sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)

    def study_folder(self, name: str) -> Path:
        """Where what belongs to a study as a whole lies: its resolved file, its report."""
        folder = self.storage / "studies" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _record_path(self, key: str, inputs: Mapping[str, str]) -> Path:
        return self.storage / "stages" / key / f"record-{fingerprint(dict(inputs))[:16]}.json"


def create_only(path: Path, text: str) -> bool:
    """Write a file if there is none, whole or not at all; False if there was one.

    The text goes to a private file first and is then linked under its name: a link fails if the name
    is taken, and a crash leaves at most the private file.
    """
    private = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with private.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(private, path)
    except FileExistsError:
        return False
    finally:
        private.unlink()
    return True


def digests_of(folder: Path) -> dict[str, FileDigest]:
    """Digests of all files below an attempt's folder."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        found[str(path.relative_to(folder))] = FileDigest(sha256=sha256, size_bytes=path.stat().st_size)
    return found


def read_lines(path: Path) -> list[dict[str, object]]:
    """The objects of a JSON lines file."""
    # `str.splitlines` also cuts at characters that JSON strings may hold, U+2028 for one.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
