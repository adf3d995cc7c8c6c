"""Health: shares of faults, and the warnings that they cause."""

import pytest

from evaluators.contamination import Contamination
from evaluators.health import (
    LIMITS,
    Output,
    check,
    echoes_prompt,
    has_chat_leftovers,
    is_degenerate,
    is_in_prompt,
    lost_first_character,
    warnings,
)

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


def test_prompt_is_echoed_where_it_has_no_business() -> None:
    java = "public int size() { return this.count; }"
    assert echoes_prompt(f"{java}\npublic int Size() {{ return Count; }}", prompt=java, reference="int Size()")
    assert not echoes_prompt("public int Size() { return Count; }", prompt=java, reference="int Size()")
    # What reads alike in both languages, and a program that repeats its own preamble, are no echoes.
    assert not echoes_prompt(java, prompt=java, reference=java.replace("size", "Size"))
    assert not echoes_prompt(f"{java} // done", prompt=java, reference="int Size()", preamble=java)


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("return x", "return x<|im_end|>\n<|im_start|>user"),
        ("Sure, here it is.", ""),
        ("x = 1\nI hope this helps!", ""),
        ("Here is the translated code:\nint f() { return 1; }", ""),
        ("```java\nint f() { return 1; }", ""),
    ],
)
def test_left_overs_of_a_chat_are_seen(text: str, raw: str) -> None:
    assert has_chat_leftovers(text, raw=raw)


@pytest.mark.parametrize("text", ["", "int sure() { return here; }", "Returns the size, which is here.", "# Here: x"])
def test_code_and_summaries_are_not_left_overs(text: str) -> None:
    assert not has_chat_leftovers(text, raw=text)


def test_overlap_with_training_data_is_a_share_where_it_is_known() -> None:
    assert check([output()]).training_overlap is None
    marks = [Contamination(overlaps=i < 2, duplicate=i < 1) for i in range(4)]
    outputs = [
        Output(text=REFERENCE, finish="stop", prompt="p", reference=REFERENCE, parses=True, contamination=mark)
        for mark in marks
    ]
    health = check(outputs)
    assert (health.training_overlap, health.training_duplicate) == (0.5, 0.25)
    assert any("training data themselves" in sentence for sentence in warnings(health))
