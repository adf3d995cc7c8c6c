"""The built-in suite as a reader, so that a study names it as it names any other data.

One decision: the suite is imported when it is read, since it is code that makes data, and naming a
source must cost nothing.
"""

from pathlib import Path

from tasks.readers.reader import Reader
from tasks.readers.source import Source
from tasks.records import Example, Problem, Track


def _examples(source: Source, *, track: Track, root: Path) -> tuple[Example, ...]:
    from tasks import micro

    return micro.examples(track, split=source.split)


def _problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    from tasks import micro

    return micro.problems(track, split=source.split)


def _content(source: Source, root: Path) -> str:
    from tasks import micro

    return f"suite={micro.VERSION}"


READER = Reader(version=1, examples=_examples, problems=_problems, content=_content)

__all__ = ["READER"]
