"""Security of Python files by bandit.

One decision: bandit's own manager is given one file at a time under one name, so that its results
cannot mix; setting it up takes a fraction of a millisecond.
"""

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluators.quality.outcome import Failed, Measured, Message, Outcome, count_categories
from tasks.records import Language

_SEVERITIES = ("high", "medium", "low")


def measure_with_bandit(sources: Sequence[str], language: Language) -> list[Outcome]:
    """Security issues of each file by test, counted by severity: `high`, `medium` and `low`."""
    logging.getLogger("bandit").setLevel(logging.CRITICAL)  # a file that it cannot read is a row, not a log line
    with tempfile.TemporaryDirectory(prefix="polytune-bandit-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder, "solution.py")
        return [_measure(source, file) for source in sources]


def _measure(source: str, file: Path) -> Outcome:
    from bandit.core.config import BanditConfig
    from bandit.core.manager import BanditManager

    try:
        file.write_text(source, encoding="utf-8", errors="replace", newline="")
        manager = BanditManager(BanditConfig(), "file", ignore_nosec=True)
        manager.files_list = [str(file)]
        manager.run_tests()
    except Exception as error:  # a tool's breakdown on one file, of whatever kind, must not end the batch
        return Failed(reason=f"{type(error).__name__}: {error}")
    if manager.skipped:
        return Failed(reason=str(manager.skipped[0][1]))
    messages = tuple(map(_read, manager.results))
    return Measured(counts=count_categories(messages, _SEVERITIES), messages=messages)


def _read(issue: Any) -> Message:
    return Message(
        tool="bandit",
        rule=issue.test_id,
        category=issue.severity.lower(),
        line=issue.lineno,
        column=issue.col_offset,
        text=issue.text,
    )
