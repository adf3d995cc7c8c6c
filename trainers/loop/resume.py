"""Going on exactly where a training was: what is left for that, when, and how it is taken up again.

One decision: a checkpoint is a folder that holds all that a step depends on (weights, moments, progress, the best
weights so far, the metric rows), and nothing that follows from the spec: order, rates and dropout are pure functions
of step and seed. Where it is kept is the launcher's; it counts only once it is whole.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from trainers.engines.protocol import Engine
from trainers.loop.log import MetricLog, Row
from trainers.loop.progress import Progress

_PROGRESS, _ROWS, _BEST, _ENGINE = "progress.json", "rows.jsonl", "best", "engine"


class CheckpointStore(Protocol):
    """Where checkpoints of one training are kept."""

    def newest(self) -> AbstractContextManager[Path | None]:
        """A folder with the newest checkpoint that is whole; None if there is none."""

    def writing(self, *, step: int) -> Path:
        """A folder to write a checkpoint into; every process calls it, and on one machine gets the same."""

    def share(self, *, step: int) -> None:
        """Make durable what this process wrote."""

    def seal(self, *, step: int) -> None:
        """Let a checkpoint count, whose files are durable, and drop those that are older than the last two."""


@dataclass(slots=True, kw_only=True)
class Resuming:
    """Where a training's checkpoints are kept, and when one is due: every so often, and once a machine is to go.

    `leaving` says whether this process was told that its machine will be taken away.
    """

    store: CheckpointStore
    every_s: float
    leaving: Callable[[], bool] = lambda: False
    _last: float = field(default_factory=time.monotonic)
    _left: bool = False

    def due(self) -> bool:
        """Whether this process wants a checkpoint now; notice to leave counts once."""
        notice = not self._left and self.leaving()
        return notice or time.monotonic() - self._last >= self.every_s

    def leave(self, engine: Engine, progress: Progress, *, out: Path, log: MetricLog) -> None:
        """Keep a checkpoint; every process calls it."""
        folder = self.store.writing(step=progress.step)
        (folder / _ENGINE).mkdir(parents=True, exist_ok=True)
        engine.state(folder / _ENGINE)
        if engine.rank == 0:
            (folder / _PROGRESS).write_text(progress.model_dump_json(), encoding="utf-8")
            (folder / _ROWS).write_text("".join(json.dumps(row) + "\n" for row in log.history), encoding="utf-8")
            if progress.best.folder:
                _copy(out / progress.best.folder, folder / _BEST)
        self.store.share(step=progress.step)
        engine.reduce(torch.zeros(1))  # all have shared what is theirs
        if engine.rank == 0:
            self.store.seal(step=progress.step)
        self._last, self._left = time.monotonic(), self._left or self.leaving()

    def take_up(self, engine: Engine, *, out: Path) -> tuple[Progress, list[Row]]:
        """Go on from the newest checkpoint: how far it was, and its metric rows; from the start if there is none."""
        with self.store.newest() as folder:
            if folder is None:
                return Progress(), []
            engine.restore(folder / _ENGINE)
            progress = Progress.model_validate_json((folder / _PROGRESS).read_text(encoding="utf-8"))
            rows = [json.loads(line) for line in (folder / _ROWS).read_text(encoding="utf-8").splitlines()]
            if engine.rank == 0 and progress.best.folder:
                _copy(folder / _BEST, out / progress.best.folder)
        self._last = time.monotonic()
        return progress, rows


def _copy(source: Path, target: Path) -> None:
    """A folder's files elsewhere, without their bytes where the disk can say so."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copyfile(path, target / path.name)
