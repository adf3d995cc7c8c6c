"""Loops over digits and ranges, and conditionals over one integer.

The three languages share their control flow here; what differs is declarations, `elif` and
integer division. Arguments are small and non-negative where a loop runs over them, so that nothing
overflows 32 bits in Java and C#.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tasks.micro.program import NAMES, SPELLINGS, WRITTEN, Program, block, function
from tasks.records import Language, Parameter, ValueType

_PY, _JAVA, _CS = Language.PYTHON, Language.JAVA, Language.CSHARP
_N = (Parameter(name="n", type="int"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """A condition or a value of `v` with its constant in place and its wordings."""

    kind: str
    code: str
    phrases: tuple[str, ...]

    def phrase(self, rng: random.Random | None) -> str:
        return self.phrases[0] if rng is None else rng.choice(self.phrases)


_PREDICATES: dict[str, tuple[str, tuple[str, ...], tuple[int, ...]]] = {
    "all": ("", ("{n}",), (0,)),
    "even": ("v % 2 == 0", ("even {n}", "{n} that are even"), (0,)),
    "odd": ("v % 2 != 0", ("odd {n}", "{n} that are odd"), (0,)),
    "above": ("v > {k}", ("{n} greater than {k}", "{n} above {k}"), (2, 3, 4, 5, 6)),
    "below": ("v < {k}", ("{n} less than {k}", "{n} below {k}"), (4, 5, 6, 7, 8)),
    "multiple": ("v % {k} == 0", ("{n} divisible by {k}", "{n} that are multiples of {k}"), (3, 4, 5)),
    "not_multiple": ("v % {k} != 0", ("{n} not divisible by {k}", "{n} that are no multiples of {k}"), (3, 4, 5)),
}
_VALUES: dict[str, tuple[str, tuple[str, ...], tuple[int, ...]]] = {
    "plain": ("v", ("{p}",), (0,)),
    "square": ("v * v", ("squares of the {p}", "squared values of the {p}"), (0,)),
    "plus": ("v + {k}", ("{p}, each plus {k}", "{p} increased by {k} each"), (1, 2, 3, 4, 5)),
    "times": ("v * {k}", ("{p}, each times {k}", "{p} multiplied by {k} each"), (2, 3, 4, 5, 6)),
    "minus": ("v - {k}", ("{p}, each minus {k}", "{p} decreased by {k} each"), (1, 2, 3)),
}


def _choose(
    table: dict[str, tuple[str, tuple[str, ...], tuple[int, ...]]], kind: str, rng: random.Random, variable: str
) -> _Choice:
    code, phrases, constants = table[kind]
    k = str(rng.choice(constants))
    return _Choice(
        kind=kind,
        code=code.replace("v", variable).replace("{k}", k),
        phrases=tuple(p.replace("{k}", k) for p in phrases),
    )


# How results are gathered: initial value, update with `e` for the value, wordings around `{w}`.
_GATHER: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "sum": ("0", "{r} += {e}", ("the sum of the {w}", "the total of the {w}")),
    "count": ("0", "{r} += 1", ("the number of {w}", "the count of {w}")),
    "product": ("1", "{r} *= {e}", ("the product of the {w}", "the {w} multiplied together")),
    "max": ("0", "{r} = {max}({r}, {e})", ("the largest of the {w} or 0", "the maximum of the {w}, or 0")),
    "list": ("[]", "{r}.append({e})", ("the list of the {w}", "a list with the {w}")),
}
_RESULT = {"sum": "total", "count": "count", "product": "product", "max": "best", "list": "result"}


# How the variable that gathers is declared, as a number and as a list.
_DECLARED = {
    _PY: ("{r} = {initial}", "{r} = []"),
    _JAVA: ("int {r} = {initial};", "List<Integer> {r} = new ArrayList<>();"),
    _CS: ("int {r} = {initial};", "var {r} = new List<int>();"),
}
# What in an update is written otherwise.
_UPDATED = {
    _PY: {"{max}": "max"},
    _JAVA: {"{max}": "Math.max", ".append(": ".add(", "count += 1": "count++"},
    _CS: {"{max}": "Math.Max", ".append(": ".Add(", "count += 1": "count++"},
}
# A loop over the digits of n: its head, what takes a digit, what goes on to the next.
_DIGIT_LOOPS = {
    _PY: ("while n > 0:", "d = n % 10", "n //= 10"),
    _JAVA: ("while (n > 0) {", "int d = n % 10;", "n /= 10;"),
    _CS: ("while (n > 0) {", "int d = n % 10;", "n /= 10;"),
}
# The head of a loop over 1 to n, upwards and downwards.
_RANGE_LOOPS = {
    _PY: ("for i in range(1, n + 1):", "for i in range(n, 0, -1):"),
    _JAVA: ("for (int i = 1; i <= n; i++) {", "for (int i = n; i >= 1; i--) {"),
    _CS: ("for (int i = 1; i <= n; i++) {", "for (int i = n; i >= 1; i--) {"),
}


def _declare(language: Language, gather: str, variable: str) -> str:
    number, items = _DECLARED[language]
    return (items if gather == "list" else number).replace("{r}", variable).replace("{initial}", _GATHER[gather][0])


def _update(language: Language, gather: str, variable: str, value: str) -> str:
    text = _GATHER[gather][1].replace("{r}", variable).replace("{e}", value)
    for said, written in _UPDATED[language].items():
        text = text.replace(said, written)
    return text + SPELLINGS[language].end


def _guarded(language: Language, condition: str, statement: str) -> list[str]:
    if not condition:
        return [statement]
    return block(language, SPELLINGS[language].test.replace("{c}", condition), [statement])


def _digit_loop(language: Language, inner: list[str]) -> list[str]:
    head, first, last = _DIGIT_LOOPS[language]
    return block(language, head, [first, *inner, last])


def _range_loop(language: Language, inner: list[str], *, down: bool) -> list[str]:
    return block(language, _RANGE_LOOPS[language][down], inner)


def _gathering(
    rng: random.Random,
    *,
    family: str,
    kinds: tuple[str, ...],
    gather: str,
    chosen: tuple[_Choice, _Choice],
    loop: Callable[[Language, list[str]], list[str]],
) -> Program:
    predicate, value = chosen
    variable, name = _RESULT[gather], rng.choice(NAMES)
    returns: ValueType = "list[int]" if gather == "list" else "int"
    code = {}
    for language in WRITTEN:
        inner = _guarded(language, predicate.code, _update(language, gather, variable, value.code))
        answer = f"return {variable}{SPELLINGS[language].end}"
        body = [_declare(language, gather, variable), *loop(language, inner), answer]
        code[language] = function(language, name=name, parameters=_N, returns=returns, body=body)
    noun = {"digits": "digits of n", "range_up": "numbers from 1 to n", "range_down": "numbers from n down to 1"}[
        family
    ]
    verbs = ("Return", "Compute", "Find", "Given n, return")

    def describe(words: random.Random | None) -> str:
        said = value.phrase(words).replace("{p}", predicate.phrase(words).replace("{n}", noun))
        whole = _GATHER[gather][2][0 if words is None else words.randrange(2)].replace("{w}", said)
        return f"{verbs[0] if words is None else words.choice(verbs)} {whole}."

    largest = 9999 if family == "digits" else 25
    return Program(
        family=family,
        kinds=kinds,
        name=name,
        parameters=_N,
        returns=returns,
        code=code,
        describe=describe,
        sample_input=lambda inputs: (inputs.randrange(1, largest + 1),),
    )


def draw_digit_program(rng: random.Random) -> Program:
    """Draw a loop over the decimal digits of a positive number."""
    gather = rng.choice(("sum", "count", "product", "max"))
    value_kind = "plain" if gather == "count" else rng.choice(tuple(_VALUES))
    predicate_kind = rng.choice(tuple(_PREDICATES))
    chosen = (_choose(_PREDICATES, predicate_kind, rng, "d"), _choose(_VALUES, value_kind, rng, "d"))
    kinds = (predicate_kind, value_kind, gather)
    return _gathering(rng, family="digits", kinds=kinds, gather=gather, chosen=chosen, loop=_digit_loop)


def draw_range_program(rng: random.Random) -> Program:
    """Draw a loop over 1 to n, upwards or (for lists) downwards."""
    gather = rng.choice(("sum", "count", "list", "list"))
    value_kind = "plain" if gather == "count" else rng.choice(tuple(_VALUES))
    predicate_kind = rng.choice(tuple(_PREDICATES))
    down = gather == "list" and rng.random() < 0.5
    chosen = (_choose(_PREDICATES, predicate_kind, rng, "i"), _choose(_VALUES, value_kind, rng, "i"))
    return _gathering(
        rng,
        family="range_down" if down else "range_up",
        kinds=(predicate_kind, value_kind, gather),
        gather=gather,
        chosen=chosen,
        loop=lambda language, inner: _range_loop(language, inner, down=down),
    )


_TESTS: dict[str, tuple[str, tuple[str, ...], tuple[int, ...]]] = {
    "even": ("v % 2 == 0", ("x is even",), (0,)),
    "odd": ("v % 2 != 0", ("x is odd",), (0,)),
    "negative": ("v < 0", ("x is negative", "x is below zero"), (0,)),
    "positive": ("v > 0", ("x is positive", "x is above zero"), (0,)),
    "above": ("v > {k}", ("x is greater than {k}", "x is above {k}"), (5, 8, 10, 12, 15)),
    "below": ("v < {k}", ("x is less than {k}", "x is below {k}"), (-5, -2, 3, 5, 8)),
    "multiple": ("v % {k} == 0", ("x is divisible by {k}", "x is a multiple of {k}"), (3, 4, 5)),
    "equal": ("v == {k}", ("x equals {k}", "x is {k}"), (1, 2, 3, 4, 5, 6, 7)),
}
_ANSWERS: dict[str, tuple[str, tuple[str, ...], tuple[int, ...]]] = {
    "same": ("v", ("x", "x itself"), (0,)),
    "plus": ("v + {k}", ("x plus {k}",), tuple(range(1, 10))),
    "minus": ("v - {k}", ("x minus {k}",), tuple(range(1, 10))),
    "times": ("v * {k}", ("x times {k}", "{k} times x"), (2, 3, 4, 5, 6)),
    "square": ("v * v", ("the square of x", "x squared"), (0,)),
    "negate": ("-v", ("the negative of x", "minus x"), (0,)),
    "constant": ("{k}", ("{k}",), tuple(range(10))),
}
_LABELS = ("low", "high", "zero", "small", "large", "good", "bad", "none")


def _branches(rng: random.Random, long: bool) -> tuple[list[_Choice], list[_Choice], ValueType]:
    number = rng.choice((3, 4) if long else (1, 2, 2))
    conditions = [_choose(_TESTS, kind, rng, "x") for kind in rng.sample(tuple(_TESTS), number)]
    count = len(conditions) + 1
    if rng.random() < 0.25:
        words = rng.sample(_LABELS, count)
        return conditions, [_Choice(kind="label", code=f'"{w}"', phrases=(f'"{w}"',)) for w in words], "str"
    return conditions, [_choose(_ANSWERS, kind, rng, "x") for kind in rng.sample(tuple(_ANSWERS), count)], "int"


def _conditional_body(language: Language, conditions: list[_Choice], answers: list[_Choice]) -> list[str]:
    end = SPELLINGS[language].end
    lines: list[str] = []
    for condition, answer in zip(conditions, answers, strict=False):
        lines += _guarded(language, condition.code, f"return {answer.code}{end}")
    return [*lines, f"return {answers[-1].code}{end}"]


def draw_conditional_program(rng: random.Random, *, long: bool = False) -> Program:
    """Draw one or two (three or four when `long`) guarded answers and a final one, as numbers or labels."""
    conditions, answers, returns = _branches(rng, long)
    name, parameters = rng.choice(NAMES), (Parameter(name="x", type="int"),)

    def describe(words: random.Random | None) -> str:
        verb = "return" if words is None else words.choice(("return", "give", "answer"))
        parts = [f"if {c.phrase(words)}, {verb} {a.phrase(words)}" for c, a in zip(conditions, answers, strict=False)]
        joined = "; ".join(parts) if words is None else words.choice(("; ", ", and ")).join(parts)
        return f"{joined[0].upper()}{joined[1:]}; otherwise {verb} {answers[-1].phrase(words)}."

    return Program(
        family="conditional",
        kinds=(*(c.kind for c in conditions), *(a.kind for a in answers)),
        name=name,
        parameters=parameters,
        returns=returns,
        code={
            language: function(
                language,
                name=name,
                parameters=parameters,
                returns=returns,
                body=_conditional_body(language, conditions, answers),
            )
            for language in WRITTEN
        },
        describe=describe,
        sample_input=lambda inputs: (inputs.randrange(-15, 26),),
    )
