"""What a data set family must say to be read.

One decision: a reader states its tracks, its splits and what must not be trained on as data, so that
these are checked, and their errors worded, in one place for all families.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel

from tasks.readers.files import content_digest, locate, read_rows
from tasks.readers.source import Source
from tasks.records import Example, Problem, Track

Content_co = TypeVar("Content_co", covariant=True)
Row = TypeVar("Row", bound=BaseModel)


class Read(Protocol[Content_co]):
    """Reads all records of a source's split in one track, in the file's order."""

    def __call__(self, source: Source, *, track: Track, root: Path) -> tuple[Content_co, ...]:
        """Read; raises DataError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRows:
    """What the first rows of a source were read as: how many are of the track, and by which columns."""

    count: int
    columns: str = ""


class ReadFirst(Protocol):
    """Reads the first rows of a source as a whole reading would."""

    def __call__(self, source: Source, *, track: Track, root: Path, training: bool) -> FirstRows:
        """Read; raises DataError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One family's reader.

    Attributes:
        version: raised when the same bytes give other records.
        tracks: what it can serve; empty for a reader that finds out in the data.
        splits: the splits that the family has; empty for a reader that takes any.
        examples: reads training pairs.
        problems: reads evaluation items.
        content: identity of the bytes behind a source, None if it is not pinned.
        first: reads the first rows, for a reader of people's own files.
        held_out: splits that are refused as training pairs, with `held_out_because`.
    """

    version: int
    tracks: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    examples: Read[Example]
    problems: Read[Problem]
    content: Callable[[Source, Path], str | None]
    first: ReadFirst | None = None
    held_out: tuple[str, ...] = ()
    held_out_because: str = ""


def as_examples(problems: Iterable[Problem]) -> tuple[Example, ...]:
    """Problems as training pairs: what to write is the data set's own answer."""
    return tuple(Example(id=item.id, track=item.track, input=item.input, output=item.reference) for item in problems)


def tests_alone(
    *,
    version: int,
    tracks: tuple[str, ...],
    problems: Read[Problem],
    content: Callable[[Source, Path], str | None],
    because: str,
) -> Reader:
    """The reader of a family that has a test split alone, which is refused as training pairs `because` of something."""

    def examples(source: Source, *, track: Track, root: Path) -> tuple[Example, ...]:
        return as_examples(problems(source, track=track, root=root))

    return Reader(
        version=version,
        tracks=tracks,
        splits=("test",),
        examples=examples,
        problems=problems,
        content=content,
        held_out=("test",),
        held_out_because=because,
    )


def tests_in_one_file(
    *,
    version: int,
    name: str,
    row: type[Row],
    problem: Callable[..., Problem],
    because: str,
) -> Reader:
    """The reader of Python tests in one file of lines, called `name` below a source's root.

    `problem(row, track=...)` makes the problem of one line; `because` as for `tests_alone`.
    """

    def file(source: Source, root: Path) -> Path:
        return locate(source, root=root, name=name)

    def problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
        return tuple(problem(line, track=track) for line in read_rows(file(source, root), row=row))

    def content(source: Source, root: Path) -> str:
        return content_digest([("file", file(source, root))])

    return tests_alone(
        version=version, tracks=("generation/python",), problems=problems, content=content, because=because
    )


def dataset_name(family: str, *, split: str) -> str:
    """A problem's `dataset`: the family for its test split, the family and split for any other."""
    return family if split == "test" else f"{family}-{split}"


__all__ = [
    "FirstRows",
    "Read",
    "ReadFirst",
    "Reader",
    "as_examples",
    "dataset_name",
    "tests_alone",
    "tests_in_one_file",
]
