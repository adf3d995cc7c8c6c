"""What a tool says of one file: its counts, or why it has none.

One decision: a breakdown is a value of its own, so that no caller can take it for a clean file.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A tool broke down on a file."""

    reason: str


Outcome = Mapping[str, float] | Failed
