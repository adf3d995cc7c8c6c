"""What `datasets` loads: data sets of the hub, and local folders in its own layouts.

One decision: a name must mean one thing. A local folder is given by its whole path, since a bare name may be
one of the library's builders (`json` reads every JSON file around); and a hub name that is also a folder here
is refused, since the library would read the folder.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.readers.folders import parts_of
from tasks.readers.source import DataError, Source
from tasks.readers.tables import read_table

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped, unused-ignore]

_COMMIT = re.compile(r"[0-9a-f]{40}")


def load(source: Source, *, folder: Path | None = None) -> "Dataset":
    """The rows of a source's split, from a local `folder` or, without one, from the hub.

    Raises:
        DataError: if it cannot be loaded; of a local folder, with the file and the line where that can be found.
    """
    # Imported here: it pulls in pyarrow and pandas, which reading a local file does not need.
    from datasets import load_dataset
    from datasets.data_files import EmptyDatasetError  # type: ignore[import-untyped, unused-ignore]
    from datasets.exceptions import DatasetsError  # type: ignore[import-untyped, unused-ignore]

    place = str(folder.absolute()) if folder else _repository(source)
    try:
        data = load_dataset(
            place, source.configuration, revision=source.revision, split=source.split, keep_in_memory=False
        )
    except EmptyDatasetError as error:
        raise DataError(
            f"{source.name}, {place}",
            "`datasets` finds no data there: it follows no linked folders and takes [, * and ? for patterns",
            "leave out reader: hub, and the files are read without it",
        ) from error
    except (DatasetsError, OSError, RuntimeError, ValueError) as error:
        raise _refusal(source, folder, error) from error
    _check_revision(source, data=data)
    return data


def pinned(source: Source) -> str | None:
    """Identity of a hub data set, None if no commit pins it."""
    return f"{source.repository}@{source.revision}" if _is_pinned(source) else None


def _repository(source: Source) -> str:
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES  # type: ignore[import-untyped, unused-ignore]

    name = source.repository or ""
    if name in _PACKAGED_DATASETS_MODULES:
        raise DataError(f"repository {name!r}", "is a file form of `datasets`, no data set", "name OWNER/NAME")
    if Path(name).exists():
        raise DataError(
            f"repository {name!r}",
            "is also a folder here, which `datasets` would read in place of the hub's",
            f"set path: ./{name} to read the folder; to read the hub's, start from another working directory",
        )
    return name


def _refusal(source: Source, folder: Path | None, error: BaseException) -> DataError:
    """What to say of a load that failed; our own reading finds the broken line, if there is one."""
    if folder is not None:
        try:
            parts = parts_of(source.model_copy(update={"path": str(folder.absolute())}), root=folder)
        except DataError:
            parts = ()
        try:
            for part in parts:
                read_table(part.path)
        except DataError as found:
            return found
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    because = "" if cause is error else f"; {type(cause).__name__}: {cause}"
    return DataError(
        f"{source.name}, configuration {source.configuration}, split {source.split}",
        f"`datasets` cannot load it ({type(error).__name__}: {error}{because})",
        "check the files, or leave out reader: hub, and they are read without it"
        if folder
        else "check the names and the network; a data set that was fetched before is read without one",
    )


def _check_revision(source: Source, *, data: "Dataset") -> None:
    # Where the hub cannot be reached, datasets 5.2 takes whatever revision it fetched last and only
    # warns (CachedDatasetModuleFactory). A cached split lies in a folder named after its commit.
    if not _is_pinned(source):
        return
    others = {Path(file["filename"]).parent.name for file in data.cache_files} - {source.revision}
    if others:
        raise DataError(
            f"{source.name}, revision {source.revision}",
            f"the hub cannot be reached, and the copy that was fetched before is {', '.join(sorted(others))}",
            "read it once with a network",
        )


def _is_pinned(source: Source) -> bool:
    return source.revision is not None and _COMMIT.fullmatch(source.revision) is not None


__all__ = ["load", "pinned"]
