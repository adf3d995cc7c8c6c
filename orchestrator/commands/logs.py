"""`polytune logs`: how a trial failed, stage by stage."""

import sys

from orchestrator.commands.options import StudyArg, TrialOption, choose_trial, load


def logs(study: StudyArg, trial: TrialOption = None) -> None:
    """Print how a trial's failed attempts failed."""
    from orchestrator.ledger.studies import ledger_of
    from orchestrator.study.cells import trials_of

    loaded = load(study)
    trials = {t.label: t for t in trials_of(loaded)}
    chosen, ledger = trials[choose_trial(list(trials), trial)], ledger_of(loaded)
    for stage in chosen.stages:
        failure = ledger.last_failure(chosen.key(stage))
        told = f"{stage}: {failure[1]}\n{failure[0].traceback}" if failure else f"{stage}: no failure\n"
        sys.stdout.write(told)
