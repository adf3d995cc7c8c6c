"""One try at a stage: its body in a fresh attempt, and then a record or a failure.

One decision: whatever a body raises becomes data that is left with its attempt, so a stage that fails
never takes a study with it.
"""

import shutil
import time
import traceback
from collections.abc import Callable
from typing import Any

from orchestrator.causes import kind_of
from orchestrator.errors import Cause, LedgerError, PolytuneError, StageFailed
from orchestrator.ledger.ledger import Attempt, Failure, Ledger, StageRecord, digests_of
from orchestrator.provenance import provenance
from orchestrator.redaction import without_secrets
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec


def run_stage(
    ledger: Ledger,
    trial: TrialSpec,
    stage: StageName,
    *,
    inputs: dict[str, str],
    body: Callable[[Attempt], dict[str, Any]],
) -> StageRecord:
    """Run a stage's body in a fresh attempt and record it.

    `body` is given the attempt, writes into its folder and returns facts for the record.

    Raises:
        StageFailed: if the body raised; the attempt keeps the traceback.
        LedgerError: if no attempt could be begun.
    """
    attempt = ledger.begin(trial.key(stage))
    started = time.monotonic()
    try:
        facts = body(attempt)
        seconds = time.monotonic() - started
        return record_success(ledger, attempt, trial, stage, inputs=inputs, seconds=seconds, facts=facts)
    except Exception as error:
        raise record_failure(ledger, attempt, stage, error) from error


def record_success(
    ledger: Ledger,
    attempt: Attempt,
    trial: TrialSpec,
    stage: StageName,
    *,
    inputs: dict[str, str],
    seconds: float,
    facts: dict[str, Any],
    instead_of: StageRecord | None = None,
) -> StageRecord:
    """Make what lies in an attempt's folder the stage's result, also where `instead_of` was it until now."""
    record = StageRecord(
        key=attempt.key,
        stage=stage,
        attempt=attempt.id,
        inputs=inputs,
        outputs=digests_of(attempt.folder),
        seconds=seconds,
        finished_at=time.time(),
        facts=facts,
        provenance=provenance(),
        spec=trial.identity(stage),
    )
    return ledger.commit(attempt, record, instead_of=instead_of)


def record_failure(ledger: Ledger, attempt: Attempt, stage: StageName, error: BaseException) -> StageFailed:
    """Leave an error's cause and traceback with its attempt; returns what to tell of it, without secrets."""
    kind = kind_of(error)
    cause = without_secrets(str(error) if isinstance(error, PolytuneError) else f"{type(error).__name__}: {error}")
    if kind == Cause.DISK:
        cause = f"the disk is full: {cause}; free some space (`polytune gc` lists what no study names), then run again"
        # What this attempt wrote is of no use, and word of its failure needs the room.
        shutil.rmtree(attempt.folder, ignore_errors=True)
    failure = Failure(
        stage=stage,
        cause=cause,
        kind=kind,
        # Where another process raised it, the stack is that one's.
        traceback=without_secrets(getattr(error, "trace", "") or "".join(traceback.format_exception(error))),
        failed_at=time.time(),
        evidence=getattr(error, "evidence", {}),
    )
    try:
        return StageFailed(cause, str(ledger.fail(attempt, failure)), kind)
    except LedgerError as unwritable:
        return StageFailed(f"{cause} (and no word of it could be left: {unwritable})", kind=kind)


__all__ = ["record_failure", "record_success", "run_stage"]
