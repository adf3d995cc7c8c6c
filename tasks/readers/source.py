"""How a study names data, and the one error that every reader raises.

One decision: a source is checked as far as it can be without touching a disk or a network, so that a
study with a wrong source is refused before anything is read.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.records import Record

ReaderName = Literal[
    "micro",
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
    """Which columns of a hub data set hold what the model reads, what it should write, and the id.

    Without `id` a row's number in its split is its id.
    """

    input: str
    output: str
    id: str | None = None


class Source(Record):
    """Where data comes from and which reader knows its format.

    Attributes:
        reader: name of the reader.
        path: file or folder, relative to the study's data root (an absolute path is taken as it is).
        repository: id of a hub data set, instead of `path`; `hub` alone.
        revision: commit of the hub data set, 40 hexadecimal digits; a branch or a tag may move, so it
            does not pin anything and leaves `digest` unresolved, like None.
        configuration: name of the hub data set's configuration.
        split: `train`, `validation` or `test`; `prompt` too for `mbpp`; any name for `hub`. For `jsonl`
            it names the file in a folder (`train.jsonl`); a path that is a file is read as it is.
        limit: how many records to keep. They are the first `limit` in the order of the sha256 of
            their ids: a sample that depends neither on the file's order nor on a seed, and of which a
            smaller limit is a part. Without a limit records keep the file's order.
        columns: for `hub`, the columns to read.
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
        if self.reader == "hub":
            self._check_hub()
            return self
        hub_fields = ("repository", "revision", "configuration", "columns", "preset")
        given = [name for name in hub_fields if getattr(self, name) is not None]
        if given:
            raise DataError(", ".join(given), f"not read by reader {self.reader}", "leave out, or set reader: hub")
        if self.reader == "micro" and self.path is not None:
            raise DataError(f"path {self.path!r}", "reader micro makes its data itself", "leave path out")
        if self.reader != "micro" and self.path is None:
            raise DataError("path", f"missing, reader {self.reader} reads local files", "name a file or a folder")
        return self

    def _check_hub(self) -> None:
        if (self.path is None) == (self.repository is None):
            raise DataError(
                f"path {self.path!r} and repository {self.repository!r}",
                "reader hub reads exactly one of them",
                "set repository for a data set of the hub, path for a local folder",
            )
        if self.revision is not None and self.repository is None:
            raise DataError(f"revision {self.revision!r}", "a local folder has no revision", "leave revision out")
        if (self.columns is None) == (self.preset is None):
            raise DataError(
                "columns and preset",
                "reader hub needs exactly one of them",
                "set columns: {input: COLUMN, output: COLUMN} or preset: codexglue-code-to-text",
            )

    @property
    def name(self) -> str:
        """What errors call this source."""
        return f"{self.reader} source {self.repository or self.path or '(built in)'}"


__all__ = ["Columns", "DataError", "ReaderName", "Source"]
