"""What the families with one file a language share: which file a track means, and their identity.

One decision: a path may name one language's file or the folder of all. Rows of another language than
the track's are left out, so that a wrong file is an empty read, which is refused, never a wrong test.
"""

from collections.abc import Mapping
from pathlib import Path

from tasks.readers.files import content_digest, locate, place_of
from tasks.readers.source import Source
from tasks.records import Language, Track


def language_of(track: Track) -> Language:
    """The language that a generation track writes."""
    assert track.target is not None
    return track.target


def locate_language(source: Source, *, root: Path, files: Mapping[Language, str], track: Track) -> Path:
    """The file of a track's language.

    Raises:
        DataError: if there is no such file.
    """
    return locate(source, root=root, name=files[language_of(track)])


def files_digest(source: Source, *, root: Path, files: Mapping[Language, str]) -> str:
    """Identity of a source: its one file, or those of the family's files that its folder holds.

    Raises:
        DataError: if there is none.
    """
    place = place_of(source, root=root)
    if not place.is_dir():
        return content_digest([("file", locate(source, root=root, name=""))])
    held = [name for name in files.values() if (place / name).is_file() or (place / f"{name}.gz").is_file()]
    return content_digest((name, locate(source, root=root, name=name)) for name in held or files.values())


__all__ = ["files_digest", "language_of", "locate_language"]
