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
