"""Programs that do nothing wrong, and use what a benchmark's programs use: all of them must pass.

One decision: each is a few lines that assert what they did, followed by an honest answer, so that a
wall which stands in their way makes them fail. They lie in a text file, each under a line with its name.
"""

import re
from pathlib import Path

from attacks.hostile import HONEST


def programs() -> dict[str, str]:
    """Program texts by name."""
    text = Path(__file__).with_name("legitimate_programs.txt").read_text(encoding="utf-8")
    _, *parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    return {name: f"n = 1\n{code}{HONEST}" for name, code in zip(parts[::2], parts[1::2], strict=True)}


__all__ = ["programs"]
