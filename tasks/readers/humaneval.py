"""HumanEval: 164 Python functions to complete, each with its own test code.

One decision: test code defines `check` and leaves its call, `check(entry_point)`, to whoever runs it,
as the file has it. HumanEvalPack's own trailing call is taken off, so that its checks do not run twice.

Source: Chen et al. 2021, https://github.com/openai/human-eval, data/HumanEval.jsonl.gz.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.readers.files import content_digest, locate, read_rows
from tasks.readers.reader import tests_alone
from tasks.readers.source import Source
from tasks.records import CodeTests, Problem, Track


class HumanEvalRow(BaseModel):
    """One line of the file; descendants of HumanEval add fields, which are not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: str
    prompt: str
    canonical_solution: str
    test: str
    entry_point: str


def check_tests(test: str, *, entry_point: str) -> CodeTests:
    """Test code that defines `check`, to be called once with the function under test."""
    code = test.strip().removesuffix(f"check({entry_point})").rstrip()
    return CodeTests(entry_point=entry_point, code=f"{code}\n")


def _problem(row: HumanEvalRow, *, track: Track) -> Problem:
    return Problem(
        id=row.task_id,
        track=str(track),
        dataset="humaneval",
        input=row.prompt,
        reference=row.prompt + row.canonical_solution,
        preamble=row.prompt,
        tests=check_tests(row.test, entry_point=row.entry_point),
    )


def _problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    return tuple(_problem(row, track=track) for row in read_rows(_file(source, root), row=HumanEvalRow))


def _file(source: Source, root: Path) -> Path:
    return locate(source, root=root, name="HumanEval.jsonl")


def _content(source: Source, root: Path) -> str:
    return content_digest([("file", _file(source, root))])


READER = tests_alone(
    version=1,
    tracks=("generation/python",),
    problems=_problems,
    content=_content,
    because="HumanEval and HumanEvalPack hold the same 164 programs and are for tests alone",
)

__all__ = ["READER", "HumanEvalRow", "check_tests"]
