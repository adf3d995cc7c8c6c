"""Pipelines over a list of integers: filters, maps, reorderings and a result.

Python rebinds a list step by step, Java chains a stream (broken where it must reverse) and C#
chains LINQ: each the way the language is usually written.
"""

import random

from tasks.micro.program import NAMES, WRITTEN, Drawn, Program, Step, draw, function, recipe
from tasks.records import Language, Parameter, ValueType

_PY, _JAVA, _CS = Language.PYTHON, Language.JAVA, Language.CSHARP


def _filter(kind: str, condition: str, phrases: tuple[str, ...], constants: tuple[int, ...] = ()) -> Step:
    code = {
        _PY: f"numbers = [x for x in numbers if {condition}]",
        _JAVA: f".filter(x -> {condition})",
        _CS: f".Where(x => {condition})",
    }
    return Step(kind=kind, phrases=phrases, code=code, constants=constants)


def _map(kind: str, value: str, phrases: tuple[str, ...], constants: tuple[int, ...] = ()) -> Step:
    absolute = {_PY: "abs(x)", _JAVA: "Math.abs(x)", _CS: "Math.Abs(x)"}
    said = {language: absolute[language] if value == "abs" else value for language in WRITTEN}
    code = {
        _PY: f"numbers = [{said[_PY]} for x in numbers]",
        _JAVA: f".map(x -> {said[_JAVA]})",
        _CS: f".Select(x => {said[_CS]})",
    }
    return Step(kind=kind, phrases=phrases, code=code, constants=constants)


def _order(kind: str, python: str, java: str, csharp: str, phrases: tuple[str, ...], most: int = 0) -> Step:
    code = {_PY: f"numbers = {python}", _JAVA: java, _CS: csharp}
    return Step(kind=kind, phrases=phrases, code=code, constants=tuple(range(1, most + 1)))


_REVERSE = "reverse"
_LIMITS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20)
_STEPS = (
    _filter("even", "x % 2 == 0", ("keep the even numbers", "keep only even numbers", "drop the odd numbers")),
    _filter("odd", "x % 2 != 0", ("keep the odd numbers", "keep only odd numbers", "drop the even numbers")),
    _filter("positive", "x > 0", ("keep the positive numbers", "keep only positive numbers")),
    _filter("negative", "x < 0", ("keep the negative numbers", "keep only negative numbers")),
    _filter("above", "x > {k}", ("keep the numbers greater than {k}", "keep only numbers above {k}"), _LIMITS),
    _filter("below", "x < {k}", ("keep the numbers less than {k}", "keep only numbers below {k}"), _LIMITS),
    _filter("multiple", "x % {k} == 0", ("keep the multiples of {k}", "keep numbers divisible by {k}"), (3, 4, 5, 7)),
    _filter(
        "not_multiple", "x % {k} != 0", ("remove the multiples of {k}", "drop numbers divisible by {k}"), (3, 4, 5)
    ),
    _map("add", "x + {k}", ("add {k} to each number", "increase each number by {k}"), tuple(range(1, 10))),
    _map("subtract", "x - {k}", ("subtract {k} from each number", "decrease each number by {k}"), tuple(range(1, 10))),
    _map("multiply", "x * {k}", ("multiply each number by {k}", "scale each number by {k}"), (2, 3, 4, 5, 6)),
    _map("square", "x * x", ("square each number", "replace each number by its square")),
    _map("negate", "-x", ("negate each number", "flip the sign of each number")),
    _map("absolute", "abs", ("take the absolute value of each number", "make each number non-negative")),
    _order(
        "ascending", "sorted(numbers)", ".sorted()", ".OrderBy(x => x)", ("sort in ascending order", "sort upwards")
    ),
    _order(
        "descending",
        "sorted(numbers, reverse=True)",
        ".sorted(Comparator.reverseOrder())",
        ".OrderByDescending(x => x)",
        ("sort in descending order", "sort downwards"),
    ),
    _order(_REVERSE, "numbers[::-1]", "", ".Reverse()", ("reverse the order", "put them in reverse order")),
    _order(
        "distinct",
        "list(dict.fromkeys(numbers))",
        ".distinct()",
        ".Distinct()",
        ("remove duplicates", "keep the first of equal numbers"),
    ),
    _order("take", "numbers[:{k}]", ".limit({k})", ".Take({k})", ("take the first {k}", "keep only the first {k}"), 5),
    _order("drop", "numbers[{k}:]", ".skip({k})", ".Skip({k})", ("skip the first {k}", "drop the first {k}"), 3),
)


