"""How a study names data, and the one error that every reader raises.

One decision: a source is checked as far as it can be without touching a disk or a network, so that a
study with a wrong source is refused before anything is read.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from tasks.records import Record

ReaderName = Literal[
    "micro",
    "own",
    "jsonl",
    "codexglue-translation",
    "humaneval",
    "humaneval-plus",
    "humaneval-x",
    "humanevalpack",
    "mbpp",
    "mbpp-plus",
    "mxeval",
    "multipl-e",
    "codereval",
    "hub",
]
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".feather")
"""What the name of a file of rows ends in; a `.gz` may follow."""
_HUB = "hub:"
# Readers that take a data set of the hub in place of a path.
_OF_HUB = ("own", "hub")


class DataError(ValueError):
    """Data that cannot be read: the value at fault, the rule that it breaks and the remedy.

    The arguments are positional because exceptions are rebuilt from `args` when they cross processes.
    """

    def __init__(self, value: str, rule: str, remedy: str) -> None:
        super().__init__(value, rule, remedy)
        self.value = value
        self.rule = rule
        self.remedy = remedy

    def __str__(self) -> str:
        # A rule that lists a file's faults has lines of its own.
        separator = "\n" if "\n" in self.rule else "; "
        return f"{self.value}: {self.rule}{separator}{self.remedy}"


class Columns(Record):
    """Which columns hold what the model reads, what it should write, and the rest of a test problem.

    For `hub`, `input` and `output` are needed; without `id` a row's number in its split is its id. For `own`
    any may be left out that has a usual name. A name with dots leads into objects, as in `meta.code`.

    Attributes:
        input: what the model reads.
        output: what it should write; of a test problem, the reference.
        id: what identifies a row.
        tests: what judges an answer by running it.
        entry_point: the function that tests call.
        setup: code that tests need before them.
        preamble: code that an answer follows on from; may be the column of `input`.
        track: the row's track, where a file holds several.
    """

    input: str | None = None
    output: str | None = None
    id: str | None = None
    tests: str | None = Field(default=None, json_schema_extra={"since": 2})
    entry_point: str | None = Field(default=None, json_schema_extra={"since": 2})
    setup: str | None = Field(default=None, json_schema_extra={"since": 2})
    preamble: str | None = Field(default=None, json_schema_extra={"since": 2})
    track: str | None = Field(default=None, json_schema_extra={"since": 2})


class Source(Record):
    """Where data comes from and which reader knows its format.

    Attributes:
        reader: name of the reader.
        path: file or folder, relative to the study's data root (an absolute path is taken as it is).
        repository: id of a hub data set, instead of `path`; `own` and `hub` alone.
        revision: commit of the hub data set, 40 hexadecimal digits; a branch or a tag may move, so it
            does not pin anything and leaves `digest` unresolved, like None.
        configuration: name of the hub data set's configuration.
        split: `train`, `validation` or `test`; `prompt` too for `mbpp`; any name for `hub`. For `jsonl`
            it names the file in a folder (`train.jsonl`); a path that is a file is read as it is. For `own`
            it chooses a folder's files, by their names.
        limit: how many records to keep. They are the first `limit` in the order of the sha256 of
            their ids: a sample that depends neither on the file's order nor on a seed, and of which a
            smaller limit is a part. Without a limit records keep the file's order.
        columns: for `own` and `hub`, the columns to read.
        preset: for `hub`, a known layout instead of `columns`.
    """

    reader: ReaderName
    path: str | None = None
    repository: str | None = None
    revision: str | None = None
    configuration: str | None = None
    split: str = "train"
    limit: Annotated[int, Field(ge=1)] | None = None
    columns: Columns | None = None
    preset: Literal["codexglue-code-to-text"] | None = None

    @model_validator(mode="after")
    def _fields_suit_the_reader(self) -> "Source":
        if self.reader in _OF_HUB:
            self._check_hub()
            return self
        hub_fields = ("repository", "revision", "configuration", "columns", "preset")
        given = [name for name in hub_fields if getattr(self, name) is not None]
        if given:
            raise DataError(
                ", ".join(given), f"not read by reader {self.reader}", "leave out, or set reader: hub, or reader: own"
            )
        if self.reader == "micro" and self.path is not None:
            raise DataError(f"path {self.path!r}", "reader micro makes its data itself", "leave path out")
        if self.reader != "micro" and self.path is None:
            raise DataError("path", f"missing, reader {self.reader} reads local files", "name a file or a folder")
        return self

    def _check_hub(self) -> None:
        if (self.path is None) == (self.repository is None):
            raise DataError(
                f"path {self.path!r} and repository {self.repository!r}",
                f"reader {self.reader} reads exactly one of them",
                "set repository for a data set of the hub, path for a local file or folder",
            )
        if self.revision is not None and self.repository is None:
            raise DataError(f"revision {self.revision!r}", "a local folder has no revision", "leave revision out")
        if self.reader == "own":
            self._check_own()
        elif (self.columns is None) == (self.preset is None):
            raise DataError(
                "columns and preset",
                "reader hub needs exactly one of them",
                "set columns: {input: COLUMN, output: COLUMN} or preset: codexglue-code-to-text, or leave reader out: "
                "usual column names are recognised",
            )
        elif self.columns is not None and (self.columns.input is None or self.columns.output is None):
            raise DataError(
                "columns", "reader hub needs input and output", "set columns: {input: COLUMN, output: COLUMN}"
            )

    def _check_own(self) -> None:
        if self.preset is not None:
            raise DataError(f"preset {self.preset}", "not read by reader own", "leave out, or set reader: hub")
        if self.configuration is not None and self.repository is None:
            raise DataError(
                f"configuration {self.configuration!r}", "local files have none", "leave out, or name the files"
            )

    @property
    def name(self) -> str:
        """What errors call this source."""
        return f"{self.reader} source {self.repository or self.path or '(built in)'}"


def written_out(short: Any, *, root: str = ".") -> Any:
    """A source's short form as the long one; what is no short form comes back as it is.

    A text is a reader's name, `hub:OWNER/NAME` with or without `@COMMIT`, or the path of a file or a folder
    below the data root `root`. A mapping that names no reader is of the reader `own`.
    """
    if isinstance(short, str):
        return _of_text(short, root=root)
    if isinstance(short, Mapping) and "reader" not in short and {"path", "repository"} & short.keys():
        path = short.get("path")
        named = _of_hub(path) if isinstance(path, str) and path.startswith(_HUB) else {}
        rest = {key: value for key, value in short.items() if not (named and key == "path")}
        return {"reader": "own", **named, **rest}
    return short


def _of_text(text: str, *, root: str) -> dict[str, Any]:
    if text.startswith(_HUB):
        return {"reader": "own", **_of_hub(text)}
    if text not in get_args(ReaderName) and _is_path(text, root=root):
        return {"reader": "own", "path": text}
    return {"reader": text}


def _of_hub(text: str) -> dict[str, Any]:
    repository, _, revision = text.removeprefix(_HUB).partition("@")
    return {"repository": repository, **({"revision": revision} if revision else {})}


def _is_path(text: str, *, root: str) -> bool:
    if text[:1] in ("~", "$", ".") or "/" in text:
        return True
    named = re.fullmatch(rf".+({'|'.join(map(re.escape, SUFFIXES))})(\.gz)?", text, re.IGNORECASE)
    return named is not None or (Path(os.path.expanduser(root)) / text).exists()


__all__ = ["SUFFIXES", "Columns", "DataError", "ReaderName", "Source", "written_out"]
