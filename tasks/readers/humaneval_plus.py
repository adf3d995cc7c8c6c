"""HumanEval+: HumanEval's 164 problems with about 80 times as many tests.

One decision: the prompt stays HumanEval's, so that what a model wrote for one can be judged by the other;
base and further inputs judge together, as "plus" scores are meant.

Source: `HumanEvalPlus.jsonl` of https://github.com/evalplus/humanevalplus_release, or the rows of the hub
data set evalplus/humanevalplus. See `tasks.readers.evalplus`.
"""

from tasks.readers.evalplus import Inputs, check_by_reference
from tasks.readers.humaneval import check_tests
from tasks.readers.reader import tests_in_one_file
from tasks.records import CodeTests, Problem, Track

# The root that a candidate finds need not be the reference's; any root will do.
_RIGHT = {"find_zero": "abs(sum(c * math.pow(out, k) for k, c in enumerate(i[0]))) <= _ATOL"}


class HumanEvalPlusRow(Inputs):
    """One line of either release."""

    task_id: str
    prompt: str
    canonical_solution: str
    entry_point: str


def _tests(row: HumanEvalPlusRow) -> CodeTests:
    if row.base_input is None:
        return check_tests(row.test or "", entry_point=row.entry_point).model_copy(update={"each_call": True})
    return check_by_reference(
        row,
        reference=row.prompt + row.canonical_solution,
        entry_point=row.entry_point,
        right=_RIGHT.get(row.entry_point, "_agrees(out, exp, _ATOL)"),
    )


def _problem(row: HumanEvalPlusRow, *, track: Track) -> Problem:
    return Problem(
        id=row.task_id,
        track=str(track),
        dataset="humaneval-plus",
        input=row.prompt,
        reference=row.prompt + row.canonical_solution,
        preamble=row.prompt,
        tests=_tests(row),
    )


READER = tests_in_one_file(
    version=2,
    name="HumanEvalPlus.jsonl",
    row=HumanEvalPlusRow,
    problem=_problem,
    because="HumanEval+ holds HumanEval's programs and is for tests alone",
)

__all__ = ["READER", "HumanEvalPlusRow"]
