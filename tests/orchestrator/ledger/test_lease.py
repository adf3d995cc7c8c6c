"""Leases: of two processes one runs a study, and a process that is gone holds nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.errors import LedgerError, StudyHeld
from orchestrator.ledger import lease as leases
from orchestrator.ledger.lease import CLEANING
from orchestrator.ledger.ledger import Ledger
from orchestrator.provenance import machine, process

_HOLDER = """
import sys, time
from orchestrator.ledger.ledger import Ledger
with Ledger(sys.argv[1]).lease("small"):
    print("held", flush=True)
    time.sleep(600)
"""


def hold_elsewhere(ledger: Ledger, number: int, *, last_beat: float) -> None:
    """Leave a lease as a process on another machine would."""
    word = {"since": last_beat - 100, **process(), "host": "elsewhere", "machine": "another kernel"}
    ledger.store.create(f"leases/small/{number:05d}.json", json.dumps(word).encode())
    ledger.store.write(f"leases/small/{number:05d}.beat", repr(last_beat).encode())


def test_second_process_is_told_who_holds_the_study(ledger: Ledger) -> None:
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, ledger.address], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        said = rf"small is being run by process {holder.pid} on \S+ since \d{{4}}-.*, last heard of at .*; wait for it"
        with pytest.raises(StudyHeld, match=said), ledger.lease("small"):
            raise AssertionError("two hold one lease")
        assert {name: held.pid for name, held in ledger.holders().items()} == {"small": holder.pid}
        with ledger.lease("another study"):
            pass
        # A killed process leaves no word, and stays a zombie until it is waited for.
        os.kill(holder.pid, signal.SIGKILL)
        while Path(f"/proc/{holder.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)
        with ledger.lease("small") as lease:
            lease.check()
            assert {name: held.pid for name, held in ledger.holders().items()} == {"small": os.getpid()}
    finally:
        holder.kill()
        holder.wait()
    assert ledger.holders() == {}


def test_released_lease_is_free_at_once_and_old_ones_are_forgotten(ledger: Ledger) -> None:
    for _ in range(3):
        with ledger.lease("small"):
            pass
    assert ledger.store.children("leases/small/") == ["00003.beat", "00003.json", "00003.released"]


def test_of_many_that_want_it_one_gets_it(ledger: Ledger, storage: str) -> None:
    def take(_: int) -> bool:
        try:
            with Ledger(storage).lease("small"):
                time.sleep(2)
        except StudyHeld:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(take, range(6))).count(True) == 1


def test_holder_on_another_machine_is_believed_while_its_word_is_fresh(ledger: Ledger) -> None:
    hold_elsewhere(ledger, 7, last_beat=time.time() - 30)
    with pytest.raises(StudyHeld, match="on elsewhere since"), ledger.lease("small"):
        raise AssertionError("two hold one lease")


def test_silent_holder_on_another_machine_is_followed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.2)
    hold_elsewhere(ledger, 7, last_beat=time.time() - 3600)
    with ledger.lease("small"):
        assert ledger.store.children("leases/small/") == ["00008.beat", "00008.json"]


def test_holder_whose_clock_is_an_hour_off_is_heard(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 1.0)
    hold_elsewhere(ledger, 7, last_beat=time.time() - 3600)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ledger.lease("small").__enter__)
        while not waiting.done():
            ledger.store.write("leases/small/00007.beat", repr(time.time() - 3600).encode())
            time.sleep(0.05)
    assert isinstance(waiting.exception(), StudyHeld)


def test_process_number_that_was_given_again_is_another_process(ledger: Ledger) -> None:
    hold_elsewhere(ledger, 7, last_beat=time.time())
    word = {"since": 1.0, **process(), "process_start": "1"}
    ledger.store.write("leases/small/00007.json", json.dumps(word).encode())
    assert machine(), "this kernel says when it was started"
    with ledger.lease("small"):
        pass


def test_holder_that_slept_while_another_took_over_stops(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    with ledger.lease("small") as lease:
        lease.check()
        hold_elsewhere(ledger, 2, last_beat=time.time())
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                lease.check()
            except StudyHeld:
                break
            time.sleep(0.05)
        else:
            raise AssertionError("the loss was not noticed")


def test_run_and_clean_up_exclude_each_other(ledger: Ledger) -> None:
    with ledger.lease(CLEANING), pytest.raises(StudyHeld, match="is being cleaned by process"), ledger.lease("small"):
        raise AssertionError("a run began beside a clean-up")
    with ledger.lease("small"):
        assert set(ledger.holders()) == {"small"}


def test_lease_of_a_ledger_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the ledger should be")
    with (
        pytest.raises(LedgerError, match=r"cannot be (read|written)"),
        Ledger(tmp_path / "runs" / "deeper").lease("small"),
    ):
        raise AssertionError
