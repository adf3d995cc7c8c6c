"""A finished trial's weights as a folder to give away, with a model card that says what they are.

One decision: the files are those of the ledger, byte for byte and checked against its record, or, on
request, the adapter merged into the base in full precision. It is never merged into 4-bit weights, even
where it was trained on them: rounding the sum to 4 bits again took a loss from 3.80 to 5.46.
"""

import os
import shutil
import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands.options import StudyArg, opened_as_run
from orchestrator.errors import PolytuneError
from orchestrator.ledger.ledger import Ledger, StageRecord
from orchestrator.study.cells import Cells, find_trial
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec

EPILOG = "Example: polytune export quickstart --trial micro/qlora-together/seed0 --to adapter/"
_CARD = "README.md"


def export(
    study: StudyArg,
    trial: Annotated[str, typer.Option("--trial", help="The trial's label, as `plan` prints it.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder that is empty or not there.")],
    merge: Annotated[bool, typer.Option("--merge", help="Merge the adapter into the full-precision base.")] = False,
) -> None:
    """Write a trial's adapter, or merged model, with a model card."""
    cells, ledger = opened_as_run(study)
    sys.stdout.write(f"Written: {write_export(cells, trial, ledger, to=to, merge=merge)}\n")


def write_export(cells: Cells, label: str, ledger: Ledger, *, to: Path, merge: bool) -> Path:
    """Write a trained trial's adapter, full weights or merged model into `to`, with tokenizer and model card.

    The folder appears whole or not at all. Scores in the card are those that the ledger holds now.

    Raises:
        StudyError: if the study has no such trial.
        PolytuneError: if `to` is not empty, or the trial is not trained yet or never is.
        LedgerError: if the ledger's files are not those that its record tells of.
    """
    from orchestrator.report.modelcard import model_card

    trial = find_trial(cells, label)
    _check_request(trial, to=to, merge=merge)
    record = _trained(trial, ledger)
    name = str(record.facts["weights"])
    weights = ledger.folder(record, under=f"{name}/") / name
    to.parent.mkdir(parents=True, exist_ok=True)
    private = to.parent / f".{to.name}.{uuid.uuid4().hex}"
    try:
        private.mkdir()
        for path in weights.iterdir():
            # Not its permissions: those of new files here.
            shutil.copyfile(path, private / path.name)
        if merge:
            _merge(trial, private)
        (private / _CARD).write_text(model_card(cells.study, trial, ledger, merged=merge), encoding="utf-8")
        os.replace(private, to)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return to


def _check_request(trial: TrialSpec, *, to: Path, merge: bool) -> None:
    if to.exists() and not to.is_dir():
        raise PolytuneError(f"{to} is a file; name a folder that is empty or not there")
    if to.is_dir() and any(to.iterdir()):
        raise PolytuneError(f"{to} is not empty, and an export never overwrites; name another folder, or empty it")
    if not trial.traits.is_trained:
        raise PolytuneError(f"{trial.label} is frozen, so there is nothing to export; use {trial.model.name} itself")
    if merge and trial.traits.has_own_weights:
        raise PolytuneError(f"{trial.label} has all weights of its own and no adapter to merge; leave --merge out")


def _trained(trial: TrialSpec, ledger: Ledger) -> StageRecord:
    record = ledger.records_of(trial).get(StageName.TRAIN)
    if record is None:
        failure = ledger.last_failure(trial.key(StageName.TRAIN))
        why = f"its training failed: {failure[0].cause} (log: {failure[1]})" if failure else "it is not trained yet"
        raise PolytuneError(f"{trial.label} cannot be exported, {why}; train it with: polytune run")
    return record


def _merge(trial: TrialSpec, folder: Path) -> None:
    """Put the base with the adapter added, in the base's own precision, in the adapter's place.

    The sum is taken in 32 bits and rounded once. The tokenizer's files stay.
    """
    from transformers import AutoConfig

    from models.loading import device_of, load_adapter, load_base
    from models.locations import location_of

    stored = AutoConfig.from_pretrained(
        location_of(trial.model), revision=trial.model.revision, trust_remote_code=trial.model.trust_remote_code
    ).dtype
    base = load_base(trial.model, precision="fp32", device=device_of("cpu"))
    merged: Any = load_adapter(base, folder).merge_and_unload(safe_merge=True)
    if stored is not None:
        merged = merged.to(stored)
    for path in folder.glob("adapter_*"):
        path.unlink()
    merged.save_pretrained(str(folder))
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes for the owner alone, and this is to be given away


__all__ = ["EPILOG", "export", "write_export"]
