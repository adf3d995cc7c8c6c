"""What a tool says of one file: its counts and messages, or why it has none.

One decision: a breakdown is a value of its own, so that no caller can take it for a clean file.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.records import Record


class Message(Record):
    """One remark of a tool.

    `rule` is the tool's own name of what it checks (`unused-import`, `UnusedPrivateField`, `B101`,
    `CS0219`), `category` the tool's own class of it. `line` counts from 1, `column` as the tool does.
    """

    tool: str
    rule: str
    category: str
    line: int
    column: int
    text: str


class Measured(Record):
    """A file's counts by name, without the tool's, and the messages behind those that count messages."""

    counts: Mapping[str, float]
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A tool broke down on a file."""

    reason: str


Outcome = Measured | Failed


class MissingTool(Exception):
    """A tool that is not installed: what is `absent`, and in `remedy` the command that installs it."""

    def __init__(self, absent: str, *, remedy: str, advice: str = "install it with") -> None:
        super().__init__(absent, remedy, advice)
        self.absent, self.remedy, self.advice = absent, remedy, advice

    def __str__(self) -> str:
        return f"{self.absent}; {self.advice}: {self.remedy}"


def count_categories(messages: Iterable[Message], categories: Iterable[str]) -> dict[str, float]:
    """Messages by category; each of `categories` is there, with 0 where nothing was said."""
    found = Counter(message.category for message in messages)
    return {category: found[category] for category in dict.fromkeys((*categories, *found))}
