"""The built-in suite: splits that share nothing, answers that are true in three languages."""

import itertools
import random
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from evaluators.sandbox import Limits, Program, execute, missing_toolchain
from tasks.micro import documents, draw_program, examples, problems, suite
from tasks.prompts import system_line
from tasks.records import BUILTIN_TRACKS, CallTests, Example, Language, Problem, Task, Track

pytestmark = pytest.mark.slow

CODE_TRACKS = tuple(track for track in BUILTIN_TRACKS if track.writes_code)
LIMITS = Limits(cpu_s=5, wall_s=60, memory_mb=256, output_bytes=100_000)
_NAME = re.compile(r"\b(solve|compute|process|apply|run|evaluate|transform|calculate)\(")


@cache
def problems_of(track: Track) -> tuple[Problem, ...]:
    return problems(track, split="test")


@cache
def training_examples(track: Track) -> tuple[Example, ...]:
    return examples(track, split="train")


@cache
def compositions(track: Track, split: str) -> tuple[str, ...]:
    return tuple(program.composition for _, program in suite._programs(track, split))


def without_name(code: str) -> str:
    """Code with the function's own name gone, which says nothing about what it does."""
    return _NAME.sub("f(", code)


@cache
def held_out_code() -> frozenset[str]:
    """Every function, in every language, of the validation and test splits of all tracks."""
    programs = (p for t in BUILTIN_TRACKS for s in ("validation", "test") for _, p in suite._programs(t, s))
    return frozenset(without_name(code) for program in programs for code in program.code.values())


def test_no_composition_belongs_to_two_splits() -> None:
    held_out = {s: {c for t in BUILTIN_TRACKS for c in compositions(t, s)} for s in ("validation", "test")}
    seen = held_out | {"train": set(compositions(BUILTIN_TRACKS[0], "train"))}
    assert all(len(found) >= 400 for found in seen.values())
    assert not any(seen[a] & seen[b] for a, b in itertools.combinations(seen, 2))


def test_no_held_out_function_is_trained_on_even_in_text() -> None:
    trained = {
        without_name(text) for track in BUILTIN_TRACKS for e in training_examples(track) for text in (e.input, e.output)
    }
    assert len(trained) > 10_000
    assert not trained & held_out_code()


@pytest.mark.parametrize("track", BUILTIN_TRACKS, ids=str)
def test_every_track_has_enough_examples_and_problems(track: Track) -> None:
    train, test = training_examples(track), problems_of(track)
    assert len(train) >= 400
    assert len(test) >= 400
    assert len({e.id for e in train} | {p.id for p in test}) == len(train) + len(test)
    assert {e.track for e in train} | {p.track for p in test} == {str(track)}
    assert len({(e.input, e.output) for e in train}) == len(train)


@pytest.mark.parametrize("track", BUILTIN_TRACKS, ids=str)
def test_test_problems_have_distinct_compositions(track: Track) -> None:
    found = compositions(track, "test")
    assert len(set(found)) == len(found) == len(problems_of(track))


@pytest.mark.parametrize("track", CODE_TRACKS, ids=str)
def test_cases_say_what_the_python_reference_returns_and_vary(track: Track) -> None:
    for (name, program), problem in zip(suite._programs(track, "test"), problems_of(track), strict=True):
        assert problem.id == name
        assert isinstance(problem.tests, CallTests)
        cases = problem.tests.cases
        assert [suite.run_reference(program, case.arguments) for case in cases] == [case.expected for case in cases]
        assert len({repr(case.arguments) for case in cases}) == len(cases) == 8
        assert len({repr(case.expected) for case in cases}) > 1


def test_summaries_carry_no_tests_and_say_what_generation_asks() -> None:
    for problem in problems_of(Track(task=Task.SUMMARIZATION, source=Language.PYTHON)):
        assert problem.tests is None
        assert problem.input.startswith("def ")
        assert problem.reference.endswith(".")


def test_no_problem_between_prose_and_code_holds_its_own_reference() -> None:
    tracks = [track for track in BUILTIN_TRACKS if track.task is not Task.TRANSLATION]
    assert not [p.id for track in tracks for p in problems_of(track) if p.reference in p.input]


