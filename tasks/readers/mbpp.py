"""MBPP: 974 short Python problems, split by `task_id` as its authors do.

One decision: the text of most problems does not name the function that the tests call, so a model
reads the text and the first assert, with its set-up code where there is one (the one-shot part of the
authors' own prompt; InCoder's and BigCode's harnesses show the first assert too). The signature is
not shown: it would come from the reference, which is the answer. All asserts judge, the first one too.

Source: Austin et al. 2021, https://github.com/google-research/google-research/tree/master/mbpp. Its
`challenge_test_list` (11 problems) is not part of the published measure and is not read.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tasks.readers.files import content_digest, locate, read_rows
from tasks.readers.reader import Reader, as_examples, dataset_name
from tasks.readers.source import Source
from tasks.records import CodeTests, Example, Problem, Task, Track

_SPLITS = {"prompt": range(1, 11), "test": range(11, 511), "validation": range(511, 601), "train": range(601, 975)}


def _with_line_feeds(text: object) -> object:
    # 972 of the 974 programs were written with \r\n, and 4 of them end in a lone \r.
    return text.replace("\r\n", "\n").replace("\r", "\n") if isinstance(text, str) else text


_Text = Annotated[str, BeforeValidator(_with_line_feeds)]


class MbppRow(BaseModel):
    """One line of `mbpp.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: Annotated[int, Field(ge=1, le=974)]
    text: _Text
    code: _Text
    test_setup_code: _Text = ""
    test_list: Annotated[tuple[_Text, ...], Field(min_length=1)]


def _problem(row: MbppRow, *, track: Track, split: str) -> Problem:
    generation = track.task is Task.GENERATION
    tests = CodeTests(setup=row.test_setup_code, code="".join(f"{test.strip()}\n" for test in row.test_list))
    return Problem(
        id=f"mbpp/{track}/{row.task_id}",
        track=str(track),
        dataset=dataset_name("mbpp", split=split),
        input=_request(row) if generation else row.code,
        reference=row.code if generation else row.text,
        tests=tests if generation else None,
    )


def _request(row: MbppRow) -> str:
    shown = [row.test_setup_code.strip(), row.test_list[0].strip()]
    return f"{row.text.strip()}\nYour code should pass this test:\n" + "\n".join(part for part in shown if part)


def _problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    rows = read_rows(_file(source, root), row=MbppRow)
    return tuple(_problem(row, track=track, split=source.split) for row in rows if row.task_id in _SPLITS[source.split])


def _examples(source: Source, *, track: Track, root: Path) -> tuple[Example, ...]:
    return as_examples(_problems(source, track=track, root=root))


def _file(source: Source, root: Path) -> Path:
    return locate(source, root=root, name="mbpp.jsonl")


def _content(source: Source, root: Path) -> str:
    return content_digest([("file", _file(source, root))])


READER = Reader(
    version=1,
    tracks=("generation/python", "summarization/python"),
    splits=tuple(_SPLITS),
    examples=_examples,
    problems=_problems,
    content=_content,
    held_out=("test",),
    held_out_because="the test split is what published results are compared on",
)

__all__ = ["READER", "MbppRow"]
