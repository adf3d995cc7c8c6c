"""Our own format: one `Example` or `Problem` of `tasks.records` a line, as JSON, gzipped or not.

One decision: a file may hold several tracks, and a read takes the lines of one; every line is checked
whatever its track, so that a broken file is refused before half of a study has run on it.
"""

from pathlib import Path

from tasks.readers.files import content_digest, locate, read_rows
from tasks.readers.reader import FirstRows, Reader
from tasks.readers.source import DataError, Source
from tasks.records import Example, Problem, Track

_FIRST = 50


def _examples(source: Source, *, track: Track, root: Path) -> tuple[Example, ...]:
    rows = read_rows(_file(source, root), row=Example)
    _check_track({row.track for row in rows}, source=source, track=track)
    return tuple(row for row in rows if row.track == str(track))


def _problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    rows = read_rows(_file(source, root), row=Problem)
    _check_track({row.track for row in rows}, source=source, track=track)
    return tuple(row for row in rows if row.track == str(track))


def _first(source: Source, *, track: Track, root: Path, training: bool) -> FirstRows:
    row: type[Example] | type[Problem] = Example if training else Problem
    rows: tuple[Example | Problem, ...] = read_rows(_file(source, root), row=row, first=_FIRST)
    return FirstRows(count=sum(row.track == str(track) for row in rows))


def _check_track(held: set[str], *, source: Source, track: Track) -> None:
    if held and str(track) not in held:
        raise DataError(f"track {track}", f"{source.name} holds none of it", f"it holds: {', '.join(sorted(held))}")


def _file(source: Source, root: Path) -> Path:
    return locate(source, root=root, name=f"{source.split}.jsonl")


def _content(source: Source, root: Path) -> str:
    return content_digest([("file", _file(source, root))])


READER = Reader(version=1, examples=_examples, problems=_problems, content=_content, first=_first)

__all__ = ["READER"]
