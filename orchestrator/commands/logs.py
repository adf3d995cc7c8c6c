"""`polytune logs`: how trials failed, stage by stage."""

import sys
from typing import TYPE_CHECKING

from orchestrator.commands.cluster import ask_about
from orchestrator.commands.options import ClusterOption, StudyArg, TrialOption, choose_trial, opened_as_run

if TYPE_CHECKING:
    from orchestrator.ledger.ledger import Ledger
    from orchestrator.study.trial import TrialSpec


def logs(study: StudyArg, trial: TrialOption = None, cluster: ClusterOption = None) -> None:
    """Print how a trial's stages failed; without a trial, of all trials those that failed and are not done since."""
    if cluster:
        ask_about("logs", study, cluster, *(("--trial", trial) if trial else ()))
    cells, ledger = opened_as_run(study)
    if trial is None:
        said = [text for one in cells.trials for text in _failures(one, ledger, only_open=True)]
        sys.stdout.write("\n".join(said) or f"nothing of {cells.study.study} failed\n")
        return
    trials = {one.label: one for one in cells.trials}
    chosen = trials[choose_trial(list(trials), trial)]
    sys.stdout.write("\n".join(_failures(chosen, ledger, only_open=False)) or f"{trial}: no stage failed\n")


def _failures(trial: "TrialSpec", ledger: "Ledger", *, only_open: bool) -> list[str]:
    done = ledger.records_of(trial)
    found = []
    for stage in trial.stages:
        failure = None if only_open and stage in done else ledger.last_failure(trial.key(stage))
        if failure is not None:
            found.append(f"{trial.label} {stage}: {failure[1]}\n{failure[0].traceback}")
    return found