def _result(kind: str, python: str, java: str, csharp: str, phrases: tuple[str, ...]) -> Step:
    return Step(kind=kind, phrases=phrases, code={_PY: python, _JAVA: java, _CS: csharp})


_RESULTS: tuple[tuple[ValueType, Step], ...] = (
    (
        "list[int]",
        _result("list", "numbers", ".collect(Collectors.toList())", ".ToList()", ("the list", "the numbers")),
    ),
    ("int", _result("sum", "sum(numbers)", ".mapToInt(x -> x).sum()", ".Sum()", ("the sum", "their total"))),
    ("int", _result("count", "len(numbers)", "(int) .count()", ".Count()", ("the count", "how many there are"))),
    (
        "int",
        _result(
            "max",
            "max(numbers, default=0)",
            ".mapToInt(x -> x).max().orElse(0)",
            ".DefaultIfEmpty(0).Max()",
            ("the maximum or 0", "the largest, or 0 if none is left"),
        ),
    ),
    (
        "int",
        _result(
            "min",
            "min(numbers, default=0)",
            ".mapToInt(x -> x).min().orElse(0)",
            ".DefaultIfEmpty(0).Min()",
            ("the minimum or 0", "the smallest, or 0 if none is left"),
        ),
    ),
    (
        "bool",
        _result("any", "len(numbers) > 0", ".count() > 0", ".Any()", ("whether any is left", "if any number is left")),
    ),
)


def _python(steps: list[Drawn], result: Drawn) -> list[str]:
    return [*(s.fragment(_PY) for s in steps), f"return {result.fragment(_PY)}"]


def _java(steps: list[Drawn], result: Drawn) -> list[str]:
    lines: list[str] = []
    source, chain = "numbers", ""
    for step in steps:
        if step.kind != _REVERSE:
            chain += step.fragment(_JAVA)
            continue
        held = f"{source}.stream(){chain}.collect(Collectors.toList())" if chain else f"new ArrayList<>({source})"
        declared = "List<Integer> result" if source == "numbers" else "result"
        if chain or source == "numbers":
            lines.append(f"{declared} = {held};")
        lines.append("Collections.reverse(result);")
        source, chain = "result", ""
    if not chain and source == "result" and result.kind == "list":
        return [*lines, "return result;"]
    cast = "(int) " if result.kind == "count" else ""
    end = result.fragment(_JAVA).removeprefix("(int) ")
    return [*lines, f"return {cast}{source}.stream(){chain}{end};"]


def _csharp(steps: list[Drawn], result: Drawn) -> list[str]:
    # List<T>.Reverse() is void, so a chain that opens with it goes through AsEnumerable().
    opening = ".AsEnumerable()" if steps[0].kind == _REVERSE else ""
    return [f"return numbers{opening}{''.join(s.fragment(_CS) for s in steps)}{result.fragment(_CS)};"]


def _numbers(rng: random.Random) -> tuple[object, ...]:
    size = rng.randrange(3, 9)
    values = [rng.randrange(-12, 31) for _ in range(size)]
    if rng.random() < 0.5:
        values[rng.randrange(size)] = values[rng.randrange(size)]
    return (values,)


def draw_list_program(rng: random.Random, *, long: bool = False) -> Program:
    """Draw a pipeline over a list of integers: up to three distinct steps, or up to six when `long`."""
    steps: list[Drawn] = []
    for _ in range(rng.choice((4, 5, 6) if long else (1, 2, 2, 3, 3))):
        step = draw(rng, _STEPS)
        if step.kind not in {s.kind for s in steps}:
            steps.append(step)
    returns, result_step = rng.choice(_RESULTS)
    result = Drawn(step=result_step)
    name, parameters = rng.choice(NAMES), (Parameter(name="numbers", type="list[int]"),)
    bodies = {_PY: _python(steps, result), _JAVA: _java(steps, result), _CS: _csharp(steps, result)}
    subject = ("a list of integers", "the list of numbers")

    def describe(words: random.Random | None) -> str:
        said = subject[0] if words is None else words.choice(subject)
        return recipe(said, [s.phrase(words) for s in steps], result.phrase(words), rng=words)

    return Program(
        family="list",
        kinds=(*(s.kind for s in steps), result.kind),
        name=name,
        parameters=parameters,
        returns=returns,
        code={
            language: function(language, name=name, parameters=parameters, returns=returns, body=bodies[language])
            for language in WRITTEN
        },
        describe=describe,
        sample_input=_numbers,
    )
