"""Hugging Face data sets, from the hub or from a local folder that `datasets` can read.

One decision: rows are chosen by id before their text is worked on, so a limit of a thousand rows of
a quarter of a million costs a thousand rows.

The preset `codexglue-code-to-text` reads CodeXGLUE's layout (`code`, `docstring`, `language`), forwards
for summarization and backwards for generation (summary and signature to code, as the founding study
may have done). Python's `code` column holds the docstring, which is taken out first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.readers.docstrings import signature, summary, without_docstring
from tasks.readers.files import Fault, content_digest, locate_folder, place_of, refuse_faults
from tasks.readers.folders import is_saved, parts_of
from tasks.readers.hubload import load, pinned
from tasks.readers.reader import Reader, as_examples, dataset_name
from tasks.readers.sampling import first_by_hash
from tasks.readers.source import Columns, DataError, Source
from tasks.readers.tables import read_table
from tasks.records import Example, Language, Problem, Task, Track

if TYPE_CHECKING:
    from datasets import Dataset  # type: ignore[import-untyped, unused-ignore]

_Row = Mapping[str, Any]

_CODE_TO_TEXT = Columns(input="code", output="docstring")
_CODE_TO_TEXT_LANGUAGES = (Language.PYTHON, Language.JAVA)
# Where a function's documentation stands within it, and so in the data set's code too.
_DOCUMENTED_WITHIN = frozenset({Language.PYTHON})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """Rows that were read without `datasets`, asked for as its own are."""

    rows: Sequence[_Row]

    @property
    def column_names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> list[Any]:
        return [row.get(column) for row in self.rows]

    def select(self, indices: Iterable[int]) -> list[_Row]:
        return [self.rows[index] for index in indices]


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


def _chosen_rows(data: "Dataset | _Listed", *, source: Source, track: Track) -> list[tuple[str, _Row]]:
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


def _load(source: Source, *, root: Path) -> "Dataset | _Listed":
    if source.repository is not None:
        return load(source)
    place = place_of(source, root=root)
    if _is_listed(place):
        rows = [row.values for part in parts_of(source, root=root) for row in read_table(part.path)]
        return _Listed(rows=rows)
    return load(source, folder=locate_folder(source, root=root))


def _is_listed(place: Path) -> bool:
    """Whether a path is of a layout that `load_dataset` does not know: one file, or a saved data set."""
    return place.is_file() or is_saved(place)


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
        Fault(place=id_, said=f"{column} is {type(row.get(column)).__name__}, not text")
        for id_, row in rows
        for column in (columns.input, columns.output)
        if column is not None and not isinstance(row.get(column), str)
    ]
    refuse_faults(source.name, faults=faults, remedy="name columns that hold text in every row")
    language = str(track.source or track.target)
    if source.preset:
        others = [
            Fault(place=id_, said=str(row["language"]))
            for id_, row in rows
            if row.get("language", language) != language
        ]
        refuse_faults(source.name, faults=others, remedy=f"track {track} needs rows in {language}; set configuration")


def _pair(row: _Row, *, source: Source, track: Track) -> tuple[str, str]:
    if source.columns:
        assert source.columns.input and source.columns.output  # a source of this reader names both
        return row[source.columns.input], row[source.columns.output]
    language = track.source or track.target
    assert language is not None
    code = without_docstring(row["code"]) if language in _DOCUMENTED_WITHIN else row["code"]
    told = summary(row["docstring"])
    if track.task is Task.SUMMARIZATION:
        return code, told
    return f"{told}\n\n{signature(code, language=language)}".strip(), code


def _content(source: Source, root: Path) -> str | None:
    if source.repository is not None:
        return pinned(source)
    if _is_listed(place_of(source, root=root)):
        return content_digest((part.name, part.path) for part in parts_of(source, root=root))
    folder = locate_folder(source, root=root)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return content_digest((path.relative_to(folder).as_posix(), path) for path in files)


READER = Reader(version=1, examples=_examples, problems=_problems, content=_content)

__all__ = ["READER"]
