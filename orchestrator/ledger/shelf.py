"""Where a stage's files lie below its key, and which of its records count.

One decision: all names below `stages/` are made here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.ledger.record import StageRecord, wrong_size
from orchestrator.ledger.storage import Entry
from orchestrator.study.fingerprint import fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """All names below a stage's key, and the words on condemned attempts."""

    entries: Mapping[str, Entry]
    faults: Mapping[str, str]

    def condemned(self, record: StageRecord) -> str:
        """Why a record's attempt was condemned; nothing if it was not."""
        return self.faults.get(f"stages/{record.key}/condemned-{record.attempt}.json", "")

    def fault(self, record: StageRecord) -> str:
        """What of a record's files is missing or cut short."""
        for name, file in record.outputs.items():
            entry = self.entries.get(f"{attempt_name(record.key, record.attempt)}{name}")
            if entry is None:
                return f"{name} is missing"
            if entry.size_bytes != file.size_bytes:
                return wrong_size(name, entry.size_bytes, file)
        return ""


def attempt_name(key: str, made: str) -> str:
    """The folder of one try at a stage, with a slash at its end."""
    return f"stages/{key}/attempts/{made}/"


def record_name(key: str, inputs: Mapping[str, str], number: int) -> str:
    """The file of the `number`th record, from 1, that a stage has of the same inputs."""
    again = f".{number}" if number > 1 else ""
    return f"stages/{key}/record-{fingerprint(dict(inputs))[:16]}{again}.json"


__all__ = ["Shelf", "attempt_name", "record_name"]
