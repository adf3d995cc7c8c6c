"""MLflow kept up to date while a study runs.

One decision: a thread of the driver projects every few seconds, and training waits for none of it.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from orchestrator.errors import PolytuneError, StudyHeld
from orchestrator.ledger.ledger import Ledger
from orchestrator.redaction import without_secrets
from orchestrator.study.schema import Study
from orchestrator.study.trial import TrialSpec
from orchestrator.tracking.project import Projector

# A large study takes longer to look through, and its driver has other things to do.
_SHARE_OF_TIME = 0.1
_log = logging.getLogger(__name__)


class LiveTracking:
    """Projects a study while it runs, from a thread; an MLflow that is away is one warning, and later caught up.

    Nothing is projected before `follow` is called, by whoever then holds the study's lease.
    """

    def __init__(self, ledger: Ledger, *, uri: str, say: Callable[[str], None], interval_s: float = 5.0) -> None:
        self._ledger, self._uri, self._say, self._interval_s = ledger, uri, say, interval_s
        self._projector: Projector | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="mlflow", daemon=True)
        self._since = time.time()
        self._warned = self._away = False

    def __enter__(self) -> "LiveTracking":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread, after at most one request; a study that broke off has its runs closed."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        # Whoever took the study over writes what MLflow shows of it.
        if error is not None and not self._away and not isinstance(error, StudyHeld):
            self.conclude()

    def follow(self, study: Study, trials: Sequence[TrialSpec]) -> None:
        """Project this study from now on, in place of what was followed before."""
        self._projector = Projector(study, trials, self._ledger, uri=self._uri)
        if not self._thread.is_alive():
            self._thread.start()

    def conclude(self) -> None:
        """Project what the study left, now that nothing is at work any longer."""
        self._attempt(live_since=None, wanted=lambda: True)

    def _keep_up(self) -> None:
        wait = 0.0
        while not self._stop.wait(wait):
            started = time.monotonic()
            self._attempt(live_since=self._since, wanted=lambda: not self._stop.is_set())
            least = 3 * self._interval_s if self._away else self._interval_s
            wait = max(least, (time.monotonic() - started) / _SHARE_OF_TIME)

    def _attempt(self, *, live_since: float | None, wanted: Callable[[], bool]) -> None:
        if self._projector is None:
            return
        try:
            self._projector.update(live_since=live_since, wanted=wanted)
        except PolytuneError as error:
            self._away = True
            if not self._warned:
                self._warned = True
                self._say(str(error))
        except Exception as error:
            # A projection is never worth a study: the ledger has everything, and `track` shows the fault.
            _log.exception("projecting to MLflow")
            self._away, warned, self._warned = True, self._warned, True
            if not warned:
                self._say(f"MLflow is not up to date: {type(error).__name__}: {without_secrets(str(error))}")
        else:
            if self._away:
                self._say("MLflow is up to date again")
            self._away = False


__all__ = ["LiveTracking"]
