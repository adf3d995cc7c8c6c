"""The built-in suite: examples, problems and pretraining text drawn from the program generator.

One decision: the python reference is the oracle. A program whose outputs are the same for every
sampled input is thrown away (any constant would pass its tests), and so is one in which a value
leaves 31 bits (Java and C# would overflow where Python does not).
"""

import hashlib
import random
from collections.abc import Iterator
from functools import cache

from tasks.micro.lists import draw_list_program
from tasks.micro.numbers import draw_conditional_program, draw_digit_program, draw_range_program
from tasks.micro.program import SPELLINGS, WRITTEN, Program
from tasks.micro.strings import draw_string_program, draw_words_program
from tasks.records import CallTests, Case, Example, Language, Problem, Task, Track

VERSION = 1
_FAMILIES = (
    draw_list_program,
    draw_list_program,
    draw_string_program,
    draw_words_program,
    draw_digit_program,
    draw_range_program,
    draw_conditional_program,
)
# Families that can be drawn longer than any program of the training split.
_LONG_FAMILIES = (
    draw_list_program,
    draw_list_program,
    draw_string_program,
    draw_words_program,
    draw_conditional_program,
)
_LONG_SHARE = 0.4
_CASES = 8
# In pretraining text names vary, so that no name means a family; the suite asks for one, as a test
# that calls a function must.
ENTRY_POINT = "solve"
_SIZES = {"train": 4000, "validation": 400, "test": 400}


def size_of(split: str) -> int:
    """How many records each track of a split has."""
    return _SIZES.get(split, 0)


def draw_program(rng: random.Random, *, split: str) -> Program:
    """Draw a program whose composition belongs to `split` and whose outputs vary.

    Two in five of the test split are longer than any that was trained on: a composition can be new by
    its order of steps, or by how many it has, and the second is harder.
    """
    while True:
        long = split == "test" and rng.random() < _LONG_SHARE
        program = rng.choice(_LONG_FAMILIES)(rng, long=True) if long else rng.choice(_FAMILIES)(rng)
        if program.split == split and _varies(program, rng):
            return program


def run_reference(program: Program, arguments: tuple[object, ...]) -> object:
    """What the python reference returns; it is our own text, so it runs in this process."""
    return _reference(program)(*arguments)  # type: ignore[operator]


def _reference(program: Program) -> object:
    scope: dict[str, object] = {}
    exec(compile(program.code[Language.PYTHON], "<reference>", "exec"), scope)
    return scope[program.name]


def _varies(program: Program, rng: random.Random) -> bool:
    reference = _reference(program)
    outputs = [reference(*program.sample_input(rng)) for _ in range(12)]  # type: ignore[operator]
    numbers = [v for out in outputs for v in (out if isinstance(out, list) else [out]) if isinstance(v, int)]
    return len({repr(out) for out in outputs}) > 2 - (program.returns == "bool") and all(
        abs(v) < 2**30 for v in numbers
    )


def _cases(program: Program, rng: random.Random) -> tuple[Case, ...]:
    """Eight calls with distinct arguments, at least two different answers among them."""
    reference = _reference(program)
    while True:
        seen: dict[str, Case] = {}
        while len(seen) < _CASES:
            arguments = program.sample_input(rng)
            expected = reference(*arguments)  # type: ignore[operator]
            seen[repr(arguments)] = Case(arguments=arguments, expected=expected)
        if len({repr(case.expected) for case in seen.values()}) > 1:
            return tuple(seen.values())


def _rng(*parts: object) -> random.Random:
    text = "/".join(str(part) for part in (VERSION, *parts))
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))


def _programs(track: Track, split: str) -> Iterator[tuple[str, Program]]:
    """Programs of one track and split in a fixed order.

    Both directions of translation, and both languages of a task, draw their own programs; within
    the test split no composition comes twice.
    """
    rng, seen = _rng("suite", track, split), set[str]()
    while len(seen) < _SIZES[split]:
        program = draw_program(rng, split=split).renamed(ENTRY_POINT)
        identity = program.composition if split == "test" else program.code[Language.PYTHON]
        if identity not in seen:
            seen.add(identity)
            yield f"micro/{split}/{track}/{len(seen) - 1}", program


def _pair(program: Program, track: Track, rng: random.Random) -> tuple[str, str]:
    """What a model reads and what it should write, for one program on one track."""
    if track.task is Task.GENERATION:
        assert track.target is not None
        return f"{program.describe(rng)}\n{program.signature(track.target)}", program.code[track.target]
    assert track.source is not None
    if track.task is Task.TRANSLATION:
        assert track.target is not None
        return program.code[track.source], program.code[track.target]
    return program.code[track.source], program.describe(None)


@cache
def examples(track: Track, *, split: str) -> tuple[Example, ...]:
    """Training pairs of the built-in suite, in a fixed order; drawn once a process."""
    words = _rng("words", track, split)
    pairs = ((name, _pair(program, track, words)) for name, program in _programs(track, split))
    return tuple(Example(id=name, track=str(track), input=i, output=o) for name, (i, o) in pairs)


@cache
def problems(track: Track, *, split: str) -> tuple[Problem, ...]:
    """Evaluation items of the built-in suite, drawn once a process; code tracks carry eight input/output cases each."""
    words, inputs = _rng("words", track, split), _rng("inputs", track, split)
    found = []
    for name, program in _programs(track, split):
        prompt, reference = _pair(program, track, words)
        tests = None
        if track.writes_code:
            tests = CallTests(
                entry_point=program.name,
                parameters=program.parameters,
                returns=program.returns,
                cases=_cases(program, inputs),
            )
        found.append(
            Problem(id=name, track=str(track), dataset="micro", input=prompt, reference=reference, tests=tests)
        )
    return tuple(found)


def documents(seed: int) -> Iterator[tuple[str, str]]:
    """Endless pretraining text, as (conditioning half, conditioned half); training compositions only.

    Three shapes: code after its description, a second language after a first, a comment after code.
    None of them is an instruction.
    """
    rng = random.Random(seed)
    while True:
        program = draw_program(rng, split="train")
        shape, languages = rng.random(), rng.sample(WRITTEN, 2)
        first, second = languages
        code, mark = program.code, SPELLINGS[first].comment
        if shape < 0.45:
            yield f"{mark} {program.describe(rng)}\n", code[first]
        elif shape < 0.75:
            yield f"{mark} {first.title}\n{code[first]}\n\n{SPELLINGS[second].comment} {second.title}\n", code[second]
        else:
            yield f"{code[first]}\n", f"{mark} {program.describe(None if rng.random() < 0.7 else rng)}"
