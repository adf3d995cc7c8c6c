"""`polytune track`: bring MLflow up to date with the ledger."""

import sys

from orchestrator.commands.options import SetOption, StudyArg, load


def track(study: StudyArg, set_: SetOption = None) -> None:
    """Bring MLflow up to date with the ledger, or rebuild it."""
    from orchestrator.ledger.studies import ledger_of
    from orchestrator.study.cells import trials_of
    from orchestrator.tracking import project, tracking_uri

    loaded = load(study, set_)
    ledger = ledger_of(loaded)
    driver = ledger.lease(loaded.study).holder()
    live_since = driver.since if driver else None
    done = project(loaded, trials_of(loaded), ledger, uri=tracking_uri(ledger.storage), live_since=live_since)
    sys.stdout.write(f"{done.runs} runs are up to date\n")
