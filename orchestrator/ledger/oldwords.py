"""What ledgers say in words that were written before they said it in kinds.

One decision: this is the only place where anything follows from the wording of a sentence, and only of sentences that
no code writes any more.
"""

from orchestrator.errors import Cause
from orchestrator.ledger.record import Failure, Retry, StageRecord
from tasks.records import Verdict, reason_in_words


def retries_of(record: StageRecord) -> tuple[Retry, ...]:
    """Why a stage was begun again before it was done, tries in order."""
    said = record.facts.get("retried", [])
    assert isinstance(said, list)
    return tuple(_retry(entry) if isinstance(entry, str) else Retry.model_validate(entry) for entry in said)


def cause_of(failure: Failure) -> str:
    """Why a stage failed; that it could not run here was once said in the cause, and is its kind now."""
    return failure.cause.removeprefix("not run: ") if failure.kind == Cause.MISSING else failure.cause


def with_reason(verdict: Verdict) -> Verdict:
    """A verdict with the kind of its reason, which was once in its words alone."""
    if verdict.verdict != "unjudged" or verdict.reason is not None:
        return verdict
    return verdict.model_copy(update={"reason": reason_in_words(verdict.detail)})


def _retry(words: str) -> Retry:
    kind, _, cause = words.partition(": ")
    return Retry(kind=Cause(kind), cause=cause)


__all__ = ["cause_of", "retries_of", "with_reason"]
