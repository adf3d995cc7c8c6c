"""EvalPlus: HumanEval and MBPP with many more tests, in its two published forms.

One decision: the raw release holds inputs without outputs, and a reader runs no data set's code; so the
tests that it becomes carry the reference solution, which the sandbox's judge runs beside the candidate,
input by input. The other form, on the hub, holds check code with the outputs written out, used as it is.
In both, limits of time hold for each input, as EvalPlus has it.

Source: Liu et al. 2023, https://github.com/evalplus/evalplus, version 0.3.1: tolerances, special oracles
and the types that MBPP+'s inputs lose in JSON are those of its `eval` and `data` modules.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from tasks.records import CodeTests


class Inputs(BaseModel):
    """What the raw release gives instead of check code."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    base_input: tuple[JsonValue, ...] | None = None
    plus_input: tuple[JsonValue, ...] = ()
    atol: float = Field(default=0.0, ge=0)
    test: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _absent_inputs_are_none(cls, row: Any) -> Any:
        # MBPP+ has `{}` where a problem has no further inputs.
        if isinstance(row, dict) and row.get("plus_input") in ({}, None):
            row = {**row, "plus_input": []}
        return row

    @model_validator(mode="after")
    def _something_judges(self) -> "Inputs":
        if self.test is None and not self.base_input:
            raise ValueError("neither test nor base_input; one of them must say what to check")
        return self

    @property
    def inputs(self) -> tuple[JsonValue, ...]:
        """Every argument list, the original problem's first."""
        return (*(self.base_input or ()), *self.plus_input)


# Nothing but `check` is named at the top: a function under test may be called `copy`, `json` or `reference`, and
# where tests run in the program's own process its names are these names' neighbours.
_CHECK = """\
def check(candidate):
    import copy
    import json
    import math

    _ATOL = {atol!r}
    kept = globals().get("__kept__", {{}})
    names = {{}}
    exec({reference!r}, names)
    reference = names[{entry_point!r}]

    def _floats(value):
        several = isinstance(value, (list, tuple)) and value and all(isinstance(item, float) for item in value)
        return isinstance(value, float) or several

    def _close(out, exp, atol):
        if isinstance(exp, (list, tuple)):
            return len(out) == len(exp) and all(_close(o, e, atol) for o, e in zip(out, exp))
        return out == exp or abs(out - exp) <= atol + 1e-7 * abs(exp)

    def _agrees(out, exp, atol):
        atol = 1e-6 if atol == 0 and _floats(exp) else atol
        return out == exp or (atol != 0 and type(out) is type(exp) and _close(out, exp, atol))

    def _decoded(i):
        return {decoded}

    def _right(i, out, exp):
        return {right}

    def _expected(number, i):
        if number in kept:
            return kept[number]
        exp = reference(*copy.deepcopy(i))
        if isinstance(exp, (int, float, type(None))) or isinstance(exp, (str, tuple)) and len(exp) < 1000:
            kept[number] = exp
        return exp

    for number, raw in enumerate(json.loads({inputs!r})):
        i = _decoded(raw)
        exp = _expected(number, i)
        out = candidate(*copy.deepcopy(i))
        assert _right(i, out, exp), f"input {{number}}: returned {{out!r:.80}}, the reference {{exp!r:.80}}"
"""


def check_by_reference(
    row: Inputs, *, reference: str, entry_point: str, decoded: str = "i", right: str = "_agrees(out, exp, _ATOL)"
) -> CodeTests:
    """Test code that asks the reference what each input should give.

    Args:
        row: the inputs.
        reference: a whole program that defines `entry_point`.
        entry_point: the function under test.
        decoded: an expression for the arguments of input `i` as JSON holds them.
        right: an expression for whether `out` is right for the arguments `i`, where the reference gives `exp`.
    """
    code = _CHECK.format(
        reference=reference,
        inputs=json.dumps(row.inputs),
        atol=row.atol,
        entry_point=entry_point,
        decoded=decoded,
        right=right,
    )
    return CodeTests(entry_point=entry_point, code=code, each_call=True)


__all__ = ["Inputs", "check_by_reference"]
