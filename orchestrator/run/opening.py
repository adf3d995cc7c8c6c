"""A study as whoever reads it begins with it: its cells, with what its searches have found, and its ledger.

One decision: the command line and Python open a study by this one call, so a name means the same in both.
"""

from collections.abc import Sequence
from pathlib import Path

from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.studies import find_study, ledger_of
from orchestrator.run.search import resolved
from orchestrator.study.cells import Cells, expand


def open_study(
    study: str | Path, *, changes: Sequence[str] = (), storage: Path | str | None = None
) -> tuple[Cells, Ledger]:
    """The study of a file or of a name, expanded, and its ledger; see `ledger.studies.find_study`.

    Raises:
        StudyError: if there is no such study, or its file is at fault.
        DataError, ModelError: if local data or a local model is not there.
        LedgerError: if the ledger cannot be read.
    """
    found = find_study(study, changes=changes, storage=storage)
    ledger = ledger_of(found)
    return resolved(expand(found), ledger), ledger


__all__ = ["open_study"]
