"""pylint over a batch of Python files, in one warm process of its own.

One decision: the process is started by its file's path, not by a module's name, so that it needs
neither our packages nor our environment, only the interpreter that has pylint.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluators.quality.outcome import Failed, Measured, Message, Outcome, count_categories
from tasks.records import Language

_WORKER = Path(__file__).with_name("pylint_process.py")
_CATEGORIES = ("error", "warning", "convention", "refactor")
_FILE_TIMEOUT_S = 20
"""For one file; small files take about 10 ms, inference can run away on few lines."""


def measure_with_pylint(sources: Sequence[str], language: Language, *, workers: int = 1) -> list[Outcome]:
    """Messages of each file by symbol, counted by category: `error`, `warning`, `convention` and `refactor`.

    The one process is forked into `workers`.
    """
    if not sources:
        return []
    request = json.dumps(
        {"sources": list(sources), "timeout_s": _FILE_TIMEOUT_S, "workers": min(workers, len(sources))}
    )
    # Hashing is seeded, should pylint ever let the order of a set decide.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, "-s", "-P", str(_WORKER)],
        input=request.encode("utf-8", errors="replace"),
        capture_output=True,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", errors="replace").strip().splitlines()[-1:]
        reason = f"pylint's process ended with status {done.returncode}: {' '.join(last)}"
        return [Failed(reason=reason)] * len(sources)
    return [_read(answer) for answer in json.loads(done.stdout)]


def _read(answer: dict[str, Any]) -> Outcome:
    if "failed" in answer:
        return Failed(reason=answer["failed"])
    messages = tuple(
        Message(tool="pylint", category=category, rule=symbol, line=line, column=column, text=text)
        for category, symbol, line, column, text in answer["messages"]
    )
    return Measured(counts=count_categories(messages, _CATEGORIES), messages=messages)
