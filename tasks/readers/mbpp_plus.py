"""MBPP+: 378 problems of MBPP with about 35 times as many tests.

One decision: a problem's id is `Mbpp/NUMBER` in both releases, as EvalPlus writes it, and its request is
the one that `tasks.readers.mbpp` makes or, in the raw release, the prompt that EvalPlus made.

Source: `MbppPlus.jsonl` of https://github.com/evalplus/mbppplus_release, or the rows of the hub data set
evalplus/mbppplus. See `tasks.readers.evalplus`.
"""

from pydantic import model_validator

from tasks.readers.evalplus import Inputs, check_by_reference
from tasks.readers.reader import tests_in_one_file
from tasks.records import CodeTests, Problem, Track

_TUPLES = "[tuple(a) for a in i]"
_INNER_TUPLES = "[[tuple(b) for b in a] for a in i]"
_FIRST_TUPLE = "[tuple(i[0]), *i[1:]]"
_ALL_TUPLES = "(t := lambda v: tuple(map(t, v)) if isinstance(v, list) else v)(i)"

# JSON has neither tuples nor sets nor complex numbers: which inputs had them, by problem.
_DECODED: dict[str, tuple[int, ...]] = {
    _TUPLES: (
        *(2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809),
    ),
    _INNER_TUPLES: (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780),
    "[[tuple(b) for b in i[0]], i[1]]": (75, 413, 444, 753),
    "[i[0], tuple(i[1])]": (106, 750),
    "[[set(b) if isinstance(b, list) and b else {} for b in i[0]]]": (115,),
    "(float(i[0]), complex(i[1]))": (124,),
    _FIRST_TUPLE: (250, 307, 405, 446, 617, 720, 763, 808),
    "[tuple(tuple(b) for b in a) for a in i]": (259, 401, 445),
    "[complex(i[0])]": (252,),
    "[tuple(tuple(b) if isinstance(b, list) else b for b in a) for a in i]": (278,),
    "[{key: tuple(value) for key, value in i[0].items()}, *i[1:]]": (722,),
    _ALL_TUPLES: (580, 615, 791),
}
_DECODED_OF = {number: expression for expression, numbers in _DECODED.items() for number in numbers}

# Problems whose text allows more than one answer.
_AGREES = "_agrees(out, exp, _ATOL)"
_SET_EQUAL = "set(out) == set(exp)"
_FOUND = (
    "out == (exp is not None and exp is not False) if isinstance(out, bool) else (out is not None) == (exp is not None)"
)
_RIGHT: dict[str, str] = {
    **dict.fromkeys(
        (
            *("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum"),
            *("intersection_array", "find_dissimilar", "Diff"),
        ),
        _SET_EQUAL,
    ),
    **dict.fromkeys(("check_str", "text_match_three", "text_starta_endb"), _FOUND),
    "are_equivalent": "True",
    "sum_div": f"{_AGREES} or out == 0",
    "surface_Area": (
        f"{_AGREES} or abs(out - round(i[0] ** 2 + 2 * i[0] * math.sqrt((i[0] / 2) ** 2 + i[1] ** 2))) <= _ATOL"
    ),
    "digit_distance_nums": (
        f"{_AGREES} or out == sum(abs(int(a) - int(b)) for w in [max(len(str(n)) for n in i)] "
        "for a, b in zip(str(i[0]).zfill(w), str(i[1]).zfill(w)))"
    ),
}


class MbppPlusRow(Inputs):
    """One line of either release: the hub's has `code` and `test`, the raw one `canonical_solution` and inputs."""

    task_id: int | str
    prompt: str
    code: str = ""
    canonical_solution: str = ""
    entry_point: str = ""
    test_imports: tuple[str, ...] = ()
    test_list: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """MBPP's own number."""
        return int(str(self.task_id).rpartition("/")[2])

    @property
    def solution(self) -> str:
        """The release's own answer."""
        return self.canonical_solution or self.code

    @model_validator(mode="after")
    def _is_whole(self) -> "MbppPlusRow":
        if not str(self.task_id).rpartition("/")[2].isdigit():
            raise ValueError(f"task_id {self.task_id!r} must be a number or Mbpp/NUMBER")
        if not self.solution.strip():
            raise ValueError("neither code nor canonical_solution")
        if self.base_input and not self.entry_point:
            raise ValueError("base_input without entry_point")
        return self


def _tests(row: MbppPlusRow) -> CodeTests:
    if row.base_input is None:
        setup = "\n".join(row.test_imports)
        return CodeTests(setup=setup, code=f"{(row.test or '').strip()}\n", each_call=True)
    return check_by_reference(
        row,
        reference=row.solution,
        entry_point=row.entry_point,
        decoded=_DECODED_OF.get(row.number, "i"),
        right=_RIGHT.get(row.entry_point, _AGREES),
    )


def _request(row: MbppPlusRow) -> str:
    if not row.test_list:
        return row.prompt
    shown = "\n".join((*row.test_imports, row.test_list[0].strip()))
    return f"{row.prompt.strip()}\nYour code should pass this test:\n{shown}"


def _problem(row: MbppPlusRow, *, track: Track) -> Problem:
    return Problem(
        id=f"Mbpp/{row.number}",
        track=str(track),
        dataset="mbpp-plus",
        input=_request(row),
        reference=row.solution,
        tests=_tests(row),
    )


READER = tests_in_one_file(
    version=2,
    name="MbppPlus.jsonl",
    row=MbppPlusRow,
    problem=_problem,
    because="MBPP+ holds MBPP's test programs and is for tests alone",
)

__all__ = ["READER", "MbppPlusRow"]
