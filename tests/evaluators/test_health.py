"""Health: shares of faults, and the warnings that they cause."""

import pytest

from evaluators.health import LIMITS, Output, check, is_degenerate, is_in_prompt, lost_first_character, warnings

REFERENCE = "public int size() { return this.count; }"


def output(
    text: str = REFERENCE, *, finish: str = "stop", parses: bool | None = True, prompt: str = "Translate it."
) -> Output:
    return Output(text=text, finish=finish, prompt=prompt, reference=REFERENCE, parses=parses)  # type: ignore[arg-type]


def test_healthy_outputs_cause_no_warning() -> None:
    health = check([output()] * 10)
    assert health.num_outputs == 10
    assert warnings(health) == ()


def test_each_fault_is_counted_in_its_own_share() -> None:
    outputs = [
        output(),
        output("", parses=False),
        output("", finish="skipped", parses=False),
        output("public int size() { return", finish="length", parses=False),
        output("x = x + 1; " * 100),
        output(REFERENCE[1:], parses=False),
        output(prompt=f"Translate: {REFERENCE}"),
        output("int size() { return 1; }"),
    ]
    health = check(outputs)
    assert health.empty == health.skipped == health.truncated == health.degenerate == 1 / 8
    assert health.first_character_lost == health.reference_in_prompt == 1 / 8
    # The one cut off and the one without its first character; empty and skipped ones count there.
    assert health.unparseable == 2 / 8


def test_every_fault_above_its_limit_is_worded_with_its_count() -> None:
    broken = Output(text="ublic int size() {", finish="length", prompt=REFERENCE, reference=REFERENCE, parses=False)
    sentences = warnings(check([broken, output(finish="skipped", text="", parses=False)]))
    assert len(sentences) == 5
    assert sentences[0].startswith("1 of 2 outputs (50.0%) were skipped")
    assert any("chat template" in sentence for sentence in sentences)


def test_share_at_its_limit_causes_no_warning() -> None:
    outputs = [output()] * 95 + [output(finish="length")] * 5
    assert check(outputs).truncated == LIMITS["truncated"].highest
    assert warnings(check(outputs)) == ()
    assert len(warnings(check([*outputs, output(finish="length")]))) == 1


def test_prose_has_no_share_of_unparseable_outputs() -> None:
    assert check([output("Returns the size.", parses=None)]).unparseable is None


def test_code_and_prose_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="each track apart"):
        check([output(), output(parses=None)])


def test_no_outputs_have_no_health() -> None:
    with pytest.raises(ValueError, match="at least one output"):
        check([])


@pytest.mark.parametrize("text", ["return x\n" * 60, ")" * 300, "a" * 300, "Returns the value " + "of the value " * 40])
def test_repetition_is_degenerate(text: str) -> None:
    assert is_degenerate(text)


@pytest.mark.parametrize("text", ["", "return x\n" * 3, "".join(f"x{i} = y{i * 7}\n" for i in range(100)), " " * 1000])
def test_short_or_varied_text_is_not_degenerate(text: str) -> None:
    assert not is_degenerate(text)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("ublic int f()", "public int size()"),
        ("ef f(x): pass", "def g(y): return y"),
        ("eturns the size.", "Returns the number of items."),
        (" Override\npublic", "@Override\npublic"),
    ],
)
def test_lost_first_character_is_seen_even_where_the_rest_differs(text: str, reference: str) -> None:
    assert lost_first_character(text, reference=reference)


@pytest.mark.parametrize(
    ("text", "reference"),
    [("public int f()", "public int g()"), ("", "public"), ("aaaaaaaaaaaa", "aaaaaaaaaaaaa"), ("int f()", "A f()")],
)
def test_whole_output_has_not_lost_its_first_character(text: str, reference: str) -> None:
    assert not lost_first_character(text, reference=reference)


def test_reference_is_found_in_its_prompt_whatever_its_case_and_punctuation() -> None:
    assert is_in_prompt("Returns the size .", prompt='def f():\n    """returns the\n    size"""')
    assert not is_in_prompt("Returns the size.", prompt="returns the sizes")
    assert not is_in_prompt("Close.", prompt="close the file")
