"""The right to run a study: one process has it, shows that it lives, and loses it only if it falls silent.

    leases/NAME/00007.json         who holds it; made only if absent, so of two that want it one gets it
    leases/NAME/00007.beat         written again every few seconds while it is held
    leases/NAME/00007.released     left at the end

One decision: a lease is a number. Taking one over is making the next, with the same create-if-absent as a
record, so no store needs to compare and swap. A lease saves work and keeps one writer at MLflow; should two
processes hold one for a moment all the same (a machine that slept), records are still made once.
"""

import contextlib
import json
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

from orchestrator.errors import LedgerError, StudyHeld
from orchestrator.ledger.storage import Store
from orchestrator.provenance import machine, process, process_start

BEAT_S = 10.0
# Six beats: a driver that is busy starting processes, or a store that is slow, may miss some.
SILENT_S = 60.0
# Held by `polytune gc` while it removes; a name that no study can have.
CLEANING = "_gc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lease, since when, and when it was last heard of (seconds since 1970)."""

    number: int
    host: str
    machine: str
    pid: int
    process_start: str
    since: float
    last_beat: float

    @property
    def is_dead(self) -> bool:
        """Whether its process is known to be gone: only where process numbers may be compared."""
        return bool(self.machine) and self.machine == machine() and process_start(self.pid) != self.process_start

    def __str__(self) -> str:
        since, beat = (f"{datetime.fromtimestamp(stamp):%Y-%m-%d %H:%M:%S}" for stamp in (self.since, self.last_beat))
        return f"process {self.pid} on {self.host} since {since}, last heard of at {beat}"


class Lease:
    """A study's lease, as a context manager.

    Raises:
        StudyHeld: on entering, if another process holds it.
        LedgerError: on entering, if the store cannot be written.
    """

    def __init__(self, store: Store, study: str) -> None:
        self._store = store
        self._study = study
        self._prefix = f"leases/{study}/"
        self._number = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._lost = False

    def holder(self) -> Holder | None:
        """Who holds it now, going by what the store says; a silent holder holds it no more."""
        holder = self._newest()[1]
        if holder is None or holder.is_dead or time.time() - holder.last_beat > SILENT_S:
            return None
        return holder

    def __enter__(self) -> "Lease":
        number, holder = self._newest()
        if holder is not None and not holder.is_dead:
            self._refuse_unless_silent(holder)
        word = {"since": time.time(), **process()}
        name = f"{self._prefix}{number + 1:05d}"
        if not self._store.create(f"{name}.json", json.dumps(word).encode()):
            raise self._held(self._newest()[1])
        self._number = number + 1
        self._write_beat()
        newest, other = self._newest()
        if newest != self._number:
            raise self._held(other)
        self._refuse_beside_cleaning()
        self._forget_older()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=BEAT_S)
        # On a full disk it stays; whoever wants the lease next finds that this process is gone.
        with contextlib.suppress(LedgerError):
            self._store.create(f"{self._name}.released", b"")

    def check(self) -> None:
        """Go on only while it is held.

        Raises:
            StudyHeld: if this process was silent for so long that another took the lease over.
        """
        if self._lost:
            raise self._held(self._newest()[1])

    @property
    def _name(self) -> str:
        return f"{self._prefix}{self._number:05d}"

    def _newest(self) -> tuple[int, Holder | None]:
        """The last number given, and its holder unless it was released."""
        names = [name for name in self._store.children(self._prefix) if name.endswith(".json")]
        if not names:
            return 0, None
        number = max(int(name.partition(".")[0]) for name in names)
        name = f"{self._prefix}{number:05d}"
        if self._store.read(f"{name}.released") is not None:
            return number, None
        word = json.loads(self._store.read(f"{name}.json") or b"{}")
        beat = self._store.read(f"{name}.beat")
        return number, Holder(number=number, last_beat=float(beat) if beat else word["since"], **word)

    def _refuse_unless_silent(self, holder: Holder) -> None:
        """Believe that a holder elsewhere is gone only after hearing nothing new for two beats.

        Clocks of two machines differ, so an old stamp alone says little.

        Raises:
            StudyHeld: if it is there.
        """
        if abs(time.time() - holder.last_beat) <= SILENT_S:
            raise self._held(holder)
        time.sleep(2 * BEAT_S)
        if self._newest()[1] != holder:
            raise self._held(self._newest()[1])

    def _refuse_beside_cleaning(self) -> None:
        """A clean-up and a run each take their lease first and look for the other's then.

        Raises:
            StudyHeld: if `polytune gc` is removing.
        """
        cleaner = Lease(self._store, CLEANING).holder() if self._study != CLEANING else None
        if cleaner is not None:
            self._store.create(f"{self._name}.released", b"")
            raise StudyHeld(f"the ledger at {self._store.address} is being cleaned by {cleaner}; wait for it")

    def _held(self, holder: Holder | None) -> StudyHeld:
        who = holder or "another process that started at this moment"
        return StudyHeld(
            f"{self._study} is being run by {who}; wait for it, or stop it there. A process that died is noticed at "
            f"once on its own machine, and after {SILENT_S:.0f} s elsewhere"
        )

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                self._write_beat()
                self._lost = self._newest()[0] != self._number
            except LedgerError:
                # A store that is away for a while: the next beat may reach it.
                continue

    def _write_beat(self) -> None:
        self._store.write(f"{self._name}.beat", repr(time.time()).encode())

    def _forget_older(self) -> None:
        """Remove what earlier holders left; their numbers are never given again while a larger one stands."""
        number = f"{self._number:05d}"
        old = [name for name in self._store.children(self._prefix) if name.partition(".")[0] < number]
        self._store.delete([f"{self._prefix}{name}" for name in old])
