"""`polytune logs`: how a trial failed, stage by stage."""

import sys

from orchestrator.commands.options import StudyArg, TrialOption, choose_trial, opened


def logs(study: StudyArg, trial: TrialOption = None) -> None:
    """Print how a trial's failed attempts failed."""
    cells, ledger = opened(study)
    trials = {t.label: t for t in cells.trials}
    chosen = trials[choose_trial(list(trials), trial)]
    for stage in chosen.stages:
        failure = ledger.last_failure(chosen.key(stage))
        text = f"{stage}: {failure[1]}\n{failure[0].traceback}" if failure else f"{stage}: no failure\n"
        sys.stdout.write(text)
