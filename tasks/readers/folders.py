"""Which files a path means: one file, a folder by split, or what `save_to_disk` of `datasets` left.

One decision: the files are chosen here once, and both reading and identity take this choice, so that a
digest covers exactly what is read. Links are followed; hidden files and files of other kinds are no data.
"""

import difflib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.readers.files import place_of, unreadable
from tasks.readers.source import SUFFIXES, DataError, Source
from tasks.readers.tables import suffix_of

_STATE, _SPLITS_FILE = "state.json", "dataset_dict.json"
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_REMEDY = "correct the source's path or split"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a source, under the name that it has within the source's folder."""

    name: str
    path: Path


def is_saved(place: Path) -> bool:
    """Whether a folder is what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote."""
    return (place / _STATE).is_file() or (place / _SPLITS_FILE).is_file()


def parts_of(source: Source, *, root: Path) -> tuple[Part, ...]:
    """The files that a source's path and split mean, in the order in which they are read.

    A folder whose files' names tell no splits apart is one split, and so is one file.

    Raises:
        DataError: if there is no such file, none of the split, or files of different kinds for it.
    """
    place = place_of(source, root=root)
    if place.is_file():
        return (Part(name="file", path=place),)
    if not place.is_dir():
        # A study that names a.jsonl means a.jsonl.gz where only that is there.
        if (zipped := place.with_name(f"{place.name}.gz")).is_file():
            return (Part(name="file", path=zipped),)
        near = difflib.get_close_matches(place.name, os.listdir(place.parent) if place.parent.is_dir() else (), n=1)
        raise DataError(
            str(place.absolute()),
            "no such file or folder",
            (f"did you mean {near[0]}? " if near else "")
            + f"the source's path is {source.path}"
            + (
                ""
                if place_of(source, root=Path()).is_absolute()
                else f", and it starts from data.root, {root.absolute()}"
            ),
        )
    return _saved(source, place) if is_saved(place) else _of_split(source, place)


def _saved(source: Source, place: Path) -> tuple[Part, ...]:
    folder = place
    if (place / _SPLITS_FILE).is_file():
        splits = _load(place / _SPLITS_FILE).get("splits", [])
        if source.split not in splits:
            raise DataError(f"{source.name}, split {source.split}", f"it has: {', '.join(map(str, splits))}", _REMEDY)
        folder = place / source.split
    listed = _load(folder / _STATE).get("_data_files", [])
    names = [entry["filename"] for entry in listed if isinstance(entry, dict) and "filename" in entry]
    parts = tuple(Part(name=name, path=folder / name) for name in names)
    if gone := [part.name for part in parts if not part.path.is_file()]:
        raise DataError(str(folder), f"its {_STATE} names {', '.join(gone)}, which is not there", "save it again")
    return parts


def _load(path: Path) -> dict[str, list[object]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(path, error=error) from error
    return found if isinstance(found, dict) else {}


def _of_split(source: Source, place: Path) -> tuple[Part, ...]:
    files = sorted(_files_below(place))
    if not files:
        raise DataError(f"{source.name}, {place}", "holds no file that can be read", f"files end in {_ENDINGS}")
    by_split: dict[str, list[str]] = {}
    for name in files:
        if split := _split_of(name, asked=source.split):
            by_split.setdefault(split, []).append(name)
    chosen = by_split.get(source.split, []) if by_split else files
    if not chosen:
        has = ", ".join(f"{split} ({names[0]})" for split, names in sorted(by_split.items()))
        raise DataError(f"{source.name}, split {source.split}", f"no file's name says so; it has: {has}", _REMEDY)
    kinds = sorted({suffix_of(Path(name)) for name in chosen})
    if len(kinds) > 1:
        raise DataError(
            f"{source.name}, split {source.split}",
            f"its files are of different kinds ({', '.join(chosen[:5])})",
            "the same rows may be there twice; name one file, or keep one kind in the folder",
        )
    return tuple(Part(name=name, path=place / name) for name in chosen)


def _files_below(place: Path) -> Iterator[str]:
    """Data files by their names below a folder; a folder that links lead back to is entered once."""
    entered: set[str] = set()
    for folder, within, names in os.walk(place, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:
            within.clear()
            continue
        entered.add(real)
        within[:] = sorted(name for name in within if name[0] not in "._")
        for name in names:
            path = Path(folder) / name
            if name[0] not in "._" and suffix_of(path) and path.is_file():
                yield path.relative_to(place).as_posix()


def _split_of(name: str, *, asked: str) -> str:
    """The split that a file's name says, else the nearest of its folders; empty if none does."""
    words = {**_WORDS, **({} if asked in _WORDS else {asked: (asked.lower(),)})}
    for part in reversed(name.lower().split("/")):
        told = set(re.findall(r"[a-z]+", part)) | {part.partition(".")[0]}
        for split, meaning in words.items():
            if told & set(meaning):
                return split
    return ""


_ENDINGS = ", ".join(SUFFIXES)

__all__ = ["Part", "is_saved", "parts_of"]
