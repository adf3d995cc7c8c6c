"""`polytune track`: bring MLflow up to date with the ledger."""

import sys

from orchestrator.commands.options import SetOption, StudyArg, opened


def track(study: StudyArg, set_: SetOption = None) -> None:
    """Bring MLflow up to date with the ledger, or rebuild it."""
    from orchestrator.tracking.project import project, tracking_uri

    cells, ledger = opened(study, set_)
    driver = ledger.lease(cells.study.study).holder()
    live_since = driver.since if driver else None
    done = project(cells.study, cells.trials, ledger, uri=tracking_uri(ledger.storage), live_since=live_since)
    sys.stdout.write(f"{done.runs} runs are up to date\n")
    for name, version in done.registered.items():
        sys.stdout.write(f"registered: {name} version {version}\n")
