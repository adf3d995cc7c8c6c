"""What a person sees while a study runs: the stage, its trials, steps and losses.

One decision: the watcher reads what everybody can read, the ledger's folder, so a run and `status` in
another terminal show the same.
"""

import contextlib
import json
import threading
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.markup import escape

from orchestrator.driver import Listener
from orchestrator.ledger import Ledger
from orchestrator.trial import StageName

_INTERVAL_S = 10.0
_FRESH_S = 60.0


class Watcher:
    """Prints a line when a stage opens or a trial closes, and how far trainings are in between."""

    def __init__(self, ledger: Ledger, *, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._ledger = ledger
        self._quiet = quiet
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._left = 0
        self._stage: StageName | None = None
        self.listener = Listener(stage=self._open, done=self._close, note=self._note)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=_INTERVAL_S)

    def _say(self, text: str) -> None:
        if not self._quiet:
            seconds = int(time.monotonic() - self._started)
            self._console.print(f"[dim]{seconds // 60:2d}:{seconds % 60:02d}[/dim]  {text}")

    def _open(self, stage: StageName, due: int) -> None:
        self._stage, self._left = stage, due
        self._say(f"[bold]{stage}[/bold]: {due} {'trial' if due == 1 else 'trials'}")

    def _close(self, label: str, cause: str) -> None:
        self._left -= 1
        shown = "" if self._left <= 0 else f" ({self._left} left)"
        self._say(f"  [red]{escape(label)}: {escape(cause)}[/red]" if cause else f"  {escape(label)}{shown}")

    def _note(self, text: str) -> None:
        # Not even a quiet run hides what a person ought to know; it goes to standard error.
        self._console.print(f"note: {escape(text)}", soft_wrap=True)

    def _watch(self) -> None:
        last = ""
        while not self._stop.wait(_INTERVAL_S):
            if self._stage == "train":
                line = "; ".join(filter(None, (progress_of(path, named=True) for path in self._running())))
                if line and line != last:
                    self._say(f"  [dim]{escape(line)}[/dim]")
                    last = line

    def _running(self) -> list[Path]:
        """Progress files that were written in the last minute, oldest attempt first."""
        found = []
        for path in (self._ledger.storage / "stages").glob("*/attempts/*/.progress.json"):
            with contextlib.suppress(FileNotFoundError):
                recorded = any(path.parent.parent.parent.glob("record-*.json"))
                if not recorded and time.time() - path.stat().st_mtime < _FRESH_S:
                    found.append((path.stat().st_ctime, path))
        return [path for _, path in sorted(found)]


def progress_of(path: Path, *, named: bool = False) -> str:
    """One running training in words; empty if its row is just being written."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return ""
    loss = row.get("loss", row.get("validation/loss"))
    speed = f", {row['tokens_per_s']:,.0f} tokens/s" if "tokens_per_s" in row else ""
    name = f"{row['trial']} " if named else ""
    return f"{name}step {row['step']:.0f} loss {loss:.3f}{speed}" if loss is not None else ""
