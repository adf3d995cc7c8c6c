"""Studies that were run, by name: where their ledger lies and what was stored of them.

One decision: a stored study is read from its ledger, so a name means the same in a folder and in a bucket.
"""

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from evaluators.generation.settings import EngineName
from orchestrator.errors import Fault, StudyError
from orchestrator.ledger.ledger import Ledger
from orchestrator.study.file import load_study, read_study
from orchestrator.study.schema import DEFAULT_STORAGE, Study

# A study as it was run, in its folder of the ledger.
STUDY_FILE = "study.json"


def ledger_of(study: Study) -> Ledger:
    """The ledger that a study's storage setting names."""
    return Ledger(study.storage)


def find_study(study: str | Path, *, changes: Sequence[str] = (), storage: Path | str | None = None) -> Study:
    """A study from its file, or by the name that it was run under, as `load_named` takes it.

    Where `storage` is given, a folder or an object store's address, a name is looked for there, and there are the
    study's results, whatever its file says.

    Raises:
        StudyError: if there is none, or with every fault of its file.
        LedgerError: if the storage cannot be read.
    """
    path = Path(study)
    moved = [] if storage is None else [f"storage={json.dumps(str(storage))}"]
    if path.suffix in (".yaml", ".yml") or path.exists():
        return load_study(path, changes=[*changes, *moved])
    return load_named(str(study) if storage is None else f"{storage}/{study}", changes=[*changes, *moved])


def load_named(name: str, *, changes: Sequence[str] = ()) -> Study:
    """A study that was run, as the ledger stored it: by its name in `runs` here, or as STORAGE/NAME anywhere.

    What it stores goes where it was found, wherever it lay before.

    Raises:
        StudyError: if there is none of that name, or a change is of shared settings, which the stored
            form has written out and would not heed.
        LedgerError: if the storage cannot be read.
    """
    place, _, own = name.rpartition("/")
    ledger = Ledger(place or DEFAULT_STORAGE)
    text = ledger.read_study_file(own, STUDY_FILE) if own else None
    if text is None:
        raise StudyError(name, (Fault(where="", message=f"no study of that name was run here; {_hint(own, ledger)}"),))
    shared = [change for change in changes if re.match(r"(training|lora|data\.\w+_limit)\b", change)]
    if shared:
        message = (
            "a study that was run has its shared settings written out in each method and source; change them "
            "there, as in methods.NAME.training.max_steps, or give the study file"
        )
        raise StudyError(name, tuple(Fault(where=f"--set {change}", message=message) for change in shared))
    moved = [] if any(change.startswith("storage=") for change in changes) else [f"storage={place or DEFAULT_STORAGE}"]
    return read_study(text, source=name, changes=[*changes, *moved], as_json=True)


def engine_of(ledger: Ledger, study: str) -> EngineName | None:
    """What wrote a study's completions when it was last run; None if it never was.

    A study that was run before there was a choice was written by the first engine.
    """
    text = ledger.read_study_file(study, STUDY_FILE)
    if text is None:
        return None
    said = json.loads(text).get("evaluation", {}).get("generation", {}).get("engine", "transformers")
    return next((name for name in get_args(EngineName) if name == said), None)


def _hint(name: str, ledger: Ledger) -> str:
    close = difflib.get_close_matches(name, ledger.studies(), n=1)
    return f"did you mean {close[0]}?" if close else "give the path of a study file, or STORAGE/NAME"


__all__ = ["STUDY_FILE", "engine_of", "find_study", "ledger_of", "load_named"]
