"""What a training tells while it runs.

One decision: rows go into numbered chunks that are written once and never touched again, so that whoever copies or
reads them meanwhile sees no half of one.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Row = dict[str, float]
# A chunk is closed when it is full, or old enough for those who follow a slow training.
_ROWS_PER_CHUNK = 50
_SECONDS_PER_CHUNK = 30.0


@dataclass(slots=True, kw_only=True)
class MetricLog:
    """Rows, each with its time since 1970; only the `active` one of several processes' logs writes.

    `history` holds all of them, those of before an interruption too.
    """

    folder: Path
    report: Callable[[Row], None]
    active: bool
    total_steps: int
    rows: list[Row] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)
    chunks: int = 0
    flushed: float = field(default_factory=time.monotonic)

    def add(self, row: Row) -> None:
        """Log a row, and report it with `total_steps`."""
        if self.active:
            row = {**row, "time": time.time()}
            self.rows.append(row)
            self.history.append(row)
            self.report({**row, "total_steps": self.total_steps})
            if len(self.rows) >= _ROWS_PER_CHUNK or time.monotonic() - self.flushed >= _SECONDS_PER_CHUNK:
                self.flush()

    def take_up(self, rows: list[Row]) -> None:
        """Have the rows of a training that goes on; they were reported when they were new."""
        self.rows, self.history = list(rows), list(rows)
        self.flush()

    def flush(self) -> None:
        """Close the chunk that is open."""
        if self.active and self.rows:
            self.folder.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(row) + "\n" for row in self.rows)
            (self.folder / f"{self.chunks:05d}.jsonl").write_text(text)
            self.rows, self.chunks, self.flushed = [], self.chunks + 1, time.monotonic()
