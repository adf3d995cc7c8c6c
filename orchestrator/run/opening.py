"""A study as whoever reads it begins with it: its cells, with what its searches have found, and its ledger.

One decision: the command line and Python open a study by this one call, so a name means the same in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.manifest import NamedStage, read_named
from orchestrator.ledger.studies import engine_of, find_study, ledger_of
from orchestrator.run.search import resolved
from orchestrator.study.cells import Cells, expand
from orchestrator.study.engines import decided
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

# What of a stage's identity is the code's, and what is the data's.
_CODE = ("version", "prompts", "inputs", "training", "judge")
_DATA = ("train", "validation", "test")


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
    return resolved(expand(decided(found, before=engine_of(ledger, found.study))), ledger), ledger


def open_as_run(
    study: str | Path, *, changes: Sequence[str] = (), storage: Path | str | None = None
) -> tuple[Cells, Ledger, bool]:
    """A study to be looked at: its trials by the keys under which they were run, whatever code has changed since.

    Whether that tells other keys than the code of today would is the third value. A study that is opened with changes,
    or was never run, is as `open_study` opens it. Data that are gone do not hinder a look at what was made from them.

    Raises:
        StudyError, DataError, ModelError, LedgerError: as `open_study`.
    """
    found = find_study(study, changes=changes, storage=storage)
    ledger = ledger_of(found)
    named = None if changes else read_named(ledger, found.study)
    if named is None:
        return resolved(expand(found), ledger), ledger, False
    cells = resolved(expand(found, without_data=True), ledger)
    trials = tuple(_as_run(trial, named.trials.get(trial.label, {})) for trial in cells.trials)
    return replace(cells, trials=trials), ledger, trials != cells.trials


def _as_run(trial: TrialSpec, stages: Mapping[StageName, NamedStage]) -> TrialSpec:
    """A trial with the keys of when it was run, if only the versions of code differ since, or data are gone."""
    sources = (*trial.train, *trial.validation, *trial.test)
    # Data of the hub may have no identity and be there.
    gone = any(s.identity is None and s.source.repository is None for s in sources)
    apart = (*_CODE, *_DATA) if gone else _CODE
    if not stages or any(
        stage not in stages or not _same(stages[stage].spec, trial.identity(stage), apart=apart)
        for stage in trial.stages
    ):
        return trial
    keys = {stage: named.key for stage, named in stages.items() if named.key != trial.key(stage)}
    return trial.model_copy(update={"stored_keys": keys}) if keys else trial


def _same(before: Mapping[str, Any], now: Mapping[str, Any], *, apart: Sequence[str]) -> bool:
    """Whether all but some is the same; settings that were added or dropped belong to the code."""
    return all(before.get(name) == now.get(name) for name in (before.keys() | now.keys()) - set(apart))


__all__ = ["open_as_run", "open_study"]
