"""Hugging Face data sets, from the hub or from a local folder that `datasets` can read.

One decision: rows are chosen by id before their text is worked on, so a limit of a thousand rows of
a quarter of a million costs a thousand rows.

The preset `codexglue-code-to-text` reads CodeXGLUE's layout (`code`, `docstring`, `language`), forwards
for summarization and backwards for generation (summary and signature to code, as the founding study
may have done). Python's `code` column holds the docstring, which is taken out first.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.readers.docstrings import signature, summary, without_docstring
from tasks.readers.files import content_digest, locate_folder, refuse_faults
from tasks.readers.reader import Reader, as_examples, dataset_name
from tasks.readers.sampling import first_by_hash
from tasks.readers.source import Columns, DataError, Source
from tasks.records import Example, Language, Problem, Task, Track

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped, unused-ignore]

_Row = Mapping[str, Any]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_CODE_TO_TEXT = Columns(input="code", output="docstring")
_CODE_TO_TEXT_LANGUAGES = (Language.PYTHON, Language.JAVA)
# Where a function's documentation stands within it, and so in the data set's code too.
_DOCUMENTED_WITHIN = frozenset({Language.PYTHON})


def _problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    _check_preset(source, track=track)
    data = _load(source, root=root)
    _check_columns(source.columns or _CODE_TO_TEXT, source=source, present=data.column_names)
    rows = _chosen_rows(data, source=source, track=track)
    _check_rows(rows, source=source, track=track)
    dataset = dataset_name(_name(source), split=source.split)
    problems = []
    for id_, row in rows:
        text, reference = _pair(row, source=source, track=track)
        problems.append(Problem(id=id_, track=str(track), dataset=dataset, input=text, reference=reference))
    return tuple(problems)


def _chosen_rows(data: "Dataset", *, source: Source, track: Track) -> list[tuple[str, _Row]]:
    id_column = source.columns.id if source.columns else None
    keys = range(len(data)) if id_column is None else data[id_column]
    ids = [f"{_name(source)}/{track}/{source.split}/{key}" for key in keys]
    chosen = range(len(ids)) if source.limit is None else first_by_hash(ids, limit=source.limit)
    return [(ids[index], row) for index, row in zip(chosen, data.select(chosen), strict=True)]


def _examples(source: Source, *, track: Track, root: Path) -> tuple[Example, ...]:
    return as_examples(_problems(source, track=track, root=root))


def _name(source: Source) -> str:
    base = source.repository or Path(source.path or "").name or "local"
    return f"{base}/{source.configuration}" if source.configuration else base


def _load(source: Source, *, root: Path) -> "Dataset":
    place = source.repository or str(locate_folder(source, root=root))
    # Imported here: it pulls in pyarrow and pandas, which reading a local file does not need.
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError  # type: ignore[import-untyped, unused-ignore]

    try:
        data = load_dataset(
            place, source.configuration, revision=source.revision, split=source.split, keep_in_memory=False
        )
    except (DatasetsError, OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"{source.name}, configuration {source.configuration}, split {source.split}",
            f"`datasets` cannot load it ({type(error).__name__}: {error})",
            "check the names and the network; a data set that was fetched before is read without one",
        ) from error
    _check_revision(source, data=data)
    return data


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


def _check_preset(source: Source, *, track: Track) -> None:
    language = track.source or track.target
    if source.preset and (track.task is Task.TRANSLATION or language not in _CODE_TO_TEXT_LANGUAGES):
        served = ", ".join(f"{task}/{lang}" for task in ("generation", "summarization") for lang in ("python", "java"))
        raise DataError(f"track {track}", f"preset {source.preset} cannot serve it", f"it serves: {served}")


def _check_columns(columns: Columns, *, source: Source, present: Sequence[str]) -> None:
    missing = [name for name in (columns.input, columns.output, columns.id) if name and name not in present]
    if missing:
        raise DataError(
            f"column {', '.join(missing)}", f"not in {source.name}", f"its columns are: {', '.join(present)}"
        )


def _check_rows(rows: Sequence[tuple[str, _Row]], *, source: Source, track: Track) -> None:
    columns = source.columns or _CODE_TO_TEXT
    faults = [
        f"{id_}: {column} is {type(row[column]).__name__}, not text"
        for id_, row in rows
        for column in (columns.input, columns.output)
        if not isinstance(row[column], str)
    ]
    refuse_faults(source.name, faults=faults, remedy="name columns that hold text in every row")
    language = str(track.source or track.target)
    if source.preset:
        others = [f"{id_}: {row['language']}" for id_, row in rows if row.get("language", language) != language]
        refuse_faults(source.name, faults=others, remedy=f"track {track} needs rows in {language}; set configuration")


def _pair(row: _Row, *, source: Source, track: Track) -> tuple[str, str]:
    if source.columns:
        return row[source.columns.input], row[source.columns.output]
    language = track.source or track.target
    assert language is not None
    code = without_docstring(row["code"]) if language in _DOCUMENTED_WITHIN else row["code"]
    told = summary(row["docstring"])
    if track.task is Task.SUMMARIZATION:
        return code, told
    return f"{told}\n\n{signature(code, language=language)}".strip(), code


def _content(source: Source, root: Path) -> str | None:
    if source.repository is None:
        folder = locate_folder(source, root=root)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return content_digest((path.relative_to(folder).as_posix(), path) for path in files)
    return f"{source.repository}@{source.revision}" if _is_pinned(source) else None


READER = Reader(version=1, examples=_examples, problems=_problems, content=_content)

__all__ = ["READER"]
