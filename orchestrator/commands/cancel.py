"""`polytune cancel`: stop a study that runs on this machine or on a cluster's head, from another terminal."""

import os
import signal
import sys

from orchestrator.commands.cluster import ask_about
from orchestrator.commands.options import ClusterOption, StudyArg, load


def cancel(study: StudyArg, cluster: ClusterOption = None) -> None:
    """Stop a running study as Ctrl-C would: what is finished is kept, and running it again goes on."""
    if cluster:
        ask_about("cancel", study, cluster)
    from orchestrator.errors import PolytuneError
    from orchestrator.ledger.studies import ledger_of
    from orchestrator.provenance import machine

    loaded = load(study)
    driver = ledger_of(loaded).lease(loaded.study).holder()
    if driver is None:
        raise PolytuneError(f"no process runs {loaded.study}; `polytune status {loaded.study}` shows how far it is")
    if driver.machine != machine():
        raise PolytuneError(
            f"{loaded.study} is run by process {driver.pid} on {driver.host}; give this command there, "
            f"or send that process an interrupt (kill -INT {driver.pid})"
        )
    os.kill(driver.pid, signal.SIGINT)
    sys.stdout.write(f"Asked process {driver.pid} to stop; what is finished is in the ledger\n")
