"""What a training leaves to go on from, under its stage's key until the stage is recorded.

    stages/KEY/checkpoints/STEP-ATTEMPT/...            files of every process
    stages/KEY/checkpoints/STEP-ATTEMPT/whole.json     that it is whole: sizes and digests, made last

One decision: a checkpoint counts by one file that is created after all others are durable and were read back, so a
process that is killed while it writes leaves the one before, and nothing is ever replaced.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.errors import LedgerError
from orchestrator.ledger.ledger import Ledger

_WHOLE = "whole.json"
# The last and the one before it: the last may turn out to be damaged.
_KEPT = 2


class TrainingCheckpoints:
    """Checkpoints of the training with a key; `attempt` names the try that writes."""

    def __init__(self, ledger: Ledger, key: str, *, attempt: str) -> None:
        self._ledger, self._attempt = ledger, attempt
        self._prefix = f"stages/{key}/checkpoints/"

    @contextmanager
    def newest(self) -> Iterator[Path | None]:
        """A folder on this machine with the newest checkpoint that is whole; None if there is none."""
        with TemporaryDirectory(prefix="polytune-checkpoint-") as scratch:
            yield next((folder for name in self._whole() if (folder := self._fetched(name, Path(scratch)))), None)

    def writing(self, *, step: int) -> Path:
        """A folder on this machine to write a checkpoint into."""
        folder = self._ledger.storage / self._name(step)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def share(self, *, step: int) -> None:
        """Make durable what this process wrote."""
        self._ledger.store.push(self.writing(step=step), self._name(step))

    def seal(self, *, step: int) -> None:
        """Let a checkpoint count, and drop all but it and the one before.

        Raises:
            LedgerError: if a file is not in the ledger as it was written.
        """
        name, files = self._name(step), {}
        for entry in self._ledger.store.entries(name):
            path = self._ledger.storage / entry.name
            if path.is_file() and path.stat().st_size != entry.size_bytes:
                raise LedgerError(f"{entry.name} has {entry.size_bytes} bytes in the ledger, not {path.stat().st_size}")
            # What another machine wrote is known here by its size alone.
            files[entry.name.removeprefix(name)] = {
                "size_bytes": entry.size_bytes,
                "sha256": _digest(path) if path.is_file() else None,
            }
        self._ledger.store.create(f"{name}{_WHOLE}", json.dumps({"files": files}).encode())
        kept = self._whole()[:_KEPT]
        self._forget([e for e in self._entries() if not any(e.startswith(folder) for folder in kept)])

    def clear(self) -> None:
        """Drop all of them: the stage is recorded."""
        self._forget(self._entries())

    def _name(self, step: int) -> str:
        return f"{self._prefix}{step:08d}-{self._attempt}/"

    def _entries(self) -> list[str]:
        return [entry.name for entry in self._ledger.store.entries(self._prefix)]

    def _whole(self) -> list[str]:
        """Checkpoints that count, newest first; of one step the last by name, since they are the same."""
        return sorted((n.removesuffix(_WHOLE) for n in self._entries() if n.endswith(f"/{_WHOLE}")), reverse=True)

    def _forget(self, names: list[str]) -> None:
        # What says that a checkpoint is whole goes first.
        self._ledger.forget(sorted(names, key=lambda name: not name.endswith(f"/{_WHOLE}")))

    def _fetched(self, name: str, scratch: Path) -> Path | None:
        """A checkpoint's files on this machine; None if one is missing or not what it was."""
        told = json.loads(self._ledger.store.read(f"{name}{_WHOLE}") or b"{}").get("files", {})
        folder = self._ledger.storage / name if self._ledger.is_local else scratch / name
        for file, fact in told.items():
            path = folder / file
            if not self._ledger.is_local:
                try:
                    self._ledger.store.pull(f"{name}{file}", path)
                except LedgerError:
                    return None
            if not path.is_file() or path.stat().st_size != fact["size_bytes"]:
                return None
            if fact["sha256"] and _digest(path) != fact["sha256"]:
                return None
        return folder if told else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


__all__ = ["TrainingCheckpoints"]
