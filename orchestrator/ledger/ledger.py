"""The ledger of finished stages: the only truth about what has been done.

No other code knows where a stage's files lie. Below a local folder, or below the prefix of an object store:

    ledger-1.json                              the format, and the version that made the ledger
    stages/KEY/attempts/UUID/...               an attempt's files, whatever became of it
    stages/KEY/attempts/UUID/.begun.json       when and where it began
    stages/KEY/attempts/UUID/failure.json      how it failed, if it did
    stages/KEY/checkpoints/...                 what a training goes on from, see checkpoints.py
    stages/KEY/record-INPUTS.json              the success: which attempt, and what it read and wrote
    stages/KEY/condemned-UUID.json             why this attempt's record counts no more: a file of it is damaged,
                                               or it was judged again
    stages/KEY/record-INPUTS.2.json            the success after that
    completions/OWNER/...                      what models wrote, item by item, see completions.py
    studies/NAME/...                           the resolved study, its stages' keys, its report
    studies/NAME/writing/...                   what processes that write say of themselves, see writing.py
    leases/NAME/...                            who runs it, see lease.py

One decision: a record is created only if absent, after its attempt's files are durable, and nothing is
renamed, replaced or appended; what counts no more is condemned by one more file of its own. INPUTS is a
digest of the upstream outputs that the stage read, so a record made from other weights or other completions
simply is not found.

Stage bodies and readers work on local folders. `Ledger.storage` is one that has the ledger's layout: the
ledger itself, or this machine's copy of as much of an object store as was made or needed here.
"""

import contextlib
import json
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ArtifactDamaged, LedgerError
from orchestrator.ledger.lease import Holder, Lease
from orchestrator.ledger.record import (
    FORMAT,
    Failure,
    FileDigest,
    Files,
    StageRecord,
    digests_of,
    parse_record,
    read_lines,
    refuse_newer,
)
from orchestrator.ledger.rejudging import SUPERSEDED, inputs_to_look_for
from orchestrator.ledger.shelf import Shelf, attempt_name, record_name
from orchestrator.ledger.storage import Entry, LocalStore, copies_folder, open_store
from orchestrator.provenance import process, version
from orchestrator.study.fingerprint import fingerprint
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

# Hashing this much takes a tenth of a second or less; a plan hashes no larger file.
QUICK_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A folder on this machine for one try at a stage."""

    key: str
    id: str
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a ledger holds of a trial: records that count, and why others do not, by stage."""

    done: Mapping[StageName, StageRecord]
    damaged: Mapping[StageName, str]


