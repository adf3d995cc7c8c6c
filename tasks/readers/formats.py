"""Problem files as the command line names them: one file, all its problems, whatever split or language.

One decision: a format is a reader's data set read whole. People's completions name problems in their data
set's own way (`11`, `"HumanEval/0"`, `"Java/3"`), so an id's last parts name it too, where just one has them.
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tasks.readers import READERS
from tasks.readers.files import read_rows
from tasks.readers.source import DataError, ReaderName, Source
from tasks.records import Language, Problem, Task, Track

FORMATS: dict[str, ReaderName] = {
    "humaneval": "humaneval",
    "humaneval-plus": "humaneval-plus",
    "mbpp": "mbpp",
    "mbpp-plus": "mbpp-plus",
    "humaneval-x": "humaneval-x",
    "mxeval": "mxeval",
    "multipl-e": "multipl-e",
    "codereval": "codereval",
    "polytune": "jsonl",
    **{f"own-{language}": "own" for language in Language},
}
# Their task ids are bare numbers.
_NUMBERED = ("mbpp", "mbpp-plus")
_OWN = "own-"


def check_format(name: str) -> None:
    """Refuse a format that is none.

    Raises:
        DataError: naming the nearest one and all.
    """
    if name in FORMATS:
        return
    close = difflib.get_close_matches(name.lower().replace("_", "-").replace(" ", ""), FORMATS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise DataError(f"format {name!r}", "is unknown", f"{hint}the formats are: {', '.join(FORMATS)}")


def read_format(path: Path, *, format: str) -> tuple[Problem, ...]:
    """Every problem of a file that asks for code, in the file's order.

    Raises:
        DataError: if the format is unknown, or the file is absent, malformed, or empty.
    """
    check_format(format)
    if not path.is_file():
        raise DataError(str(path), "no such file", "name the problems' file, plain or gzipped")
    if format == "polytune":
        problems = tuple(row for row in read_rows(path, row=Problem) if row.parsed_track.writes_code)
    elif format.startswith(_OWN):
        problems = _of_own(path, Language(format.removeprefix(_OWN)))
    else:
        problems = _of_reader(path, FORMATS[format])
    if not problems:
        raise DataError(str(path), f"holds no problem of format {format}", "check the file and the format")
    twice = [id_ for id_, count in Counter(problem.id for problem in problems).items() if count > 1]
    if twice:
        raise DataError(f"{path}, id {twice[0]!r}", f"{len(twice)} ids occur twice", "make ids unique")
    return problems


def _of_reader(path: Path, name: ReaderName) -> tuple[Problem, ...]:
    reader = READERS[name]
    tracks = [track for track in map(Track.parse, reader.tracks) if track.task is Task.GENERATION]
    return tuple(
        problem
        for track in tracks
        for split in reader.splits or ("test",)
        for problem in reader.problems(
            Source(reader=name, path=str(path.resolve()), split=split), track=track, root=Path("/")
        )
    )


def _of_own(path: Path, language: Language) -> tuple[Problem, ...]:
    source = Source(reader="own", path=str(path.resolve()), split="test")
    return READERS["own"].problems(source, track=Track(task=Task.GENERATION, target=language), root=Path("/"))


def names_of(problems: Sequence[Problem], *, format: str) -> dict[str, str]:
    """Every name that means one problem, in lower case, with the id that it means."""
    shortest = 1 if format in _NUMBERED or format.startswith(_OWN) else 2
    meant: dict[str, set[str]] = {}
    for problem in problems:
        parts = problem.id.lower().split("/")
        for length in range(shortest, len(parts)):
            meant.setdefault("/".join(parts[-length:]), set()).add(problem.id)
        if format in _NUMBERED:  # EvalPlus writes Mbpp/17
            meant.setdefault(f"mbpp/{parts[-1]}", set()).add(problem.id)
    found = {name: ids.pop() for name, ids in meant.items() if len(ids) == 1}
    return {**found, **{problem.id.lower(): problem.id for problem in problems}}


__all__ = ["FORMATS", "check_format", "names_of", "read_format"]
