"""What ledgers say in words that were written before they said it in kinds.

One decision: this is the only place where anything follows from the wording of a sentence, and only of sentences that
no code writes any more.
"""

from orchestrator.errors import Cause
from orchestrator.ledger.record import Retry, StageRecord


def retries_of(record: StageRecord) -> tuple[Retry, ...]:
    """Why a stage was begun again before it was done, tries in order."""
    said = record.facts.get("retried", [])
    assert isinstance(said, list)
    return tuple(_retry(entry) if isinstance(entry, str) else Retry.model_validate(entry) for entry in said)


def _retry(words: str) -> Retry:
    kind, _, cause = words.partition(": ")
    return Retry(kind=Cause(kind), cause=cause)


__all__ = ["retries_of"]