class Ledger:
    """Stages and studies below one folder or one object store's prefix.

    `address` names it for other processes; `storage` is the local folder with its layout.

    Raises:
        LedgerError: if the address is of no known kind, or a newer version wrote the ledger.
    """

    def __init__(self, storage: Path | str) -> None:
        self.store = open_store(storage)
        local = isinstance(self.store, LocalStore)
        self.is_local = local
        self.address = str(Path(storage).resolve()) if local else self.store.address
        self.storage = Path(storage) if local else copies_folder() / fingerprint(self.address)[:16]
        self._records: dict[Entry, StageRecord] = {}
        self._files = Files()
        refuse_newer(self.store)

    @property
    def ray_train_folder(self) -> Path:
        """Where Ray Train keeps notes of its own, which nothing reads afterwards."""
        return self.storage / ".ray-train"

    @property
    def mlflow_artifacts(self) -> Path:
        """Where MLflow keeps artifacts, if its database lies here too."""
        return self.storage / "mlartifacts"

    # Attempts

    def begin(self, key: str) -> Attempt:
        """Open a fresh attempt; its files count for nothing until `commit`."""
        made = uuid.uuid4().hex
        begun = {"begun_at": time.time(), **process()}
        self.store.create(f"ledger-{FORMAT}.json", json.dumps({"format": FORMAT, "polytune": version()}).encode())
        self.store.create(f"{attempt_name(key, made)}.begun.json", json.dumps(begun).encode())
        folder = self.storage / attempt_name(key, made)
        folder.mkdir(parents=True, exist_ok=self.is_local)
        return Attempt(key=key, id=made, folder=folder)

    def attempt(self, key: str, made: str) -> Attempt:
        """An attempt that another process began."""
        folder = self.storage / attempt_name(key, made)
        folder.mkdir(parents=True, exist_ok=True)
        return Attempt(key=key, id=made, folder=folder)

    def upload(self, attempt: Attempt) -> None:
        """Make an attempt's files durable; for a process that is not the one which commits."""
        self.store.push(attempt.folder, attempt_name(attempt.key, attempt.id))

    def download(self, attempt: Attempt) -> None:
        """Bring here what another machine uploaded for an attempt."""
        if self.is_local:
            return
        prefix = attempt_name(attempt.key, attempt.id)
        for entry in self.store.entries(prefix):
            path = attempt.folder / entry.name.removeprefix(prefix)
            if not path.is_file() or path.stat().st_size != entry.size_bytes:
                self.store.pull(entry.name, path)

    def commit(self, attempt: Attempt, record: StageRecord, *, instead_of: StageRecord | None = None) -> StageRecord:
        """Make an attempt the stage's result, unless another already is; returns the one that counts.

        Where the other is the record that it was made `instead_of`, that one is condemned.
        """
        self.upload(attempt)
        text = record.model_dump_json(indent=1).encode()
        number = 1
        while not self.store.create(record_name(record.key, record.inputs, number), text):
            shelf = self._shelf(record.key)
            existing = self._read(shelf.entries[record_name(record.key, record.inputs, number)])
            if not shelf.condemned(existing):
                fault = SUPERSEDED if existing == instead_of else shelf.fault(existing)
                if not fault:
                    return existing
                self.condemn(existing, fault)
            number += 1
        return record

    def fail(self, attempt: Attempt, failure: Failure) -> Path:
        """Leave word of how an attempt failed."""
        name = f"{attempt_name(attempt.key, attempt.id)}failure.json"
        self.store.create(name, failure.model_dump_json(indent=1).encode())
        return self._copy_small(name)

    def last_failure(self, key: str) -> tuple[Failure, Path] | None:
        """The latest failed attempt of a stage."""
        names = [entry.name for entry in self.store.entries(f"stages/{key}/attempts/")]
        paths = [self._copy_small(name) for name in names if name.endswith("/failure.json")]
        found = [(Failure.model_validate_json(path.read_text(encoding="utf-8")), path) for path in paths]
        return max(found, key=lambda pair: pair[0].failed_at, default=None)

    def attempts(self, key: str) -> Iterator[Path]:
        """Folders on this machine of all attempts at a stage, newest first.

        Of an object store, a folder of another machine's attempt holds word of its beginning and failure alone.
        """
        return (folder for _, folder in sorted(self._begun(key), reverse=True))

    def _begun(self, key: str) -> Iterator[tuple[float, Path]]:
        for made in self.store.children(f"stages/{key}/attempts/"):
            path = self._copy_small(f"{attempt_name(key, made)}.begun.json")
            # A process may have died, or a disk been full, between a folder and its first file.
            begun = json.loads(path.read_text(encoding="utf-8"))["begun_at"] if path.is_file() else 0.0
            yield float(begun), path.parent

    # Records

    def record(self, key: str, inputs: Mapping[str, str]) -> StageRecord | None:
        """The record of a stage made from these very inputs, if its files are all there in their sizes."""
        found, fault = self._find(key, inputs)
        return None if fault else found

    def find(self, trial: TrialSpec, *, hash_up_to: float = 0, condemn: bool = False) -> Finding:
        """The finished stages of a trial, each made from the current outputs upstream, and the damaged ones.

        Args:
            trial: The trial.
            hash_up_to: Files of at most so many bytes are hashed if they are on this machine; of larger
                ones, presence and size are looked at.
            condemn: Let damaged records count no more, so that others can take their place.
        """
        done: dict[StageName, StageRecord] = {}
        damaged: dict[StageName, str] = {}
        for stage in trial.stages:
            upstream = trial.inputs_of(stage)
            if not all(name in done for name in upstream):
                continue
            inputs = {done[name].key: done[name].output_digest for name in upstream}
            for wanted in inputs_to_look_for(stage, inputs):
                record, fault = self._find(trial.key(stage), wanted)
                if record and (fault := fault or self._changed(record, hash_up_to)):
                    damaged[stage] = fault
                    if condemn:
                        self.condemn(record, fault)
                elif record:
                    done[stage] = record
                    break
        return Finding(done=done, damaged={stage: why for stage, why in damaged.items() if stage not in done})

    def is_recorded(self, key: str, made: str) -> bool:
        """Whether an attempt came to its end and was recorded, from whatever inputs."""
        entries = self._shelf(key).entries
        return any(self._read(entry).attempt == made for name, entry in entries.items() if "/record-" in name)

    def all_records(self) -> dict[str, StageRecord | None]:
        """Every record by name, whichever study it belongs to, condemned or not; None for one that is unreadable."""
        found: dict[str, StageRecord | None] = {}
        for entry in self.store.entries("stages/"):
            if "/record-" in entry.name:
                found[entry.name] = None
                with contextlib.suppress(LedgerError):
                    found[entry.name] = self._read(entry)
        return found

    def forget(self, names: Collection[str]) -> None:
        """Remove names from the ledger, and this machine's copies of them."""
        self.store.delete(names)
        if not self.is_local:
            LocalStore(self.storage).delete(names)

    def records_of(self, trial: TrialSpec) -> dict[StageName, StageRecord]:
        """The finished stages of a trial, each made from the current outputs upstream."""
        return dict(self.find(trial).done)

    def condemn(self, record: StageRecord, fault: str) -> None:
        """Let a record count no more, since a file of its attempt is damaged."""
        word = {"fault": fault, "condemned_at": time.time(), **process()}
        self.store.create(f"stages/{record.key}/condemned-{record.attempt}.json", json.dumps(word, indent=1).encode())

    def folder(self, record: StageRecord, *, under: str = "") -> Path:
        """Where a finished stage's files lie on this machine; those under a prefix are there and verified.

        Raises:
            ArtifactDamaged: if one is not what the record says. The record is condemned then.
        """
        folder = self.storage / attempt_name(record.key, record.attempt)
        for name, digest in record.outputs.items():
            if not name.startswith(under):
                continue
            fault = self._files.fault(folder / name, name, digest)
            if fault and not self.is_local:
                # The copy may be cut off or old; the store's own content decides.
                self._pull(record, name)
                fault = self._files.fault(folder / name, name, digest)
            if fault:
                self.condemn(record, fault)
                raise ArtifactDamaged(
                    f"{folder / name} is not what {record.stage} wrote: {fault}; run the study again to make it anew"
                )
        return folder

    def _pull(self, record: StageRecord, name: str) -> None:
        attempt = attempt_name(record.key, record.attempt)
        try:
            self.store.pull(f"{attempt}{name}", self.storage / attempt / name)
        except LedgerError:
            if any(entry.name.endswith(f"/{name}") for entry in self.store.entries(attempt)):
                raise

    def _find(self, key: str, inputs: Mapping[str, str]) -> tuple[StageRecord | None, str]:
        """The newest record of these inputs with what is wrong with it, condemned or not."""
        shelf, number, last, fault = self._shelf(key), 1, None, ""
        while (name := record_name(key, inputs, number)) in shelf.entries:
            last = self._read(shelf.entries[name])
            fault = shelf.condemned(last) or shelf.fault(last)
            if not shelf.condemned(last):
                break
            number += 1
        return last, fault

    def _read(self, entry: Entry) -> StageRecord:
        """A record; records do not change, so each is read once."""
        if entry not in self._records:
            data = self.store.read(entry.name) or b""
            self._records[entry] = parse_record(data, where=f"{self.store.address}/{entry.name}")
        return self._records[entry]

    def _shelf(self, key: str) -> Shelf:
        entries = {entry.name: entry for entry in self.store.entries(f"stages/{key}/")}
        words = {name: self.store.read(name) for name in entries if "/condemned-" in name}
        return Shelf(entries=entries, faults={n: json.loads(w)["fault"] for n, w in words.items() if w is not None})

    def _changed(self, record: StageRecord, hash_up_to: float) -> str:
        """The first file of a local record whose content is not what was recorded; nothing if all are."""
        if not self.is_local:
            return ""
        folder = self.storage / attempt_name(record.key, record.attempt)
        files = ((name, file) for name, file in record.outputs.items() if file.size_bytes <= hash_up_to)
        return next(filter(None, (self._files.fault(folder / name, name, file) for name, file in files)), "")

    def _copy_small(self, name: str) -> Path:
        """A small file of the ledger on this machine."""
        path = self.storage / name
        if not self.is_local and not path.is_file() and (data := self.store.read(name)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return path

    # Studies

    def study_folder(self, name: str) -> Path:
        """Where what belongs to a study as a whole lies on this machine: its resolved file, its report."""
        folder = self.storage / "studies" / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"the ledger at {self.address} cannot be written: {error.strerror}") from error
        return folder

    def write_study_file(self, study: str, file: str, text: str) -> None:
        """Give a study's file this content, whatever it had."""
        self.store.write(f"studies/{study}/{file}", text.encode())
        if not self.is_local:
            (self.study_folder(study) / file).write_text(text, encoding="utf-8")

    def create_study_file(self, study: str, file: str, text: str) -> str:
        """Make a study's file if there is none; returns the content that it has now."""
        name = f"studies/{study}/{file}"
        if self.store.create(name, text.encode()):
            return text
        return (self.store.read(name) or b"").decode()

    def keep_study_file(self, study: str, path: Path) -> None:
        """Let the ledger have a file that was written in the study's folder on this machine."""
        if not self.is_local:
            self.store.write(f"studies/{study}/{path.name}", path.read_bytes())

    def read_study_file(self, study: str, file: str) -> str | None:
        """A study's file; None if there is none."""
        data = self.store.read(f"studies/{study}/{file}")
        return None if data is None else data.decode()

    def studies(self) -> list[str]:
        """Names of the studies that were run here."""
        return self.store.children("studies/")

    def lease(self, study: str) -> Lease:
        """The right to run a study, to be held while doing so."""
        return Lease(self.store, study)

    def holders(self) -> dict[str, Holder]:
        """Who holds which study's lease now."""
        found = {name: self.lease(name).holder() for name in self.store.children("leases/")}
        return {name: holder for name, holder in found.items() if holder is not None}


__all__ = [
    "QUICK_BYTES",
    "Attempt",
    "Failure",
    "FileDigest",
    "Finding",
    "Ledger",
    "StageRecord",
    "digests_of",
    "read_lines",
]
