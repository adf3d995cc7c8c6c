"""Which process runs a study now, so that another terminal can tell a live attempt from a dead one.

One decision: a driver leaves word in the study's folder while it is at work. Word of a process that is no
longer there counts for nothing, so a crash needs no cleaning up.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.ledger import Ledger
from tasks.records import Record


class Driver(Record):
    """The process that runs a study; `since` is in seconds since 1970."""

    host: str
    pid: int
    since: float


@contextmanager
def at_work(ledger: Ledger, study: str) -> Iterator[Driver]:
    """Say that this process runs a study, for as long as it does."""
    driver = Driver(host=socket.gethostname(), pid=os.getpid(), since=time.time())
    path = _path(ledger, study)
    path.write_text(driver.model_dump_json(), encoding="utf-8")
    try:
        yield driver
    finally:
        path.unlink(missing_ok=True)


def driver_of(ledger: Ledger, study: str) -> Driver | None:
    """The process that runs a study; None if there is none."""
    try:
        driver = Driver.model_validate(json.loads(_path(ledger, study).read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if driver.host == socket.gethostname():
        with contextlib.suppress(PermissionError):
            try:
                os.kill(driver.pid, 0)
            except ProcessLookupError:
                return None
    return driver


def _path(ledger: Ledger, study: str) -> Path:
    return ledger.study_folder(study) / "driver.json"
