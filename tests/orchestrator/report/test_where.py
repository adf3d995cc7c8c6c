"""The language that picks outputs, in its own words and in those of its errors."""

from dataclasses import replace

import pytest
from sample_texts import make_results

from orchestrator.errors import InputError
from orchestrator.report.evidence import gather
from orchestrator.report.samples import gather_samples
from orchestrator.report.where import name_columns, parse_where

RESULTS = make_results(
    {
        "qlora-together": [("a", "passed"), ("b", "wrong_answer"), ("", "compile_error"), ("d", None)],
        "qlora-apart": [("a", "timeout"), ("b", "passed"), ("c", "unjudged")],
        "full": [("a", "passed"), ("b", "passed"), ("c", "timeout"), ("d", None)],
    }
)
EVIDENCE = gather(RESULTS)
ITEMS = list(gather_samples(EVIDENCE).items())


def picked(text: str) -> list[int]:
    holds = parse_where(text, name_columns(EVIDENCE))
    return [number for number, item in enumerate(ITEMS) if holds(item)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("full passes", [0, 1]),
        ("together passes and apart fails", [0]),
        ("qlora-apart PASSES and QLoRA Together fails", [1]),
        ("'qlora-apart' passes or \"full\" timeout", [1, 2]),
        ("not full passes", [2, 3]),
        ("not (full passes or together is empty)", [3]),
        ("full passes and together passes or apart unjudged", [0, 2]),
        ("full passes and (together passes or apart unjudged)", [0]),
        ("apart missing", [3]),
        ("apart is unjudged", [2]),
        ("together compile-error", [2]),
        ("any passes and any fails", [0, 1]),
        ("all pass", []),
        ("all fail", []),
        ("any is missing", [3]),
    ],
)
def test_conditions_pick_what_they_say(text: str, expected: list[int]) -> None:
    assert picked(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nobody passes", "there is no trial or method 'nobody'; there are: full, qlora-apart, qlora-together"),
        ("qlora passes", "'qlora' may mean qlora-apart, qlora-together; write enough of the name to mean one"),
        ("full dances", "'full dances' is followed by no state; say what is to be true of it: passes, fails, empty"),
        ("full passes and", "a name and a state are missing at the end; join conditions by and, or, not"),
        ("passes", "a name and a state are missing before 'passes'"),
        ("(full passes", "a parenthesis is opened and not closed"),
        ("full passes)", "'\\)' stands where the condition has ended"),
        ("full passes 'x", "a quote is opened and not closed"),
        ("", "a name and a state are missing at the end"),
    ],
)
def test_errors_name_what_is_wrong_and_what_there_is(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        picked(text)


def test_method_stands_for_all_its_seeds() -> None:
    results = make_results({"a": [("x", "passed"), ("y", "passed")], "b": [("x", "timeout"), ("y", "passed")]})
    seeds = tuple(replace(t, method="lora", grouping="together", seed=n) for n, t in enumerate(results.trials))
    evidence = gather(replace(results, trials=seeds))
    items = list(gather_samples(evidence).items())
    for text, expected in (
        ("lora passes", [1]),
        ("lora together passes", [1]),
        ("'lora together seed 0' passes", [0, 1]),
    ):
        holds = parse_where(text, name_columns(evidence))
        assert [number for number, item in enumerate(items) if holds(item)] == expected


def test_quoted_name_may_hold_words_of_the_language() -> None:
    results = make_results({"empty or not": [("x", "passed")], "memory": [("x", "timeout")]})
    holds = parse_where('"empty or not" passes and "memory" fails', name_columns(gather(results)))
    assert [holds(item) for item in gather_samples(gather(results)).items()] == [True]
