"""What running a study would do, with what its searches have found so far, and what is stored under its name.

One decision: `polytune plan` and a run make the same plan by the same call.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import Fault, StudyError
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.manifest import read_named, write_named
from orchestrator.ledger.studies import STUDY_FILE
from orchestrator.plan.fairness import fairness
from orchestrator.plan.families import Due, families_of
from orchestrator.plan.guesses import Guesser
from orchestrator.plan.likeness import unlike_software
from orchestrator.plan.machine import asked_too_much, this_machine, works_of
from orchestrator.plan.plan import PlannedTrial, plan, upgrade_note, version_notes
from orchestrator.provenance import provenance
from orchestrator.run.search import as_if_found, under_search, unfinished
from orchestrator.study.cells import Cells
from orchestrator.study.engines import engine_here, engine_notes
from orchestrator.study.plainform import stored_form
from orchestrator.study.stages import StageName
from orchestrator.study.trial import TrialSpec
from tasks.readers import read_first
from tasks.records import Track

FAMILIES = "families.json"
_ASKS = {StageName.TRAIN, StageName.GENERATE}


def store_study(cells: Cells, ledger: Ledger) -> None:
    """Keep the resolved study under its name, for commands that are given the name alone, and what it names."""
    name = cells.study.study
    ledger.write_study_file(name, STUDY_FILE, json.dumps(stored_form(cells.study), indent=1))
    write_named(ledger, name, (*cells.trials, *under_search(cells, ledger)))


def plan_study(
    cells: Cells, ledger: Ledger, *, verify: bool = False, probing: bool = False
) -> tuple[tuple[PlannedTrial, ...], tuple[str, ...]]:
    """What running a study would do, and what a person ought to know before it; see `plan.plan`.

    `probing` looks at models of which nothing is known yet, in processes of their own.

    Raises:
        StudyError: if a model cannot be trained as a trial that is due would, or a training has too few steps.
        DataError: if the first rows of one's own files are what a run would refuse.
    """
    resources = cells.study.resources
    before = read_named(ledger, cells.study.study)
    guesser = Guesser(resources, root=Path(cells.study.data.root))
    planned = plan(
        cells.trials,
        ledger,
        resources=resources,
        machine=this_machine(resources),
        before=before,
        verify=verify,
        guesser=guesser,
    )
    searches = tuple(
        f"the search for {name} has not finished: {count} trainings on the validation split come first"
        for name, count in unfinished(cells).items()
    )
    refused = tuple(f"not on this machine: {text}" for text in refused_searches(cells))
    due = [p.trial for p in planned if p.due] + list(as_if_found(cells).trials if searches else ())
    fair = fairness(cells.trials, cells.study.methods)
    read = first_rows_of(due, root=Path(cells.study.data.root))
    trained = [p.trial for p in planned if StageName.TRAIN in p.due]
    if short := tuple(filter(None, map(guesser.short_of_warmup, trained))):
        raise StudyError(cells.study.study, tuple(Fault(where="", message=text) for text in short))
    writes = any(StageName.GENERATE in p.due for p in planned)
    if absent := engine_here(cells.study) if writes else "":
        raise StudyError(cells.study.study, (Fault(where="evaluation.generation.engine", message=absent),))
    families = families_of(_due(cells, planned), resources, study=cells.study.study, probing=probing)
    return planned, (
        *upgrade_note(planned, before),
        *version_notes(planned, ledger, provenance()),
        *unlike_software(planned, ledger, provenance()),
        *fair,
        *searches,
        *refused,
        *read,
        *families.notes,
        *(engine_notes(cells.study) if writes else ()),
    )


def _due(cells: Cells, planned: Sequence[PlannedTrial]) -> list[Due]:
    """Trials that are to be trained or asked, and those of searches that have not finished."""
    found = [Due(trial=p.trial, trains=StageName.TRAIN in p.due) for p in planned if _ASKS.intersection(p.due)]
    searched = as_if_found(cells).trials if unfinished(cells) else ()
    return found + [Due(trial=trial, trains=trial.traits.is_trained) for trial in searched]


def store_families(cells: Cells, ledger: Ledger, planned: Sequence[PlannedTrial]) -> None:
    """Keep what is known of the models that a run is about to train, beside the study."""
    families = families_of(_due(cells, planned), cells.study.resources, study=cells.study.study, probing=False)
    if not families.verdicts:
        return
    found = {name: verdict.model_dump(mode="json") for name, verdict in families.verdicts.items()}
    ledger.write_study_file(cells.study.study, FAMILIES, json.dumps(found, indent=1))


def first_rows_of(trials: Sequence[TrialSpec], *, root: Path) -> tuple[str, ...]:
    """Read the first rows of people's own files as a run would, and say by which columns.

    Raises:
        DataError: what a run would say of those rows.
    """
    sources = {
        (training, one.model_dump_json()): one
        for trial in trials
        for training, group in ((True, (*trial.train, *trial.validation)), (False, trial.test))
        for one in group
    }
    said = []
    for (training, _), one in sources.items():
        found = read_first(one.source, track=Track.parse(one.track), root=root, training=training)
        if found is not None and found.columns:
            said.append(f"{one.track}, {one.source.path}: {found.columns}")
    return tuple(dict.fromkeys(said))


def refused_searches(cells: Cells) -> tuple[str, ...]:
    """What this machine cannot offer to the searches that are to come, and to the trials that they will find."""
    resources = cells.study.resources
    kinds = dict.fromkeys(cells.study.methods[name].kind for name in unfinished(cells))
    works = [work for kind in kinds for work in works_of(kind, (StageName.TRAIN, StageName.GENERATE))]
    return asked_too_much(works, resources, this_machine(resources))


__all__ = ["FAMILIES", "first_rows_of", "plan_study", "refused_searches", "store_families", "store_study"]