def test_most_translations_cannot_be_copied() -> None:
    # Loops and conditionals are spelled alike in Java and C#: for 108 of the 400 test problems of
    # csharp-java the reference is the prompt without the word `public`.
    csharp_java = problems_of(BUILTIN_TRACKS[3])
    assert sum(p.reference in p.input for p in csharp_java) < 0.3 * len(csharp_java)


def test_two_in_five_test_programs_are_longer_than_any_that_was_trained_on() -> None:
    longest: dict[str, int] = {}
    for composition in compositions(BUILTIN_TRACKS[0], "train"):
        family, *kinds = composition.split(":")
        longest[family] = max(longest.get(family, 0), len(kinds))
    test = [composition.split(":") for composition in compositions(BUILTIN_TRACKS[0], "test")]
    longer = [family for family, *kinds in test if len(kinds) > longest[family]]
    assert 0.3 < len(longer) / len(test) < 0.5
    assert set(longer) == {"list", "string", "words", "conditional"}


def _fingerprint(seed: str) -> str:
    """Hash of the suite and of pretraining text, as a process of its own makes them."""
    script = (
        "import hashlib, itertools; from tasks.micro import documents, examples, problems\n"
        "from tasks.records import BUILTIN_TRACKS\n"
        "made = [*(examples(t, split='validation') for t in BUILTIN_TRACKS),\n"
        "        *(problems(t, split='test') for t in BUILTIN_TRACKS[:3]), *itertools.islice(documents(0), 200)]\n"
        "print(hashlib.sha256(repr(made).encode()).hexdigest())"
    )
    root = Path(suite.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_suite_is_the_same_in_every_process() -> None:
    assert _fingerprint("1") == _fingerprint("4242") != ""


def _judged(found: list[Problem], *, workers: int = 2) -> list[str]:
    programs = [Program(problem_id=p.id, source=p.reference) for p in found]
    return [f"{v.verdict} {v.detail}".strip() for v in execute(found, programs, limits=LIMITS, workers=workers)]


def _sample(track: Track, count: int) -> list[Problem]:
    """Problems spread over the whole test split."""
    found = problems_of(track)
    return list(found[:: len(found) // count][:count])


def test_python_references_pass_their_tests() -> None:
    assert _judged(_sample(BUILTIN_TRACKS[0], 20)) == ["passed"] * 20


@pytest.mark.parametrize("track", CODE_TRACKS[1:], ids=str)
def test_java_and_csharp_references_pass_their_tests(track: Track) -> None:
    assert track.target is not None
    if (reason := missing_toolchain(track.target)) is not None:
        pytest.skip(reason)
    assert _judged(_sample(track, 5)) == ["passed"] * 5


def test_references_of_other_problems_fail() -> None:
    first, second, *_ = _sample(BUILTIN_TRACKS[0], 20)
    swapped = first.model_copy(update={"reference": second.reference})
    assert _judged([swapped]) != ["passed"]


def _pretraining(count: int) -> list[tuple[str, str]]:
    return list(itertools.islice(documents(7), count))


def test_pretraining_text_holds_no_instruction_and_no_chat() -> None:
    marks = {system_line(track) for track in BUILTIN_TRACKS} | {"Given:\n", "Return:\n", "<|", "system", "assistant"}
    texts = ["".join(halves) for halves in _pretraining(2000)]
    assert not [text for text in texts if any(mark in text for mark in marks)]


def test_pretraining_text_holds_training_compositions_only() -> None:
    halves = {without_name(half.strip()) for document in _pretraining(2000) for half in document}
    trained = {without_name(e.output) for track in CODE_TRACKS for e in training_examples(track)}
    assert len(halves & trained) > 100  # the comparison does find what is there
    assert not halves & held_out_code()


def test_drawn_program_belongs_to_the_split_that_was_asked_for() -> None:
    rng = random.Random(3)
    assert {draw_program(rng, split="validation").split for _ in range(50)} == {"validation"}
