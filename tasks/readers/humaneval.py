"""HumanEval: 164 Python functions to complete, each with its own test code.

One decision: test code defines `check` and leaves its call, `check(entry_point)`, to whoever runs it,
as the file has it. HumanEvalPack's own trailing call is taken off, so that its checks do not run twice.

Source: Chen et al. 2021, https://github.com/openai/human-eval, data/HumanEval.jsonl.gz.
"""

from pydantic import BaseModel, ConfigDict

from tasks.readers.reader import tests_in_one_file
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


READER = tests_in_one_file(
    version=1,
    name="HumanEval.jsonl",
    row=HumanEvalRow,
    problem=_problem,
    because="HumanEval and HumanEvalPack hold the same 164 programs and are for tests alone",
)

__all__ = ["READER", "HumanEvalRow", "check_tests"]
