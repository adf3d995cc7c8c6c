"""Studies that were run, by name: where their ledger lies and what was stored of them.

One decision: a stored study is read from its ledger, so a name means the same in a folder and in a bucket.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import Fault, StudyError
from orchestrator.ledger.ledger import Ledger
from orchestrator.study.file import load_study
from orchestrator.study.schema import Study


def ledger_of(study: Study) -> Ledger:
    """The ledger that a study's storage setting names."""
    return Ledger(study.storage)


def load_named(name: str, *, changes: Sequence[str] = (), storage: Path = Path("runs")) -> Study:
    """A study that was run, by its name, as the ledger stored it.

    Raises:
        StudyError: if there is none of that name, or a change is of shared settings, which the stored
            form has written out and would not heed.
    """
    path = storage / "studies" / name / "study.json"
    if not path.is_file():
        there = sorted(p.parent.name for p in storage.glob("studies/*/study.json"))
        close = difflib.get_close_matches(name, there, n=1)
        hint = f"did you mean {close[0]}?" if close else "give the path of a study file"
        raise StudyError(name, (Fault(where="", message=f"no study of that name was run here; {hint}"),))
    shared = [change for change in changes if re.match(r"(training|lora|data\.\w+_limit)\b", change)]
    if shared:
        message = (
            "a study that was run has its shared settings written out in each method and source; change them "
            "there, as in methods.NAME.training.max_steps, or give the study file"
        )
        raise StudyError(name, tuple(Fault(where=f"--set {change}", message=message) for change in shared))
    return load_study(path, changes=changes)


__all__ = ["ledger_of", "load_named"]
