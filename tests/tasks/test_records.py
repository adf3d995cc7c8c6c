"""Tracks, examples and problems: what may be written, and that it comes back as it was."""

import pytest
from pydantic import ValidationError

from tasks.records import (
    BUILTIN_TRACKS,
    CallTests,
    Case,
    CodeTests,
    Completion,
    Example,
    Language,
    Parameter,
    Problem,
    Task,
    Track,
    UnjudgedReason,
    Verdict,
    reason_in_words,
)

TESTS = CallTests(
    entry_point="solve",
    parameters=(Parameter(name="words", type="list[str]"),),
    returns="int",
    cases=(Case(arguments=(["a", "é"],), expected=2),),
)


@pytest.mark.parametrize("track", BUILTIN_TRACKS, ids=str)
def test_track_reads_back_from_what_it_writes(track: Track) -> None:
    assert Track.parse(str(track)) == track


def test_track_knows_what_it_reads_and_writes() -> None:
    translation = Track.parse("translation/java-csharp")
    assert (translation.source, translation.target) == (Language.JAVA, Language.CSHARP)
    assert Track.parse("generation/python") == Track(task=Task.GENERATION, target=Language.PYTHON)
    assert Track.parse("generation/python").writes_code
    assert not Track.parse("summarization/java").writes_code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "generation",
        "generation/",
        "generation/cobol",
        "generation/java-python",
        "translation/java",
        "translation/java-java",
        "translation/java-csharp-python",
        "summarization/java-csharp",
        "poetry/python",
    ],
)
def test_wrong_track_is_refused_by_name_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"/(python|java-csharp)") as caught:
        Track.parse(text)
    assert repr(text) in str(caught.value)


def test_unknown_track_of_an_example_is_refused() -> None:
    with pytest.raises(ValidationError, match="unknown track 'poetry/python'"):
        Example(id="1", track="poetry/python", input="a", output="b")


def test_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="outptu"):
        Example.model_validate({"id": "1", "track": "generation/python", "input": "a", "output": "b", "outptu": ""})


def test_record_cannot_be_changed() -> None:
    example = Example(id="1", track="generation/python", input="a", output="b")
    with pytest.raises(ValidationError, match="frozen"):
        example.output = "c"  # type: ignore[misc]


@pytest.mark.parametrize("tests", [None, TESTS, CodeTests(code="assert solve() == 1", setup="import math")])
def test_problem_survives_json(tests: CallTests | CodeTests | None) -> None:
    problem = Problem(id="1", track="generation/java", dataset="d", input="größer", reference="r", tests=tests)
    assert Problem.model_validate_json(problem.model_dump_json()) == problem


def test_tests_without_a_case_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        CallTests(entry_point="solve", parameters=(), returns="int", cases=())


def test_completion_keeps_text_as_decoded() -> None:
    text = "  leading, trailing \n\n\tand \u2028 odd \x00 characters"
    completion = Completion(
        problem_id="1", track="generation/python", dataset="d", text=text, finish="stop", prompt_tokens=1, new_tokens=9
    )
    assert Completion.model_validate_json(completion.model_dump_json()).text == text


def test_verdict_written_before_there_were_reasons_is_read() -> None:
    line = '{"task_id": "p", "sample": 0, "verdict": "unjudged", "detail": "not judged: no JDK; install one with: x"}'
    verdict = Verdict.model_validate_json(line)
    assert verdict.reason is None
    assert reason_in_words(verdict.detail) is UnjudgedReason.TOOLCHAIN_MISSING
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_reason_of_a_verdict_that_judges_is_refused() -> None:
    with pytest.raises(ValidationError, match="reason no_tests is for unjudged verdicts alone, got verdict passed"):
        Verdict(task_id="p", verdict="passed", reason=UnjudgedReason.NO_TESTS)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            "not judged: no JDK; install one with: apt-get install default-jdk-headless",
            UnjudgedReason.TOOLCHAIN_MISSING,
        ),
        (
            "not judged: no mono with its C# compiler; install it with: apt-get install mono-mcs mono-runtime",
            UnjudgedReason.TOOLCHAIN_MISSING,
        ),
        (
            "not judged: the harness failed twice: this JDK does not compile the driver: error; the problem",
            UnjudgedReason.HARNESS_FAULT,
        ),
        ("not judged: the problem has no tests; give problems that have some", UnjudgedReason.NO_TESTS),
        (
            "not judged: needs CoderEval's project environments; judge there, and give its result file as completions",
            UnjudgedReason.NEEDS_PROJECT,
        ),
        (
            "not judged: case 2, parameter n: 'no JDK; install' is not of the declared type int; "
            "the problem's tests need changing",
            UnjudgedReason.UNSAYABLE,
        ),
        (
            "case 1: solve([1, 2]) not finished after 20 s of wall time (0.1 s of CPU time), twice",
            UnjudgedReason.ONLY_WAITED,
        ),
        ("loading the program not finished after 0.5 s of wall time (0.0 s of CPU time)", UnjudgedReason.ONLY_WAITED),
        ("the machine went down", None),
        ("", None),
    ],
)
def test_reason_is_read_off_the_words_of_old_verdicts(words: str, reason: UnjudgedReason | None) -> None:
    assert reason_in_words(words) is reason
