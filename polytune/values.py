"""Python values as the files that the command line reads.

One decision: lists, dicts and data frames are written as JSON lines and read by the readers of the command line. So
a notebook gets the numbers and the refusals that a terminal gets, and there is one reader to trust.
"""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel

    Rows: TypeAlias = "str | Path | pd.DataFrame | Iterable[Mapping[str, Any] | BaseModel]"
    Texts: TypeAlias = "str | Path | pd.DataFrame | Iterable[str | None] | Iterable[Mapping[str, Any]]"

# Options whose arguments are called otherwise here; every other loses its dashes alone.
_ARGUMENTS = {"--id": "by", "--judge-url": "judge", "--judge-model": "judge"}
_OPTION = re.compile(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*")


@contextmanager
def as_files(**given: "Rows | Texts") -> Iterator[dict[str, Path]]:
    """Each value as a file: a path as it is, anything else as JSON lines of its name; faults name them so.

    Raises:
        PolytuneError: for what a reader refuses, in the words of Python's arguments.
    """
    with tempfile.TemporaryDirectory(prefix="polytune-") as folder, in_python(folder):
        yield {name: _as_file(value, Path(folder, f"{name}.jsonl")) for name, value in given.items()}


@contextmanager
def in_python(folder: str | None = None) -> Iterator[None]:
    """Let what is refused be told with arguments for options, and the name of a value for its file in a folder.

    Raises:
        PolytuneError: for whatever is refused.
    """
    from models.locations import ModelError
    from orchestrator.errors import InputError
    from tasks.readers import DataError

    try:
        yield
    except (DataError, InputError, ModelError) as error:
        message = str(error)
        if folder is not None:
            message = re.sub(rf"{re.escape(folder)}/(\w+)\.jsonl", r"\1", message)
        raise InputError(_OPTION.sub(_argument, message)) from None


def _argument(option: re.Match[str]) -> str:
    return _ARGUMENTS.get(option[0], option[0].removeprefix("--").replace("-", "_"))


def _as_file(value: "Rows | Texts", path: Path) -> Path:
    if isinstance(value, str | Path):
        return Path(value)
    rows = [json.dumps(_as_row(row)) + "\n" for row in _rows(value)]
    path.write_text("".join(rows), encoding="utf-8")
    return path


def _rows(value: Any) -> Iterable[Any]:
    """A frame's rows, an index that has names with them; anything else as it comes."""
    if not hasattr(value, "to_dict") or not hasattr(value, "columns"):
        return list(value)
    named = [name for name in value.index.names if name is not None and name not in value.columns]
    rows: list[dict[str, Any]] = (value.reset_index(level=named) if named else value).to_dict(orient="records")
    return rows


def _as_row(row: Any) -> dict[str, Any]:
    if hasattr(row, "model_dump"):
        row = row.model_dump(mode="json")
    if not isinstance(row, Mapping):
        row = {"text": row}
    return {str(name): _plain(cell) for name, cell in row.items()}


def _plain(cell: Any) -> Any:
    """A cell as JSON has it: what pandas holds for an absent one is null, NumPy's numbers are Python's."""
    if hasattr(cell, "tolist"):
        cell = cell.tolist()
    if cell is None or type(cell).__name__ in ("NAType", "NaTType") or cell != cell:
        return None
    if isinstance(cell, Mapping):
        return {str(name): _plain(part) for name, part in cell.items()}
    return [_plain(part) for part in cell] if isinstance(cell, list | tuple) else cell


__all__ = ["as_files", "in_python"]
