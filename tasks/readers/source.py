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
OWN = "own"
"""The reader of a source that names none."""
# Readers that take a data set of the hub in place of a path.
_OF_HUB = (OWN, "hub")


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

    For `hub`, `input` and `output` are needed. For `own` any may be left out that has a usual name. A name with dots
    leads into objects, as in `meta.code`.
    """

    input: str | None = Field(default=None, examples=["java"])
    """Column that the model reads."""

    output: str | None = Field(default=None, examples=["cs"])
    """Column that the model should write; of a test problem, the reference."""

    id: str | None = Field(default=None, examples=["id"])
    """Column that identifies a row. For `hub` a row's number in its split does without it."""

    tests: str | None = Field(default=None, examples=["test_list"], json_schema_extra={"since": 2})
    """Column of what judges an answer by running it."""

    entry_point: str | None = Field(default=None, examples=["entry_point"], json_schema_extra={"since": 2})
    """Column of the function that tests call."""

    setup: str | None = Field(default=None, examples=["test_setup_code"], json_schema_extra={"since": 2})
    """Column of code that tests need before them."""

    preamble: str | None = Field(default=None, examples=["prompt"], json_schema_extra={"since": 2})
    """Column of code that an answer follows on from; it may be the column of `input`."""

    track: str | None = Field(default=None, examples=["track"], json_schema_extra={"since": 2})
    """Column of the row's track, where a file holds several."""


class Source(Record):
    """Where data comes from and which reader knows its format.

    A text in place of this block is the name of a reader that needs no settings, `hub:OWNER/NAME` with or without
    `@COMMIT`, or the path of a file or folder of one's own.
    """

    reader: ReaderName = Field(examples=["mbpp"])
    """Name of the reader, that is of the format. `own` takes files of one's own and data sets of the hub by their
    columns; it is meant where a block with a `path` or a `repository` names no reader. `micro` is the built-in suite,
    `jsonl` our own format, and the others are public data sets by name."""

    path: str | None = Field(default=None, examples=["mbpp/mbpp.jsonl.gz"])
    """File or folder, relative to `data.root`; an absolute path is taken as it is."""

    repository: str | None = Field(default=None, examples=["google/code_x_glue_cc_code_to_code_trans"])
    """Id of a data set on the Hugging Face hub, in place of `path`; for `own` and `hub` alone."""

    revision: str | None = Field(default=None, examples=["0123456789abcdef0123456789abcdef01234567"])
    """Commit of the hub data set, 40 hexadecimal digits. A branch or a tag may move, so it pins nothing, and a plan
    lists the data as unresolved, as it does without a revision."""

    configuration: str | None = Field(default=None, examples=["python"])
    """Name of the hub data set's configuration."""

    split: str = Field(default="train", examples=["test"])
    """`train`, `validation` or `test`; `prompt` too for `mbpp`; any name for `hub`. For `jsonl` it names the file in a
    folder (`train.jsonl`); a path that is a file is read as it is. For `own` it chooses a folder's files, by their
    names. In a study it is the role (`train`, `validation` or `test`) unless it is given."""

    limit: Annotated[int, Field(ge=1)] | None = Field(default=None, examples=[300])
    """How many records to keep: the first in the order of the SHA-256 of their ids, a sample that depends neither on
    the file's order nor on a seed, and of which a smaller limit is a part. In a study it is `data.train_limit`,
    `data.validation_limit` or `data.test_limit` unless it is given. Without any, all are kept in the file's order."""

    columns: Columns | None = Field(default=None, examples=[{"input": "java", "output": "cs", "id": "id"}])
    """For `own` and `hub`: the columns to read."""

    preset: Literal["codexglue-code-to-text"] | None = None
    """For `hub`: a known layout in place of `columns`."""

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
        if self.reader == OWN:
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
        return {"reader": OWN, **named, **rest}
    return short


def _of_text(text: str, *, root: str) -> dict[str, Any]:
    if text.startswith(_HUB):
        return {"reader": OWN, **_of_hub(text)}
    if text not in get_args(ReaderName) and _is_path(text, root=root):
        return {"reader": OWN, "path": text}
    return {"reader": text}


def _of_hub(text: str) -> dict[str, Any]:
    repository, _, revision = text.removeprefix(_HUB).partition("@")
    return {"repository": repository, **({"revision": revision} if revision else {})}


def _is_path(text: str, *, root: str) -> bool:
    if text[:1] in ("~", "$", ".") or "/" in text:
        return True
    named = re.fullmatch(rf".+({'|'.join(map(re.escape, SUFFIXES))})(\.gz)?", text, re.IGNORECASE)
    return named is not None or (Path(os.path.expanduser(root)) / text).exists()


__all__ = ["OWN", "SUFFIXES", "Columns", "DataError", "ReaderName", "Source", "written_out"]
