"""Readers turn data sets into examples and problems; a study names data by a `Source`.

One decision: whatever reader a source names, the same checks stand around it here: the track is one
that the reader serves, held-out splits are not trained on, ids are unique and a read is never empty.

Ids are stable across machines and releases: `FAMILY/TRACK/...` where a family serves several tracks,
else the data set's own (`HumanEval/0`).
"""

import difflib
import json
from collections import Counter
from pathlib import Path
from typing import TypeVar

from tasks.readers import (
    codereval,
    codexglue,
    hub,
    humaneval,
    humaneval_plus,
    humaneval_x,
    humanevalpack,
    jsonl,
    mbpp,
    mbpp_plus,
    micro,
    multipl_e,
    mxeval,
    own,
)
from tasks.readers.reader import FirstRows, Reader
from tasks.readers.sampling import first_by_hash
from tasks.readers.source import Columns, DataError, ReaderName, Source
from tasks.records import Example, Problem, Track, neutral_fields

READERS: dict[ReaderName, Reader] = {
    "micro": micro.READER,
    "own": own.READER,
    "jsonl": jsonl.READER,
    "codexglue-translation": codexglue.READER,
    "humaneval": humaneval.READER,
    "humaneval-plus": humaneval_plus.READER,
    "mbpp": mbpp.READER,
    "mbpp-plus": mbpp_plus.READER,
    "codereval": codereval.READER,
    "humanevalpack": humanevalpack.READER,
    "humaneval-x": humaneval_x.READER,
    "mxeval": mxeval.READER,
    "multipl-e": multipl_e.READER,
    "hub": hub.READER,
}
READER_VERSIONS: dict[str, int] = {name: reader.version for name, reader in READERS.items()}

_Content = TypeVar("_Content", Example, Problem)


def read_examples(source: Source, *, track: Track, root: Path) -> tuple[Example, ...]:
    """Training or validation pairs of one track.

    Args:
        source: which data.
        track: what they are to teach.
        root: the study's data root, which `source.path` is relative to.

    Raises:
        DataError: if the data is absent or malformed, if the reader cannot serve the track, or if the
            data is held out for tests.
    """
    reader = READERS[source.reader]
    _check_request(source, reader=reader, track=track, training=True)
    return _finished(reader.examples(source, track=track, root=root), source=source, track=track)


def read_problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    """Evaluation items of one track, from any split.

    Args:
        source: which data.
        track: what they ask.
        root: the study's data root, which `source.path` is relative to.

    Raises:
        DataError: if the data is absent or malformed, or if the reader cannot serve the track.
    """
    reader = READERS[source.reader]
    _check_request(source, reader=reader, track=track, training=False)
    return _finished(reader.problems(source, track=track, root=root), source=source, track=track)


def read_first(source: Source, *, track: Track, root: Path, training: bool) -> FirstRows | None:
    """The first rows of local data in a form that anybody may have written, for a look before a run.

    None for data that is not looked at so: that of the hub, and published data sets.

    Raises:
        DataError: what `read_examples` (if `training`) or `read_problems` would say of those rows.
    """
    reader = READERS[source.reader]
    _check_request(source, reader=reader, track=track, training=training)
    if reader.first is None or source.repository is not None:
        return None
    return reader.first(source, track=track, root=root, training=training)


def digest(source: Source, *, root: Path) -> str | None:
    """Identity of what a source holds, known without reading its records and without a network.

    It covers the files' bytes (or the hub data set's commit), the reader's version, the split, and all
    that selects rows and columns, but not where files lie. None for hub data that no commit pins.

    Raises:
        DataError: if a local file is absent or cannot be read.
    """
    reader = READERS[source.reader]
    _check_split(source, reader=reader)
    content = reader.content(source, root)
    if content is None:
        return None
    apart = dict.fromkeys(("reader", "path", "repository", "revision"), True)
    selection = source.model_dump(mode="json", exclude_none=True, exclude=neutral_fields(source) | apart)
    return f"{source.reader}-v{reader.version} {content} {json.dumps(selection, sort_keys=True)}"


def _check_request(source: Source, *, reader: Reader, track: Track, training: bool) -> None:
    if reader.tracks and str(track) not in reader.tracks:
        raise DataError(
            f"track {track}", f"reader {source.reader} cannot serve it", f"it serves: {', '.join(reader.tracks)}"
        )
    all_held_out = bool(reader.splits) and set(reader.splits) <= set(reader.held_out)
    if training and (all_held_out or source.split in reader.held_out):
        others = [split for split in reader.splits if split not in reader.held_out]
        raise DataError(
            f"{source.name}, split {source.split}",
            f"cannot be trained on: {reader.held_out_because}",
            f"train on split {' or '.join(others)}" if others else "train on another data set",
        )
    _check_split(source, reader=reader)


def _check_split(source: Source, *, reader: Reader) -> None:
    if reader.splits and source.split not in reader.splits:
        close = difflib.get_close_matches(source.split, reader.splits, n=1)
        known = f"set split to one of: {', '.join(reader.splits)}"
        raise DataError(
            f"split {source.split!r}",
            f"{source.name} has no such split",
            f"did you mean {close[0]}? {known}" if close else known,
        )


def _finished(records: tuple[_Content, ...], *, source: Source, track: Track) -> tuple[_Content, ...]:
    """Check what a reader read, and apply the source's limit."""
    ids = [record.id for record in records]
    if not ids:
        raise DataError(f"{source.name}, split {source.split}", f"holds no record of {track}", "check file and split")
    if len(set(ids)) < len(ids):
        twice = [id_ for id_, count in Counter(ids).items() if count > 1]
        raise DataError(f"{source.name}, id {twice[0]!r}", f"{len(twice)} ids occur twice", "make ids unique")
    if source.limit is None:
        return records
    return tuple(records[index] for index in first_by_hash(ids, limit=source.limit))


__all__ = [
    "READERS",
    "READER_VERSIONS",
    "Columns",
    "DataError",
    "FirstRows",
    "ReaderName",
    "Source",
    "digest",
    "read_examples",
    "read_first",
    "read_problems",
]
