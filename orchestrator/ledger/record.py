"""What is written down about a stage, and what makes a file or a record the right one.

One decision: records are frozen, refuse what they do not know, and carry a format's number, so that what a
newer version wrote is told apart from what somebody edited.
"""

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from orchestrator.errors import Cause, LedgerError
from orchestrator.ledger.storage import Store
from orchestrator.provenance import version
from orchestrator.study.fingerprint import fingerprint
from orchestrator.study.stages import StageName
from tasks.records import Record

FORMAT = 1


class FileDigest(Record):
    """Content and size of one file of an attempt."""

    sha256: str
    size_bytes: int


class StageRecord(Record):
    """A finished stage.

    `inputs` are digests of the outputs that it read, by upstream key; `spec` is what its key is the hash of.
    """

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
    spec: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def output_digest(self) -> str:
        """One hash over what later stages read: a training's weights, and everything that another stage wrote.

        The rest of what a training leaves differs each time (its times) or by machine (where its base lay), so one
        that is made anew with equal weights makes nothing anew that stands on them.
        """
        read = {name: file.sha256 for name, file in self.outputs.items() if self._is_read(name)}
        return fingerprint(read)

    def _is_read(self, name: str) -> bool:
        if self.stage != StageName.TRAIN:
            return True
        return name.startswith(f"{self.facts.get('weights')}/") and name.endswith(".safetensors")


class Failure(Record):
    """How an attempt failed; `evidence` is what the stage itself kept of it."""

    stage: StageName
    cause: str
    kind: Cause
    traceback: str
    failed_at: float
    evidence: dict[str, JsonValue] = Field(default_factory=dict)


class Retry(Record):
    """Why a stage was begun again."""

    kind: Cause
    cause: str


def parse_record(data: bytes, *, where: str) -> StageRecord:
    """A record from its file's content; `where` is the file, for messages.

    Raises:
        LedgerError: if a newer version wrote it, or somebody edited it.
    """
    try:
        return StageRecord.model_validate_json(data)
    except ValidationError as error:
        made_by = _newer(data)
        if made_by:
            raise LedgerError(f"{where} {made_by}") from None
        raise LedgerError(
            f"{where} is not a record that this version can read ({error.error_count()} faults); it was edited: "
            "remove the file to run the stage again"
        ) from None


def _newer(data: bytes) -> str:
    """What a record says of a version that wrote it after this one; nothing if it says none."""
    try:
        raw = json.loads(data)
        number, writer = raw["format"], raw.get("provenance", {}).get("polytune", "a version it does not name")
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""
    if not isinstance(number, int) or number <= FORMAT:
        return ""
    return _upgrade(number, writer)


def _upgrade(number: int, writer: str) -> str:
    return (
        f"has format {number}, written by polytune {writer}; this is polytune {version()}, which reads format "
        f"{FORMAT}: upgrade polytune, or give the study another storage"
    )


def refuse_newer(store: Store) -> None:
    """Let a ledger be used only by a version that knows its format, the largest that a marker at its top names.

    Raises:
        LedgerError: if a newer version wrote it.
    """
    names = [name for name in store.children("") if name.startswith("ledger-")]
    parts = [name.removeprefix("ledger-").removesuffix(".json") for name in names]
    newest = max((int(part) for part in parts if part.isdecimal()), default=FORMAT)
    if newest > FORMAT:
        data = store.read(f"ledger-{newest}.json") or b"{}"
        said = _upgrade(newest, json.loads(data).get("polytune", "a version it does not name"))
        raise LedgerError(f"the ledger at {store.address} {said}")


def wrong_size(name: str, size: int, wanted: FileDigest) -> str:
    """What to say of a file that has another size than was recorded."""
    how = "cut short" if size < wanted.size_bytes else "longer than recorded"
    return f"{name} is {how} ({size} of {wanted.size_bytes} bytes)"


def digests_of(folder: Path) -> dict[str, FileDigest]:
    """Digests of all files below an attempt's folder."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        found[str(path.relative_to(folder))] = FileDigest(sha256=sha256_of(path), size_bytes=path.stat().st_size)
    return found


def sha256_of(path: Path) -> str:
    """The hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_lines(path: Path) -> list[dict[str, object]]:
    """The objects of a JSON lines file."""
    # `str.splitlines` also cuts at characters that JSON strings may hold, U+2028 for one.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


class Files:
    """Files that were found right, so that each is hashed again only if it was touched since."""

    def __init__(self) -> None:
        self._right: dict[Path, tuple[int, int]] = {}

    def fault(self, path: Path, name: str, wanted: FileDigest) -> str:
        """What is wrong with the file at `path`, which people know as `name`; nothing if it is as recorded."""
        try:
            state = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return f"{name} is missing"
        if state.st_size != wanted.size_bytes:
            return wrong_size(name, state.st_size, wanted)
        mark = (state.st_size, state.st_mtime_ns)
        if self._right.get(path) != mark:
            found = sha256_of(path)
            if found != wanted.sha256:
                return f"{name} was changed (sha256 {found[:12]}..., recorded {wanted.sha256[:12]}...)"
            self._right[path] = mark
        return ""
